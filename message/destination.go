package message

import (
	"errors"
	"fmt"
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
	if d.Kind == NoDestination {
		return ""
	}
	return kindSchemes[d.Kind] + d.Name
}

// IsZero says whether d is no destination.
func (d Destination) IsZero() bool { return d.Kind == NoDestination }

// MaxNameBytes bounds a destination's name.
const MaxNameBytes = 4096

// ParseDestination reads the text form. A text without a scheme is of the kind given.
func ParseDestination(text string, without Kind) (Destination, error) {
	kind, name := without, text
	for k := Queue; k <= TempTopic; k++ {
		if rest, ok := strings.CutPrefix(text, kindSchemes[k]); ok {
			kind, name = k, rest
			break
		}
	}
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return Destination{}, fmt.Errorf("destination %q has no name; expected for example queue://orders", text)
	case len(name) > MaxNameBytes:
		return Destination{}, fmt.Errorf("destination name of %d bytes is longer than %d", len(name), MaxNameBytes)
	case kind == NoDestination:
		return Destination{}, errors.New("destination has no kind; expected queue://NAME, topic://NAME, temp-queue://NAME or temp-topic://NAME")
	}
	return Destination{Kind: kind, Name: name}, nil
}

// Parts splits a composite name ("a,b,topic://c") into its destinations; a part without a scheme is of d's kind. A
// simple destination is its only part. Options after '?' are cut off each part.
func (d Destination) Parts() ([]Destination, error) {
	if !strings.ContainsAny(d.Name, ",?") {
		return []Destination{d}, nil
	}
	var parts []Destination
	for text := range strings.SplitSeq(d.Name, ",") {
		text, _, _ = strings.Cut(text, "?")
		part, err := ParseDestination(strings.TrimSpace(text), d.Kind)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// IsPattern says whether the name holds a wildcard segment: * for one segment, > for the rest.
func (d Destination) IsPattern() bool {
	return strings.ContainsAny(d.Name, "*>") && (d.Name == "*" || d.Name == ">" || strings.HasPrefix(d.Name, "*.") || strings.HasSuffix(d.Name, ".*") || strings.HasSuffix(d.Name, ".>") || strings.Contains(d.Name, ".*."))
}

// MatchName says whether a dot-separated name fits a pattern in which * stands for one segment and > for any rest,
// the empty one included ("a.>" matches "a" and "a.b.c").
func MatchName(pattern, name string) bool {
	for {
		segment, restPattern, morePattern := strings.Cut(pattern, ".")
		if segment == ">" {
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
