package session

import (
	"sync"
	"sync/atomic"
	"time"
)

// Pulse watches one connection for silence, in both directions. It costs a timer of the runtime and no goroutine while
// nothing is due. Its methods may be called concurrently.
type Pulse struct {
	received, sent, busy atomic.Bool
	beats                Beats

	mu      sync.Mutex
	silence *time.Timer // nil: not watched
	beat    *time.Timer
	stopped bool
}

// Beats says what a Pulse does. Its functions run in a goroutine of the runtime's timers and must not block.
type Beats struct {
	// Receive is the time within which the peer must send something; looked at once each Receive, so that silence is noticed
	// after one to two of them. 0: never.
	Receive time.Duration
	Silent  func() // the peer sent nothing. It is called once
	// Send is the time after which something must be sent if nothing was. 0: never.
	Send time.Duration
	Beat func() // should send something
}

// StartPulse begins to watch. Stop must be called at the end.
func StartPulse(b Beats) *Pulse {
	p := &Pulse{beats: b}
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.Receive > 0 {
		p.silence = time.AfterFunc(b.Receive, p.checkReceived)
	}
	if b.Send > 0 {
		p.beat = time.AfterFunc(b.Send, p.checkSent)
	}
	return p
}

// Received is called after each read that brought bytes. It is cheap.
func (p *Pulse) Received() {
	if !p.received.Load() {
		p.received.Store(true)
	}
}

// Sent is called after each write. It is cheap.
func (p *Pulse) Sent() {
	if !p.sent.Load() {
		p.sent.Store(true)
	}
}

// Busy says that the session does not read for now, as while the core's inbox is full: then silence means nothing.
func (p *Pulse) Busy(on bool) {
	if !on {
		p.Received()
	}
	p.busy.Store(on)
}

// Stop ends the watch. A function that was being called may still run.
func (p *Pulse) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.silence != nil {
		p.silence.Stop()
	}
	if p.beat != nil {
		p.beat.Stop()
	}
}

func (p *Pulse) checkReceived() {
	heard := p.received.Swap(false) || p.busy.Load()
	p.mu.Lock()
	stopped := p.stopped
	if heard && !stopped {
		p.silence.Reset(p.beats.Receive)
	}
	p.mu.Unlock()
	if !heard && !stopped {
		p.beats.Silent()
	}
}

func (p *Pulse) checkSent() {
	spoke := p.sent.Swap(false)
	p.mu.Lock()
	stopped := p.stopped
	if !stopped {
		p.beat.Reset(p.beats.Send)
	}
	p.mu.Unlock()
	if !spoke && !stopped {
		p.beats.Beat()
	}
}
