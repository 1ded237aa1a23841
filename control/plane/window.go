package plane

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Window is when a broker may be maintained: two hours each week from a time of day in a time zone.
type Window struct {
	Day  string `json:"dayOfWeek"`          // MONDAY to SUNDAY
	Time string `json:"timeOfDay"`          // 00:00 to 23:59
	Zone string `json:"timeZone,omitempty"` // Europe/Berlin, or an offset: UTC+02:00, -05:00; "": UTC
}

// windowLength is how long a window is open.
const windowLength = 2 * time.Hour

var days = []string{"SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY"} // by time.Weekday

var (
	timeOfDay = regexp.MustCompile(`^([01][0-9]|2[0-3]):([0-5][0-9])$`)
	offset    = regexp.MustCompile(`^(?:UTC|GMT)?([+-])([01]?[0-9])(?::?([0-5][0-9]))?$`)
)

func (w Window) check(zone func(string) (*time.Location, error)) error {
	if !slices.Contains(days, w.Day) {
		return bad("maintenanceWindowStartTime", "[%s] is no day of the week: MONDAY to SUNDAY", w.Day)
	}
	if !timeOfDay.MatchString(w.Time) {
		return bad("maintenanceWindowStartTime", "[%s] is no time of day: 00:00 to 23:59", w.Time)
	}
	if _, err := w.location(zone); err != nil {
		return bad("maintenanceWindowStartTime", "[%s] is no time zone: a name such as Europe/Berlin, or an offset such as UTC+02:00", w.Zone)
	}
	return nil
}

func (w Window) location(zone func(string) (*time.Location, error)) (*time.Location, error) {
	if w.Zone == "" || w.Zone == "UTC" {
		return time.UTC, nil
	}
	if m := offset.FindStringSubmatch(w.Zone); m != nil {
		hours, _ := strconv.Atoi(m[2])
		minutes, _ := strconv.Atoi("0" + m[3])
		seconds := (hours*60 + minutes) * 60
		if seconds > 14*3600 {
			return nil, fmt.Errorf("offset %s is more than 14 hours", w.Zone)
		}
		if m[1] == "-" {
			seconds = -seconds
		}
		return time.FixedZone(w.Zone, seconds), nil
	}
	if zone == nil || w.Zone == "Local" || len(w.Zone) > 64 || strings.Contains(w.Zone, "..") {
		return nil, fmt.Errorf("time zone %s is not known", w.Zone)
	}
	return zone(w.Zone)
}

// Next is the first start of the window after a time. A start that a change of the clocks leaves out is at that change; of one that comes twice
// it is the first. The error is that of zone.
func (w Window) Next(after time.Time, zone func(string) (*time.Location, error)) (time.Time, error) {
	loc, err := w.location(zone)
	if err != nil {
		return time.Time{}, err
	}
	if err := w.check(zone); err != nil {
		return time.Time{}, err
	}
	hour, _ := strconv.Atoi(w.Time[:2])
	minute, _ := strconv.Atoi(w.Time[3:])
	year, month, day := after.In(loc).Date()
	for n := 0; ; n++ {
		// At noon the day of the week is beyond doubt; and the day of `after` may be the day of the start of a week later.
		noon := time.Date(year, month, day+n, 12, 0, 0, 0, loc)
		if days[noon.Weekday()] != w.Day {
			continue
		}
		if start := at(noon, hour, minute); start.After(after) {
			return start, nil
		}
	}
}

// at is the moment of a time of day on the day of a time.
func at(day time.Time, hour, minute int) time.Time {
	t := time.Date(day.Year(), day.Month(), day.Day(), hour, minute, 0, 0, day.Location())
	begin, end := t.ZoneBounds()
	if t.Hour() != hour || t.Minute() != minute { // the clocks leave it out
		if t.Hour()*60+t.Minute() > hour*60+minute {
			return begin.UTC()
		}
		return end.UTC()
	}
	if !begin.IsZero() {
		_, now := t.Zone()
		_, before := begin.Add(-time.Nanosecond).Zone()
		if earlier := t.Add(time.Duration(now-before) * time.Second); earlier.Before(begin) && now < before {
			return earlier.UTC()
		}
	}
	return t.UTC()
}

// Open says whether the window is open.
func (w Window) Open(now time.Time, zone func(string) (*time.Location, error)) bool {
	start, err := w.Next(now.Add(-windowLength), zone)
	return err == nil && !start.After(now)
}
