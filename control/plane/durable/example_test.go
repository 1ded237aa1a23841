package durable_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
)

// A reconciler carries out effects and reports. It needs to remember nothing: what was lost is in State().Work().
func Example() {
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	wake := make(chan struct{}, 1)
	p, err := durable.OpenDir(dir, durable.Options{
		Logger: slog.New(slog.DiscardHandler),
		OnEffects: func([]plane.Effect) { // there is something new to do; it must not wait
			select {
			case wake <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		panic(err)
	}
	defer p.Close()
	ctx := context.Background()

	// A node says that it is there; a user makes a broker.
	node := plane.Origin{Who: "laptop"}
	_, err = p.Do(ctx, node, plane.RegisterNode{Name: "laptop", Zone: "home", Range: netip.MustParsePrefix("127.0.64.0/18")})
	if err != nil {
		panic(err)
	}
	user := plane.Origin{Scope: plane.Scope{Account: "111111111111", Region: "eu-west-1"}, Who: "AKIAEXAMPLE", From: "127.0.0.1"}
	made, err := p.Do(ctx, user, plane.CreateBroker{ID: durable.NewID("b"), Name: "payroll", Mode: plane.Pair, Engine: plane.ActiveMQ, Type: "mq.m5.medium",
		Users:   []plane.NewUser{{Name: "admin", Hash: "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"}},
		Default: &plane.CreateConfiguration{ID: durable.NewID("c"), Name: "payroll", Engine: plane.ActiveMQ, Data: []byte("<broker/>")}})
	if err != nil {
		panic(err)
	}

	// The reconciler: whenever it is woken, it looks at all there is to do.
	for {
		if state, _ := p.State().Broker(user.Scope, made.ID).State(); state == plane.Running {
			break
		}
		<-wake
		for _, e := range p.State().Work() {
			if e.Kind == plane.Run {
				continue // the agent keeps the instance running with e.Spec
			}
			fmt.Println(e.Operation, "-", e.Kind, e.Spec.Number)
			_, err := p.Do(ctx, node, plane.StepDone{Broker: e.Spec.Broker, Step: e.Step}) // or StepFailed
			if err != nil && plane.KindOf(err) != plane.Stale {
				panic(err)
			}
		}
	}

	// What would a switchover cost?
	plans, err := p.Plan(user, plane.Switchover{ID: made.ID})
	if err != nil {
		panic(err)
	}
	fmt.Println(plans[0].Cost)
	// Output:
	// create - start 3
	// create - start 1
	// create - start 2
	// restart: no, failover: 1 to 2
}
