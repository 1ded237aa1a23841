package console

import (
	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/readiness"
)

// link is a way to a page.
type link struct {
	To, Text   string
	Here, Show bool
	Num        bool
	Way        string // of a column by which the list is sorted: ascending or descending
}

// under says of which page of the navigation a page is a part.
var under = map[string]string{"destination": "queues", "messages": "queues", "send": "queues", "sweep": "queues", "switchover": "overview", "service": "overview"}

// nav is an entry of the navigation.
func nav(v *view, page, text, role string) link {
	to := v.Base() + page
	switch page {
	case "overview":
		to = v.Base()
	case "brokers", "groups", "nodes":
		to = root + page
	}
	return link{To: to, Text: text, Here: v.Page == page || under[v.Page] == page, Show: v.May(api.Role(role))}
}

// sorted is the head of a column that sorts.
func sorted(v *view, by, text string) link {
	now := v.Query("sort")
	if now == "" {
		now = "name"
	}
	l := link{To: v.Self("sort", by, "page", ""), Text: text, Here: now == by, Num: by != "name", Way: "descending"}
	if by == "name" {
		l.Way = "ascending"
	}
	return l
}

func more(findings []readiness.Finding) int { return len(findings) - 1 }

func lastID(schedules []broker.ScheduleView) string { return schedules[len(schedules)-1].ID }
