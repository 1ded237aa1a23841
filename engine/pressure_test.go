package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
)

// A client with a window without end is given no more than some megabytes to read at a time, is never cut off for what it was given, and gets all
// of it in the end.
func TestDeliveriesWaitForTheirReader(t *testing.T) {
	e := open(t, t.TempDir())
	defer e.Close()
	sender, slow := connect(t, e), connect(t, e)
	body := strings.Repeat("x", 100<<10)
	const count = 400 // 40 MiB
	for i := range count {
		sender.Submit(&broker.Send{Conn: sender.ID(), Ref: 3, Message: persistent(queue("q"), int64(i+1), fmt.Sprint(i, " ", body)), MayCreate: true})
		sender.answer(3)
	}
	slow.Submit(&broker.Subscribe{Conn: slow.ID(), Ref: 2, Consumer: 1, Destination: queue("q"), Prefetch: 1_000_000, MayCreate: true})
	var effects []broker.Effect
	most, got := 0, 0
	for got < count {
		// Others go on, and the core has time to give what it is willing to.
		for i := range 30 {
			sender.Submit(&broker.Send{Conn: sender.ID(), Ref: 3, Message: persistent(queue("other"), int64(got*100+i+count+1), "x"), MayCreate: true})
			sender.answer(3)
		}
		var err error
		if effects, err = slow.Wait(effects); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, x := range effects {
			if x.Kind == broker.Delivery {
				if want := fmt.Sprint(got, " "); !strings.HasPrefix(string(x.Message.Content), want) {
					t.Fatalf("message %d is %.20q", got, string(x.Message.Content))
				}
				n++
				got++
			}
		}
		most = max(most, n)
	}
	if most > 330 { // 8 MiB and what the cache held
		t.Errorf("%d messages of 100 KiB waited for a client that did not read", most)
	}
}

// Who asks and does not listen is held up, until it listens or goes.
func TestHold(t *testing.T) {
	for _, how := range []string{"listens", "goes"} {
		t.Run(how, func(t *testing.T) {
			e := open(t, t.TempDir())
			defer e.Close()
			c := connect(t, e)
			for range 10_001 {
				c.Tell(broker.Effect{Kind: broker.Answer})
			}
			free := make(chan struct{})
			go func() {
				defer close(free)
				c.Hold()
			}()
			select {
			case <-free:
				t.Fatal("it was not held up")
			case <-time.After(20 * time.Millisecond):
			}
			if how == "goes" {
				c.Close()
			} else {
				effects, err := c.Wait(nil)
				if err != nil {
					t.Fatal(err)
				}
				go c.Wait(effects) // what was taken before is written when more is asked for
			}
			<-free
		})
	}
}
