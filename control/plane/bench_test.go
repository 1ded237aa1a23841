package plane_test

import (
	"fmt"
	"testing"

	"github.com/godwitmq/godwit/control/plane"
)

// BenchmarkStep is one command in a service of 200 pairs with ten users each and a full audit trail of 1,000 entries.
func BenchmarkStep(b *testing.B) {
	s := plane.New(plane.Options{Limits: plane.Limits{Audit: 1000}})
	do := func(by plane.Origin, c plane.Command) *plane.Change {
		change, err := s.Step(start, by, c)
		if err != nil {
			b.Fatalf("%T: %v", c, err)
		}
		s = change.State
		return change
	}
	bench := newBench(nil, plane.Options{})
	for n := range 10 {
		do(operator, bench.node(n, fmt.Sprint("zone-", n%3), 4000<<30))
	}
	for n := range 200 {
		c := create(fmt.Sprintf("%04d", n), plane.Pair)
		for u := range 9 {
			c.Users = append(c.Users, plane.NewUser{Name: fmt.Sprint("user-", u), Hash: hash, Groups: []string{"admins"}})
		}
		id := do(alice, c).ID
		for {
			op := s.Broker(plane.Scope{}, id).Operation
			if op == nil {
				break
			}
			do(operator, plane.StepDone{Broker: id, Step: op.Current().ID, Epoch: 1})
		}
	}
	id := s.Brokers(plane.Scope{})[100].ID
	for name, c := range map[string]plane.Command{
		"user":       plane.UpdateUser{Broker: id, Name: "user-1", Console: ptr(true)},
		"switchover": plane.Switchover{ID: id},
		"tick":       plane.Tick{},
	} {
		b.Run(name, func(b *testing.B) {
			size := 0
			for b.Loop() {
				change, err := s.Step(start, alice, c)
				if err != nil {
					b.Fatal(err)
				}
				size = 0
				for _, r := range change.Records {
					size += len(r)
				}
			}
			b.ReportMetric(float64(size), "record-B/op")
		})
	}
}
