package broker

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Options applies what stands after the '?' in a destination's name, as in consumer.exclusive=true&consumer.selector=n%3D1. The options are those of
// ActiveMQ's Java client, which applies them itself: prefetchSize, maximumPendingMessageLimit, priority, exclusive, noLocal, retroactive, and selector
// unless there is one. Others, and numbers that are none, are passed over. Errors: Malformed for an escape that is none.
func (s *Subscribe) Options(text string) *Error {
	for option := range strings.SplitSeq(text, "&") {
		key, value, _ := strings.Cut(option, "=")
		key, ok := strings.CutPrefix(key, "consumer.")
		if !ok {
			continue
		}
		value, err := url.QueryUnescape(value)
		if err != nil {
			return &Error{Code: Malformed, Detail: fmt.Sprintf("The destination option %q cannot be read: %v", option, err), Err: err}
		}
		on := strings.EqualFold(value, "true")
		switch key {
		case "exclusive":
			s.Exclusive = on
		case "noLocal":
			s.NoLocal = on
		case "retroactive":
			s.Retroactive = on
		case "priority":
			setOption(&s.Priority, value)
		case "prefetchSize":
			setOption(&s.Prefetch, value)
		case "maximumPendingMessageLimit":
			setOption(&s.MaxPending, value)
		case "selector":
			if strings.TrimSpace(s.Selector) == "" {
				s.Selector = value
			}
		}
	}
	return nil
}

func setOption(n *int, value string) {
	if v, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32); err == nil {
		*n = int(v)
	}
}
