package broker

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// cron is a time table of five fields: minute, hour, day of month, month, day of week (0 is Sunday), in ActiveMQ's dialect: * or ? for all, numbers, a-b,
// lists with commas, and /n for those of the values before it that n divides. Where both kinds of day are limited, either will do.
type cron struct {
	text   string
	fields [5]uint64 // bit v: the value v fits
	anyDay [2]bool   // whether the day of month, of week is not limited
}

var cronFields = [...]struct {
	name      string
	low, high int
}{{"minute", 0, 59}, {"hour", 0, 23}, {"day of month", 1, 31}, {"month", 1, 12}, {"day of week", 0, 6}}

// maxCronText bounds an entry, in bytes.
const maxCronText = 256

func parseCron(text string) (*cron, error) {
	if len(text) > maxCronText {
		return nil, fmt.Errorf("the CRON entry has %d bytes, at most %d are allowed", len(text), maxCronText)
	}
	words := strings.Fields(text)
	if len(words) != len(cronFields) {
		return nil, fmt.Errorf("the CRON entry %q has %d fields; expected five: minute, hour, day of month, month, day of week", text, len(words))
	}
	c := &cron{text: strings.Join(words, " ")}
	for i, word := range words {
		values, err := cronValues(word, cronFields[i].low, cronFields[i].high)
		if err != nil {
			return nil, fmt.Errorf("the CRON entry %q has %q for the %s: %w", text, word, cronFields[i].name, err)
		}
		c.fields[i] = values
	}
	c.anyDay = [2]bool{words[2] == "*" || words[2] == "?", words[4] == "*" || words[4] == "?"}
	if c.next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("the CRON entry %q names a day that no year has", text)
	}
	return c, nil
}

// cronValues gives the values of one field as bits.
func cronValues(word string, low, high int) (uint64, error) {
	var values uint64
	for part := range strings.SplitSeq(word, ",") {
		if part == "" && word != "" { // 1,,2 as ActiveMQ takes it
			continue
		}
		span, step, stepped := strings.Cut(part, "/")
		from, to := low, high
		if span != "*" && span != "?" {
			first, last, isSpan := strings.Cut(span, "-")
			var err error
			if from, err = cronNumber(first, low, high); err != nil {
				return 0, err
			}
			if to = from; isSpan {
				if to, err = cronNumber(last, from, high); err != nil {
					return 0, err
				}
			}
		}
		every := 1
		if stepped {
			var err error
			if every, err = cronNumber(step, 1, high); err != nil {
				return 0, err
			}
		}
		for v := from; v <= to; v++ {
			if v%every == 0 {
				values |= 1 << v
			}
		}
	}
	if values == 0 {
		return 0, fmt.Errorf("no value from %d to %d fits", low, high)
	}
	return values, nil
}

func cronNumber(text string, low, high int) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || int(n) < low || int(n) > high {
		return 0, fmt.Errorf("%q is no number from %d to %d", text, low, high)
	}
	return int(n), nil
}

// next is the first time after t that fits, in t's location; zero if there is none in 40 years. A time that a change of clocks skips is passed over.
func (c *cron) next(t time.Time) time.Time {
	minute, hour, month := c.fields[0], c.fields[1], c.fields[3]
	t = t.Truncate(time.Minute).Add(time.Minute)
	end := t.AddDate(40, 0, 0)
	for t.Before(end) {
		y, m, d := t.Date()
		switch {
		case month>>m&1 == 0:
			t = time.Date(y, m+1, 1, 0, 0, 0, 0, t.Location())
		case !c.day(d, t.Weekday()):
			t = time.Date(y, m, d+1, 0, 0, 0, 0, t.Location())
		case hour>>t.Hour()&1 == 0:
			// Not by a date: an hour that the clocks go back comes twice.
			t = t.Add(time.Duration(60-t.Minute()) * time.Minute)
		case minute>>t.Minute()&1 == 0:
			ahead := minute >> t.Minute()
			if ahead == 0 {
				t = t.Add(time.Duration(60-t.Minute()) * time.Minute)
			} else {
				t = t.Add(time.Duration(bits.TrailingZeros64(ahead)) * time.Minute)
			}
		default:
			return t
		}
	}
	return time.Time{}
}

func (c *cron) day(d int, w time.Weekday) bool {
	ofMonth, ofWeek := c.fields[2]>>d&1 == 1, c.fields[4]>>w&1 == 1
	switch {
	case c.anyDay[0]:
		return ofWeek
	case c.anyDay[1]:
		return ofMonth
	}
	return ofMonth || ofWeek
}
