package security

import (
	"crypto/x509"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Identity is a client that was admitted. Its checks read memory only and may be called concurrently.
type Identity struct {
	authority *Authority
	name      string
	shown     string // in refusals: the name, or a certificate's subject
	address   netip.AddrPort
	proof     proof
	// What an authenticated identity rests on, if not on a user of the policy by its name.
	certificate *x509.Certificate
	outside     *outside
	doubt       Reason // why Mandatory would not admit it, where Observe or Optional did
	standing    atomic.Pointer[standing]
}

// proof is what an Identity rests on.
type proof uint8

const (
	noProof   proof = iota // a name that nobody verified (Ignore), or that is wrong (Observe)
	nobody                 // no credentials were given
	password               // user and password were right
	possessed              // a client certificate of the user
)

// Name is the user's name: for JMSXUserID, lists and logs. It is "anonymous" where Optional admitted without
// credentials, and as given (maybe empty) where the mode verifies nothing.
func (i *Identity) Name() string { return i.name }

// Authenticated says whether the name was verified.
func (i *Identity) Authenticated() bool { return i.proof == password || i.proof == possessed }

// Doubt is why mode Mandatory would have refused the login. It is empty if the credentials were right, and where nobody looked at them (Ignore).
func (i *Identity) Doubt() Reason { return i.doubt }

// Valid says whether the policy in force would still have the client: nil, or why its connection should be closed.
// [Identity.Watch] asks after each [Authority.Update]. A changed password invalidates nobody; a removed user does.
func (i *Identity) Valid() error {
	s := i.authority.current.Load()
	if reason := i.objection(s); reason != "" {
		return &LoginError{User: i.name, Reason: reason}
	}
	return nil
}

// objection is why s does not admit the identity, or "".
func (i *Identity) objection(s *snapshot) Reason {
	switch {
	case s.mode == Ignore || s.mode == Observe:
		return ""
	case i.Authenticated():
		_, reason := i.account(s)
		return reason
	case i.proof == nobody && s.mode == Optional:
		return ""
	case i.proof == nobody:
		return NoCredentials
	}
	return Unverified
}

// MayRead says whether the identity may subscribe to or browse a destination. name is without its scheme and may be a
// wildcard or a composite name, of which every part is checked. The error is a *Denied with ActiveMQ's text.
func (i *Identity) MayRead(kind Kind, name string) error { return i.May(Read, kind, name) }

// MayWrite says whether the identity may send to a destination; see MayRead.
func (i *Identity) MayWrite(kind Kind, name string) error { return i.May(Write, kind, name) }

// MayCreate says whether the identity may make a destination, be it by first use; see MayRead. To be asked only if the
// destination does not exist.
func (i *Identity) MayCreate(kind Kind, name string) error { return i.May(Create, kind, name) }

// CanCreate is MayCreate for one who does not know whether the destination exists: a refusal is neither logged nor observed, because it may never
// come to one.
func (i *Identity) CanCreate(kind Kind, name string) bool {
	return i.verdict(question{action: Create, quiet: true, kind: kind, name: name}) == nil
}

// MayRemove says whether the identity may remove a destination; see MayRead.
func (i *Identity) MayRemove(kind Kind, name string) error { return i.May(Remove, kind, name) }

// standing is what an identity is under one policy, with the verdicts given so far.
type standing struct {
	of       *snapshot
	free     bool // everything is allowed
	observe  bool // everything is allowed, but refusals are reported
	refused  bool // nothing is allowed
	groups   []string
	mu       sync.Mutex
	verdicts map[question]*verdict
	last     atomic.Pointer[verdict] // most clients ask the same again and again
}

type verdict struct {
	on     question
	denied *Denied // nil: allowed
}

type question struct {
	action Action
	quiet  bool // a refusal is not reported
	kind   Kind
	name   string
}

// maxVerdicts bounds the memory of one identity; a client that uses more destinations is checked anew.
const maxVerdicts = 512

// May answers one question of rights. The first answer for a destination takes as long as there are entries; the
// following ones are remembered until the policy changes.
func (i *Identity) May(action Action, kind Kind, name string) error {
	if denied := i.verdict(question{action: action, kind: kind, name: name}); denied != nil {
		return denied
	}
	return nil
}

func (i *Identity) verdict(q question) *Denied {
	st := i.standing.Load()
	if s := i.authority.current.Load(); st == nil || st.of != s {
		st = i.stand(s)
		i.standing.Store(st)
	}
	if st.free {
		return nil
	}
	v := st.last.Load()
	if v == nil || v.on != q {
		st.mu.Lock()
		if v = st.verdicts[q]; v == nil {
			v = i.judge(st, q)
		}
		st.mu.Unlock()
		st.last.Store(v)
	}
	return v.denied
}

// stand computes the identity's standing under s.
func (i *Identity) stand(s *snapshot) *standing {
	st := &standing{of: s}
	var acc *account
	if i.Authenticated() {
		acc, _ = i.account(s)
	}
	switch {
	case s.mode == Ignore:
		st.free = true
	case s.mode == Observe:
		st.observe = true
		// Of a client that is not logged in, Login has reported already what matters.
		st.free = s.rights == nil || acc == nil
	case i.objection(s) != "":
		st.refused = true
	default:
		st.free = s.rights == nil
	}
	if acc != nil {
		st.groups = append(slices.Clone(acc.groups), everyone)
	} else if i.proof == nobody {
		st.groups = []string{anonymous}
	}
	return st
}

// judge decides, remembers and reports a question that is asked for the first time. The caller holds st.mu.
func (i *Identity) judge(st *standing, q question) *verdict {
	q.name = strings.Clone(q.name) // it may be a piece of a larger buffer
	var denied *Denied
	if st.refused || !allowAll(st.of.rights, q, st.groups) {
		denied = &Denied{User: i.shown, Action: q.action, Destination: destinationText(q.kind, q.name)}
		switch {
		case st.observe && q.quiet:
			denied = nil
		case st.observe:
			i.authority.observed.record(i.shown, i.address, "not authorized to "+actionTexts[q.action]+": "+denied.Destination)
			denied = nil
		case !q.quiet:
			i.authority.log.Warn("refused", slog.String("user", i.shown), slog.Any("address", i.address),
				slog.String("action", actionTexts[q.action]), slog.String("destination", denied.Destination))
		}
	}
	if st.verdicts == nil || len(st.verdicts) >= maxVerdicts {
		st.verdicts = make(map[question]*verdict)
	}
	v := &verdict{on: q, denied: denied}
	st.verdicts[q] = v
	return v
}

// allowAll checks every part of a name that may be composite.
func allowAll(r *rights, q question, groups []string) bool {
	if !strings.ContainsAny(q.name, ",?") && q.kind.valid() {
		return r.allow(q.action, q.kind, q.name, groups)
	}
	for part := range strings.SplitSeq(q.name, ",") {
		part, _, _ = strings.Cut(part, "?")
		kind, name := q.kind, strings.TrimSpace(part)
		for k := Queue; k <= TempTopic; k++ {
			if rest, ok := strings.CutPrefix(name, kindSchemes[k]); ok {
				kind, name = k, strings.TrimSpace(rest)
				break
			}
		}
		if !kind.valid() || name == "" || !r.allow(q.action, kind, name, groups) {
			return false
		}
	}
	return true
}

// destinationText is ActiveMQ's qualified name: with a scheme, unless it is composite.
func destinationText(kind Kind, name string) string {
	if !kind.valid() || strings.Contains(name, ",") {
		return name
	}
	return kindSchemes[kind] + name
}
