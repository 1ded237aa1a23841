package session

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwitmq/godwit/broker"
)

func TestFrameMemory(t *testing.T) {
	const limit = 1000
	tests := map[string]struct {
		others  []int // taken by others before
		more    int
		missing int
		free    time.Duration // after which the first of the others gives back what it has; 0: never
		want    string        // in the error; "" for none
		waited  time.Duration
	}{
		"all is free":                      {more: 1000, missing: 1000},
		"more than there ever is":          {more: 10, missing: 1001, want: "needs 1001 bytes, and frames that are on their way may take 1000 together (limits.frames)"},
		"a part, and the rest is free":     {others: []int{500}, more: 100, missing: 500},
		"a part, and the rest is not":      {others: []int{501}, more: 100, missing: 500, want: "take 501 of the 1000", waited: framePatience},
		"comes free in time":               {others: []int{900}, more: 500, missing: 500, free: time.Second, waited: time.Second},
		"too little comes free":            {others: []int{100, 800}, more: 500, missing: 500, free: time.Second, want: "take 800 of the 1000", waited: framePatience},
		"length unknown, a little is free": {others: []int{900}, more: 100, missing: 100},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := NewFrameMemory(limit)
				var others []*FrameShare
				for _, n := range tt.others {
					s := m.Share(nil)
					if err := s.Grow(n, n); err != nil {
						t.Fatal(err)
					}
					others = append(others, s)
				}
				if tt.free > 0 {
					time.AfterFunc(tt.free, func() { others[0].Shrink(tt.others[0]) })
				}
				s := m.Share(nil)
				var busy []bool
				s.OnWait(func(on bool) { busy = append(busy, on) })
				before, began := m.Used(), time.Now()
				err := s.Grow(tt.more, tt.missing)
				if waited := time.Since(began); waited != tt.waited || (waited > 0) != (len(busy) == 2 && busy[0] && !busy[1]) {
					t.Errorf("Grow(%d, %d) waited %v and told of it %v; want %v", tt.more, tt.missing, waited, busy, tt.waited)
				}
				if tt.want == "" {
					if err != nil {
						t.Errorf("Grow(%d, %d) = %v", tt.more, tt.missing, err)
					}
					return
				}
				var full *broker.Error
				if !errors.As(err, &full) || full.Code != broker.Full || !strings.Contains(full.Error(), tt.want) {
					t.Errorf("Grow(%d, %d) = %v; want Full with %q", tt.more, tt.missing, err, tt.want)
				}
				if used := m.Used(); used > before {
					t.Errorf("after the refusal %d bytes are taken; before it was %d", used, before)
				}
				began = time.Now()
				if again := s.Grow(1, 1); again != err || time.Since(began) != 0 {
					t.Errorf("Grow again = %v after %v; want the same error at once", again, time.Since(began))
				}
			})
		})
	}
}

// Frames that came halfway together come to their end, one after the other, whatever the order.
func TestFrameMemoryNoDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewFrameMemory(1000)
		const each, frames = 600, 20
		done := make(chan error, frames)
		for range frames {
			go func() {
				s := m.Share(nil)
				for have := 0; have < each; have += 100 {
					if err := s.Grow(100, each-have); err != nil {
						s.Shrink(have)
						done <- err
						return
					}
					time.Sleep(time.Second)
				}
				s.Shrink(each)
				done <- nil
			}()
		}
		came := 0
		for range frames {
			if err := <-done; err == nil {
				came++
			}
		}
		// At 100 bytes a second, one frame at a time comes five times in the 30 s that the others wait.
		if used := m.Used(); came < 5 || used != 0 {
			t.Errorf("%d of %d frames came, and %d bytes are taken at the end; want 5 or more, and 0", came, frames, used)
		}
	})
}

// While the process is short of memory large frames wait, and nobody keeps what he does not need.
func TestFrameMemoryShort(t *testing.T) {
	for name, short := range map[string]time.Duration{"for a moment": time.Second, "for long": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := NewFrameMemory(1000)
				m.Shut(true)
				time.AfterFunc(short, func() { m.Shut(false) })
				began, s := time.Now(), m.Share(nil)
				if s.Spare(1) {
					t.Error("there is something to spare")
				}
				err := s.Grow(10, 10)
				if waited := time.Since(began); waited != min(short, framePatience) || (err != nil) != (short > framePatience) {
					t.Errorf("Grow waited %v and got %v", waited, err)
				}
				if err != nil && !strings.Contains(err.Error(), "limits.process") {
					t.Errorf("Grow = %v; want an error that names limits.process", err)
				}
				time.Sleep(short)
			})
		})
	}
}

// Who waits for a large frame does not hold up smaller ones, and goes when its connection does.
func TestFrameMemoryOvertaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewFrameMemory(1000)
		holder := m.Share(nil)
		if err := holder.Grow(500, 500); err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		refused := make(chan error, 1)
		go func() { refused <- m.Share(gone).Grow(900, 900) }()
		synctest.Wait()
		if err := m.Share(nil).Grow(400, 400); err != nil {
			t.Errorf("a smaller frame behind one that waits: %v", err)
		}
		if m.Share(nil).Spare(1) {
			t.Error("there is something to spare while somebody waits")
		}
		close(gone)
		if err := <-refused; err == nil {
			t.Error("a connection that is gone got memory")
		}
		if used := m.Used(); used != 900 {
			t.Errorf("%d bytes are taken; want 900", used)
		}
	})
}

// A limit that is raised lets those go on that wait.
func TestFrameMemoryLimitChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewFrameMemory(1000)
		if err := m.Share(nil).Grow(900, 900); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { m.Limit(2000) })
		began := time.Now()
		if err := m.Share(nil).Grow(500, 500); err != nil || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		m.Limit(1000)
		if err := m.Share(nil).Grow(1, 1); err == nil {
			t.Error("there is room beyond the limit")
		}
	})
}
