package mqapi

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // so that time zones do not depend on what is installed
)

// Timestamp is a time on the wire: UTC, with milliseconds, as Amazon writes it.
type Timestamp struct{ time.Time }

const timestampLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes it.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(timestampLayout) + `"`), nil
}

// ARN names a broker or a configuration, account and region included.
type ARN struct {
	Region, Account string
	Kind            string // "broker" or "configuration"
	ID              string
}

var arnForm = regexp.MustCompile(`^arn:aws:mq:([a-z0-9-]+):([A-Za-z0-9_-]+):(broker|configuration):(?:[A-Za-z0-9._~-]+:)?([bc]-[A-Za-z0-9-]+)$`)

// ParseARN reads arn:aws:mq:REGION:ACCOUNT:broker:NAME:ID and arn:aws:mq:REGION:ACCOUNT:configuration:ID; either may have the name or not.
func ParseARN(s string) (ARN, error) {
	m := arnForm.FindStringSubmatch(s)
	if m == nil {
		return ARN{}, fmt.Errorf("%.200q is not an ARN of a broker or a configuration: arn:aws:mq:REGION:ACCOUNT:broker:NAME:ID or arn:aws:mq:REGION:ACCOUNT:configuration:ID", s)
	}
	return ARN{Region: m[1], Account: m[2], Kind: m[3], ID: m[4]}, nil
}

// BrokerARN is the ARN of a broker of the caller's.
func (c Caller) BrokerARN(name, id string) string {
	return "arn:aws:mq:" + c.Region + ":" + c.Account + ":broker:" + name + ":" + id
}

// ConfigurationARN is the ARN of a configuration of the caller's.
func (c Caller) ConfigurationARN(id string) string {
	return "arn:aws:mq:" + c.Region + ":" + c.Account + ":configuration:" + id
}

var offset = regexp.MustCompile(`^(?:UTC|GMT)?([+-])(\d{2}):(\d{2})$`)

// Location is the time zone of a maintenance window: Country/City, UTC, or an offset from it (+02:00, UTC-05:30).
func Location(name string) (*time.Location, error) {
	if m := offset.FindStringSubmatch(name); m != nil {
		hours, _ := strconv.Atoi(m[2])
		minutes, _ := strconv.Atoi(m[3])
		if hours <= 14 && minutes < 60 {
			seconds := (hours*60 + minutes) * 60
			if m[1] == "-" {
				seconds = -seconds
			}
			return time.FixedZone(name, seconds), nil
		}
	} else if name == "UTC" || name == "GMT" || strings.Contains(name, "/") {
		if l, err := time.LoadLocation(name); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("%.60q is no time zone: write Country/City (Europe/Berlin), UTC, or an offset (+02:00)", name)
}

// text is text of others in a message, not too much of it.
func text(s string) string { return fmt.Sprintf("%.60q", s) }
