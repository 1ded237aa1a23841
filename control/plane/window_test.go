package plane_test

import (
	"testing"
	"time"

	"github.com/godwitmq/godwit/control/plane"
)

func TestWindowNext(t *testing.T) {
	for name, tt := range map[string]struct {
		day, time, zone string
		after, want     string
	}{
		"later the same day":          {"MONDAY", "14:00", "UTC", "2026-11-30T12:00:00Z", "2026-11-30T14:00:00Z"},
		"earlier the same day":        {"MONDAY", "11:00", "", "2026-11-30T12:00:00Z", "2026-12-07T11:00:00Z"},
		"just now":                    {"MONDAY", "12:00", "UTC", "2026-11-30T12:00:00Z", "2026-12-07T12:00:00Z"},
		"offset":                      {"MONDAY", "02:00", "UTC+05:30", "2026-11-29T12:00:00Z", "2026-11-29T20:30:00Z"},
		"offset without a name":       {"MONDAY", "02:00", "-08:00", "2026-11-29T12:00:00Z", "2026-11-30T10:00:00Z"},
		"offset in hours":             {"MONDAY", "02:00", "GMT+1", "2026-11-29T12:00:00Z", "2026-11-30T01:00:00Z"},
		"winter":                      {"SUNDAY", "02:30", "Europe/Berlin", "2026-03-16T00:00:00Z", "2026-03-22T01:30:00Z"},
		"left out in spring":          {"SUNDAY", "02:30", "Europe/Berlin", "2026-03-23T00:00:00Z", "2026-03-29T01:00:00Z"}, // 02:00 becomes 03:00
		"just before it in spring":    {"SUNDAY", "01:59", "Europe/Berlin", "2026-03-23T00:00:00Z", "2026-03-29T00:59:00Z"},
		"just behind it in spring":    {"SUNDAY", "03:00", "Europe/Berlin", "2026-03-23T00:00:00Z", "2026-03-29T01:00:00Z"},
		"summer":                      {"SUNDAY", "02:30", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-04-05T00:30:00Z"},
		"twice in autumn":             {"SUNDAY", "02:30", "Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-25T00:30:00Z"}, // the first of them
		"between the two in autumn":   {"SUNDAY", "02:30", "Europe/Berlin", "2026-10-25T00:45:00Z", "2026-11-01T01:30:00Z"},
		"just behind it in autumn":    {"SUNDAY", "03:00", "Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-25T02:00:00Z"},
		"left out at midnight":        {"FRIDAY", "00:30", "Africa/Cairo", "2026-04-20T00:00:00Z", "2026-04-23T22:00:00Z"},
		"left out, west of Greenwich": {"SUNDAY", "02:15", "America/New_York", "2026-03-02T12:00:00Z", "2026-03-08T07:00:00Z"},
		"half an hour in autumn":      {"SUNDAY", "01:45", "Australia/Lord_Howe", "2026-04-01T00:00:00Z", "2026-04-04T14:45:00Z"},
		"the day differs from UTC's":  {"MONDAY", "01:00", "Asia/Tokyo", "2026-11-28T00:00:00Z", "2026-11-29T16:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			after, err := time.Parse(time.RFC3339, tt.after)
			if err != nil {
				t.Fatal(err)
			}
			w := plane.Window{Day: tt.day, Time: tt.time, Zone: tt.zone}
			got, err := w.Next(after, time.LoadLocation)
			if err != nil || got.Format(time.RFC3339) != tt.want {
				t.Errorf("Next(%s) of %+v = %v, %v; want %s", tt.after, w, got.Format(time.RFC3339), err, tt.want)
			}
			for _, at := range []struct {
				time time.Time
				open bool
			}{{got.Add(-time.Second), false}, {got, true}, {got.Add(2*time.Hour - time.Second), true}, {got.Add(2 * time.Hour), false}} {
				if open := w.Open(at.time, time.LoadLocation); open != at.open {
					t.Errorf("Open(%v) = %v, want %v", at.time, open, at.open)
				}
			}
		})
	}
}

// TestWindowComesOnceAWeek goes through three years in which clocks change.
func TestWindowComesOnceAWeek(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "UTC-11:00"} {
		for _, at := range []string{"00:00", "02:30", "23:59"} {
			w := plane.Window{Day: "SUNDAY", Time: at, Zone: zone}
			last := start
			for n := range 150 {
				next, err := w.Next(last, time.LoadLocation)
				if err != nil {
					t.Fatal(err)
				}
				if gap := next.Sub(last); n > 0 && (gap < 7*24*time.Hour-time.Hour || gap > 7*24*time.Hour+time.Hour) {
					t.Errorf("%+v: from %v to %v are %v", w, last, next, gap)
				}
				last = next
			}
		}
	}
}

func TestWindowRefused(t *testing.T) {
	for _, w := range []plane.Window{{Day: "Sunday", Time: "02:00"}, {Day: "SUNDAY", Time: "24:00"}, {Day: "SUNDAY", Time: "2:00"}, {Day: "SUNDAY", Time: "02:00", Zone: "Nowhere/Land"},
		{Day: "SUNDAY", Time: "02:00", Zone: "UTC+15:00"}, {Day: "SUNDAY", Time: "02:00", Zone: "../../etc/passwd"}, {Day: "SUNDAY", Time: "02:00", Zone: "Local"}} {
		if next, err := w.Next(start, time.LoadLocation); err == nil {
			t.Errorf("%+v gives %v, want an error", w, next)
		}
		b := newBench(t, plane.Options{}).nodes("a")
		c := create("1", plane.Single)
		c.MaintenanceWindow = w
		b.refused(alice, c, plane.BadRequest, "maintenanceWindowStartTime")
	}
}
