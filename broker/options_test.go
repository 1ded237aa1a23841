package broker

import "testing"

func TestOptions(t *testing.T) {
	tests := map[string]struct {
		text      string
		from, to  Subscribe
		malformed bool
	}{
		"none": {},
		"all": {text: "consumer.exclusive=true&consumer.noLocal=TRUE&consumer.retroactive=true&consumer.priority=-3&consumer.prefetchSize=10&consumer.maximumPendingMessageLimit=7&consumer.selector=n%3D1+AND+m%3D%272%27",
			to: Subscribe{Exclusive: true, NoLocal: true, Retroactive: true, Priority: -3, Prefetch: 10, MaxPending: 7, Selector: "n=1 AND m='2'"}},
		"the selector of the request comes first": {text: "consumer.selector=n%3D1", from: Subscribe{Selector: "n=2"}, to: Subscribe{Selector: "n=2"}},
		"off":                 {text: "consumer.exclusive=false", from: Subscribe{Exclusive: true}},
		"unknown":             {text: "consumer.bogus=1&bogus=2&producer.x=3&&="},
		"no number":           {text: "consumer.prefetchSize=x&consumer.priority=99999999999", from: Subscribe{Prefetch: 5}, to: Subscribe{Prefetch: 5}},
		"no escape":           {text: "consumer.selector=%zz", malformed: true},
		"an option of others": {text: "x=%zz"},
	}
	for name, tt := range tests {
		got := tt.from
		err := got.Options(tt.text)
		if (err != nil) != tt.malformed || got != tt.to {
			t.Errorf("%s: got %+v, error %v; want %+v", name, got, err, tt.to)
		}
	}
}
