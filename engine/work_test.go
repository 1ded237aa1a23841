package engine

import (
	"runtime"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
)

// Events that come while run has the core for its own purposes must not wait for its next look at the clock.
func TestNobodyIsForgotten(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(func(n journal.Notify) (journal.Log, error) { return segment.Open(dir, segment.Options{}, n) },
		Options{Now: func() time.Time {
			runtime.Gosched() // whoever looks at the clock with the core in hand lets others come and find it taken
			return time.Now()
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c := e.Connect()
	c.Submit(&broker.Connect{Conn: c.ID(), Ref: 1})
	answers := make(chan error)
	go func() {
		var got []broker.Effect
		for {
			var err error
			got, err = c.Wait(got)
			answers <- err
			if err != nil {
				return
			}
		}
	}()
	// One goroutine only: others would bring what was forgotten to mind.
	for i := range 20000 {
		select {
		case err := <-answers:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("question %d was not answered within 10 s", i)
		}
		e.poke()
		for range i % 50 {
			runtime.Gosched()
		}
		c.Submit(&broker.List{Conn: c.ID(), Ref: 1})
	}
	<-answers
	c.Close()
	<-answers
}
