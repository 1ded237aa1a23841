package session

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPulse(t *testing.T) {
	const s = time.Second
	tests := map[string]struct {
		beats        Beats
		each         time.Duration // how often bytes come and go; 0: never
		busy         bool
		silent, beat int32 // calls within a minute and the rest of the last turn
	}{
		"all quiet":            {beats: Beats{Receive: 10 * s, Send: 20 * s}, silent: 1, beat: 2},
		"both talk":            {beats: Beats{Receive: 10 * s, Send: 20 * s}, each: 3 * s},
		"too slow":             {beats: Beats{Receive: 10 * s, Send: 5 * s}, each: 24 * s, silent: 1, beat: 12},
		"off":                  {},
		"does not read itself": {beats: Beats{Receive: 10 * s}, busy: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var silent, beats atomic.Int32 // each call is in a goroutine of its own
				tt.beats.Silent, tt.beats.Beat = func() { silent.Add(1) }, func() { beats.Add(1) }
				p := StartPulse(tt.beats)
				p.Busy(tt.busy)
				end := time.Now().Add(time.Minute - time.Millisecond)
				for time.Now().Before(end) {
					if tt.each == 0 {
						time.Sleep(time.Until(end))
						break
					}
					time.Sleep(tt.each)
					p.Received()
					p.Sent()
				}
				p.Stop()
				synctest.Wait()
				if silent.Load() != tt.silent || beats.Load() != tt.beat {
					t.Errorf("a minute of %s: silent %d times, %d beats; want %d, %d", name, silent.Load(), beats.Load(), tt.silent, tt.beat)
				}
				time.Sleep(time.Hour)
				if silent.Load() != tt.silent || beats.Load() != tt.beat {
					t.Errorf("called after Stop")
				}
			})
		})
	}
}
