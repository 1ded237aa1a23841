package broker

import (
	"strings"
	"testing"
	"time"
)

func TestCron(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	tests := map[string]struct {
		after string
		in    *time.Location
		want  string
	}{
		"* * * * *":               {"2026-12-31T23:59:30Z", nil, "2027-01-01T00:00:00Z"},
		"*/5 * * * *":             {"2026-11-23T07:15:00Z", nil, "2026-11-23T07:20:00Z"},
		"0/15 * * * *":            {"2026-11-23T07:15:00Z", nil, "2026-11-23T08:00:00Z"},
		"1-5/2 * * * *":           {"2026-11-23T07:26:33Z", nil, "2026-11-23T08:02:00Z"},
		"0-30/10 * * * *":         {"2026-11-23T07:15:00Z", nil, "2026-11-23T07:20:00Z"},
		"1,,2 * * * *":            {"2026-11-23T07:26:33Z", nil, "2026-11-23T08:01:00Z"},
		"1-5,10 * * * *":          {"2026-11-23T07:05:33Z", nil, "2026-11-23T07:10:00Z"},
		"30 4 * * *":              {"2027-02-28T12:00:00Z", nil, "2027-03-01T04:30:00Z"},
		"0 0 1 * *":               {"2026-12-31T23:59:30Z", nil, "2027-01-01T00:00:00Z"},
		"0 0 * * 0":               {"2026-11-23T07:26:33Z", nil, "2026-11-29T00:00:00Z"},
		"0 0 31 * *":              {"2027-02-28T12:00:00Z", nil, "2027-03-31T00:00:00Z"},
		"0 0 29 2 *":              {"2026-11-23T07:26:33Z", nil, "2028-02-29T00:00:00Z"},
		"0 12 * 6 *":              {"2026-11-23T07:26:33Z", nil, "2027-06-01T12:00:00Z"},
		"15,45 8-10 * 1,6,12 1-5": {"2026-11-23T07:26:33Z", nil, "2026-12-01T08:15:00Z"},
		"? ? ? ? ?":               {"2026-11-23T07:26:33Z", nil, "2026-11-23T07:27:00Z"},
		"01 02 03 04 5":           {"2026-11-23T07:26:33Z", nil, "2027-04-02T02:01:00Z"},
		"0 0 13 * 5":              {"2026-11-23T07:26:33Z", nil, "2026-11-27T00:00:00Z"},
		"\t0  3\t* * * ":          {"2026-11-23T07:26:33Z", nil, "2026-11-24T03:00:00Z"},
		"30 2 * * *":              {"2027-03-27T12:00:00Z", berlin, "2027-03-29T00:30:00Z"}, // not on the day that has no 2:30
		"30 2 25-31 10 *":         {"2027-10-30T22:00:00Z", berlin, "2027-10-31T00:30:00Z"}, // the first of two
		"0 9 * * *":               {"2026-11-23T07:26:33Z", berlin, "2026-11-23T08:00:00Z"},
	}
	for text, tt := range tests {
		c, err := parseCron(text)
		if err != nil {
			t.Errorf("parseCron(%q): %v", text, err)
			continue
		}
		after, err := time.Parse(time.RFC3339, tt.after)
		if err != nil {
			t.Fatal(err)
		}
		if tt.in != nil {
			after = after.In(tt.in)
		}
		if got := c.next(after).UTC().Format(time.RFC3339); got != tt.want {
			t.Errorf("%q after %s is at %s, want %s", text, tt.after, got, tt.want)
		}
	}
}

func TestCronNonsense(t *testing.T) {
	for _, text := range []string{"", "nonsense", "* * * *", "* * * * * *", "61 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * 0 *", "* * * * 7", "5-1 * * * *",
		"* * * JAN *", "@hourly", "* * L * *", "-1 * * * *", "1- * * * *", "a-b * * * *", "*/0 * * * *", "*/x * * * *", "5/15 * * * *", "* * 31 2 *", ", * * * *", "+1 * * * *", "1-2-3 * * * *",
		"1/2/3 * * * *", "99999999999999999999 * * * *", strings.Repeat("1,", 200) + "1 * * * *"} {
		if c, err := parseCron(text); err == nil {
			t.Errorf("parseCron(%q) gives %+v, want an error", text, c)
		}
	}
}

func FuzzCron(f *testing.F) {
	for _, s := range []string{"* * * * *", "1-5,10/5 ? 1 2 3", "0 0 29 2 *"} {
		f.Add(s, int64(1_800_000_000))
	}
	f.Fuzz(func(t *testing.T, text string, at int64) {
		c, err := parseCron(text)
		if err != nil || at < 0 || at > 1<<40 {
			return
		}
		after := time.Unix(at, 0).UTC()
		next := c.next(after)
		if !next.IsZero() && !next.After(after) {
			t.Errorf("%q after %s is at %s", text, after, next)
		}
		if again, err := parseCron(c.text); err != nil || again.fields != c.fields {
			t.Errorf("%q is kept as %q, which reads otherwise: %v", text, c.text, err)
		}
	})
}
