package message

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind is what a destination is.
type Kind uint8

// The kinds of destinations. NoDestination is the kind of the zero Destination.
const (
	NoDestination Kind = iota
	Queue
	Topic
	TempQueue
	TempTopic
)

var kindSchemes = [...]string{"", "queue://", "topic://", "temp-queue://", "temp-topic://"}

// String is the kind's name: queue, topic, temp-queue, temp-topic, or none.
func (k Kind) String() string {
	switch {
	case k == NoDestination:
		return "none"
	case k > TempTopic:
		return "kind " + strconv.Itoa(int(k))
	}
	return strings.TrimSuffix(kindSchemes[k], "://")
}

// IsTopic says whether every subscription of the destination gets its own copy.
func (k Kind) IsTopic() bool { return k == Topic || k == TempTopic }

// IsTemporary says whether the destination dies with its connection.
func (k Kind) IsTemporary() bool { return k == TempQueue || k == TempTopic }

// Destination names a queue or a topic. It is comparable; the zero value is no destination.
type Destination struct {
	Kind Kind
	Name string // without the scheme; never empty in a valid destination
}

// String is the text form that ActiveMQ uses: queue://NAME, topic://NAME, temp-queue://NAME, temp-topic://NAME.
func (d Destination) String() string {
	switch {
	case d.Kind == NoDestination:
		return ""
	case d.Kind > TempTopic:
		return d.Kind.String() + "://" + d.Name
	}
	return kindSchemes[d.Kind] + d.Name
}

// IsZero says whether d is no destination.
func (d Destination) IsZero() bool { return d.Kind == NoDestination }

// MaxNameBytes bounds a destination's name.
const MaxNameBytes = 4096

// ParseDestination reads the text form. A text without a scheme is of the kind given. Spaces around the text and around the
// name do not count. Options after '?' stay in the name; Parts cuts them off.
func ParseDestination(text string, without Kind) (Destination, error) {
	text = strings.TrimSpace(text)
	kind, name := without, text
	for k := Queue; k <= TempTopic; k++ {
		if rest, ok := strings.CutPrefix(text, kindSchemes[k]); ok {
			kind, name = k, strings.TrimSpace(rest)
			break
		}
	}
	switch {
	case len(name) > MaxNameBytes:
		return Destination{}, fmt.Errorf("destination name of %d bytes is longer than %d", len(name), MaxNameBytes)
	case name == "":
		return Destination{}, fmt.Errorf("destination %q has no name; expected for example queue://orders", text)
	case kind == NoDestination || kind > TempTopic:
		return Destination{}, errors.New("destination has no kind; expected queue://NAME, topic://NAME, temp-queue://NAME or temp-topic://NAME")
	}
	return Destination{Kind: kind, Name: name}, nil
}

// Parts splits a composite name ("a,b,topic://c") into its destinations; a part without a scheme is of d's kind. A
// simple destination is its only part. As in ActiveMQ, all after the first '?' is options of the whole (they may hold commas, in a
// selector for example) and is cut off, empty parts do not count, and what is named twice is one part.
func (d Destination) Parts() ([]Destination, error) {
	if !strings.ContainsAny(d.Name, ",?") {
		return []Destination{d}, nil
	}
	names, _, _ := strings.Cut(d.Name, "?")
	var parts []Destination
	for text := range strings.SplitSeq(names, ",") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		part, err := ParseDestination(text, d.Kind)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("destination %q has no name; expected for example queue://orders", d.String())
	}
	return parts, nil
}

// IsPattern says whether the name holds a wildcard: a segment * for one segment, or a last segment > for the rest. Inside a
// longer segment, and > before the last one, both stand for themselves. A composite name is no pattern; its parts may be.
func (d Destination) IsPattern() bool {
	if !strings.ContainsAny(d.Name, "*>") || strings.IndexByte(d.Name, ',') >= 0 {
		return false
	}
	for rest, more := d.Name, true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, ".")
		if segment == "*" || segment == ">" && !more {
			return true
		}
	}
	return false
}

// MatchName says whether a dot-separated name fits a pattern in which a segment * stands for one segment and a last segment > for any
// rest, the empty one included ("a.>" matches "a" and "a.b.c").
func MatchName(pattern, name string) bool {
	for {
		segment, restPattern, morePattern := strings.Cut(pattern, ".")
		if segment == ">" && !morePattern {
			return true
		}
		part, restName, moreName := strings.Cut(name, ".")
		if segment != "*" && segment != part {
			return false
		}
		if !moreName {
			return !morePattern || restPattern == ">"
		}
		if !morePattern {
			return false
		}
		pattern, name = restPattern, restName
	}
}
