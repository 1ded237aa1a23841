package stomp

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Version is a version of STOMP. They are ordered; the zero Version is 1.0, which every connection starts with.
type Version uint8

// The versions.
const (
	V10 Version = iota
	V11
	V12
)

var versionTexts = [...]string{V10: "1.0", V11: "1.1", V12: "1.2"}

// String is the version as the version header has it: "1.2".
func (v Version) String() string { return versionTexts[v] }

// Negotiate chooses the highest version that the accept-version header and this package have in common; versions
// unknown here are passed over. No or an empty header means 1.0 (STOMP 1.2, Protocol Negotiation). The error is an Error.
func Negotiate(acceptVersion string) (Version, error) {
	if strings.TrimSpace(acceptVersion) == "" {
		return V10, nil
	}
	best, found := V10, false
	for text := range strings.SplitSeq(acceptVersion, ",") {
		text = strings.TrimSpace(text)
		for v := best; v <= V12; v++ {
			if text == v.String() {
				best, found = v, true
			}
		}
	}
	if !found {
		return V10, Error("Invalid Protocol version[" + acceptVersion + "], supported versions are: [1.2, 1.1, 1.0]")
	}
	return best, nil
}

// maxHeartBeat is the longest interval a header can name, about 24.8 days; longer ones are cut to it, so that a
// session may multiply an interval without overflow.
const maxHeartBeat = math.MaxInt32 * time.Millisecond

// ParseHeartBeat reads a heart-beat header, "5000,7000" in milliseconds (STOMP 1.2, Heart-beating): send is how often
// the peer can send something, want how often it wants to receive something; 0 is not at all. An absent header is
// "0,0", which is for the caller to say. The error is an Error.
func ParseHeartBeat(header string) (send, want time.Duration, err error) {
	first, second, ok := strings.Cut(header, ",")
	if ok {
		send, ok = parseInterval(first)
	}
	if ok {
		want, ok = parseInterval(second)
	}
	if !ok {
		return 0, 0, Error("Invalid heart-beat header:" + header)
	}
	return send, want, nil
}

func parseInterval(text string) (time.Duration, bool) {
	millis, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		return maxHeartBeat, true
	}
	return time.Duration(millis) * time.Millisecond, err == nil
}

// FormatHeartBeat writes the value of a heart-beat header: send is what the writer of the header can do, want what it
// would like to receive.
func FormatHeartBeat(send, want time.Duration) string {
	return strconv.FormatInt(send.Milliseconds(), 10) + "," + strconv.FormatInt(want.Milliseconds(), 10)
}
