// Package dns keeps a name in the DNS at the addresses of the instance that serves, by dynamic updates (RFC 2136) that are signed with a shared key, as their answers
// are (TSIG, RFC 8945).
//
// Beside the name, at _godwit.NAME, stands a TXT record that says whose the addresses are. Each update has the server compare that record first, in the same step as
// it writes. So an instance that was replaced, and has not noticed, cannot write over the one that replaced it, however late its update arrives.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Name is a name, and how it is written.
type Name struct {
	Name string // "broker.example.com"; with or without a dot at the end
	// Zone is the zone that it is in. "" means that the servers are asked.
	Zone string
	// Servers are HOST:PORT of authoritative servers that take updates. They are tried in this order.
	Servers []string
	// TTL is how long resolvers may keep an answer, in whole seconds.
	TTL time.Duration
	Key Key
	// Within is how long each answer is waited for. 0 means 2 s.
	Within time.Duration
	// TakeOver says that addresses are replaced that no broker of this name has written.
	TakeOver bool
}

// Owner says who wrote a name.
type Owner struct {
	Broker   string // those of one broker replace one another
	Instance string // who of them
	Epoch    uint64 // the higher one counts; no two instances of one broker have the same
}

// Claim is what a name is to say.
type Claim struct {
	Owner
	Addresses []netip.Addr // at least one
}

// State is what the servers say of a name.
type State struct {
	Owner     *Owner // nil: there is none, or it is not in Godwit's form
	Addresses []netip.Addr
	Alias     string // where the name's CNAME leads; "" is none
	TTL       time.Duration

	text []dns.RR // at _godwit.NAME
}

// Errors of Update that no other server and no second attempt would change. The error around them says what was found and what to do.
var (
	ErrForeign = errors.New("the name is not this broker's")
	ErrNewer   = errors.New("the name is a newer instance's")
)

// answerWithin is Within if nothing is said.
const answerWithin = 2 * time.Second

// raced is how often an update is tried again because the name has changed since it was looked at.
const raced = 3

// Look asks what the name says.
func (n *Name) Look(ctx context.Context) (State, error) {
	var is State
	err := n.each(ctx, func(s *session) (err error) {
		is, err = s.look()
		return err
	})
	return is, err
}

// Update makes the name say what is claimed, and tells whether it had to be written. It waits for the servers, for each of some answers as long as Within says. The error is ErrForeign, ErrNewer,
// or tells of each server why it could not be done there.
func (n *Name) Update(ctx context.Context, c Claim) (written bool, err error) {
	if len(c.Addresses) == 0 {
		return false, errors.New("there is no address to write")
	}
	err = n.each(ctx, func(s *session) (err error) {
		written, err = s.update(c)
		return err
	})
	return written, err
}

// each tries one server after the other.
func (n *Name) each(ctx context.Context, do func(*session) error) error {
	if len(n.Servers) == 0 {
		return errors.New("there is no server to ask")
	}
	var failed error
	for _, server := range n.Servers {
		err := do(&session{Name: n, ctx: ctx, server: server, name: canonical(n.Name), mark: MarkName(n.Name)})
		if err == nil || errors.Is(err, ErrForeign) || errors.Is(err, ErrNewer) {
			return err
		}
		err = fmt.Errorf("%s: %w", server, err)
		if failed != nil {
			err = fmt.Errorf("%w; %w", failed, err)
		}
		failed = err
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

// MarkName is where the owner of a name stands.
func MarkName(name string) string { return "_godwit." + canonical(name) }

func canonical(name string) string { return dns.CanonicalName(name) }

// session is what is said with one server.
type session struct {
	*Name
	ctx        context.Context
	server     string
	name, mark string // canonical
}

// String is the text of the TXT record.
func (o Owner) String() string {
	return fmt.Sprintf("broker=%s instance=%s epoch=%d", o.Broker, o.Instance, o.Epoch)
}

// parseOwner reads what String writes; nil for anything else.
func parseOwner(text string) *Owner {
	var o Owner
	words := strings.Split(text, " ")
	if len(words) != 3 {
		return nil
	}
	var epoch string
	for i, w := range []struct {
		key string
		to  *string
	}{{"broker=", &o.Broker}, {"instance=", &o.Instance}, {"epoch=", &epoch}} {
		value, ok := strings.CutPrefix(words[i], w.key)
		if !ok || value == "" {
			return nil
		}
		*w.to = value
	}
	var err error
	if o.Epoch, err = strconv.ParseUint(epoch, 10, 64); err != nil {
		return nil
	}
	return &o
}

func (s *session) look() (State, error) {
	var is State
	for _, ask := range []struct {
		name string
		kind uint16
	}{{s.mark, dns.TypeTXT}, {s.name, dns.TypeA}, {s.name, dns.TypeAAAA}} {
		answer, err := s.query(ask.name, ask.kind)
		if err != nil {
			return State{}, err
		}
		for _, rr := range answer.Answer {
			if canonical(rr.Header().Name) == ask.name { // else it is what an alias leads to
				is.add(rr)
			}
		}
	}
	if len(is.text) == 1 {
		if t := is.text[0].(*dns.TXT); len(t.Txt) == 1 {
			is.Owner = parseOwner(t.Txt[0])
		}
	}
	return is, nil
}

func (is *State) add(rr dns.RR) {
	switch rr := rr.(type) {
	case *dns.TXT:
		is.text = append(is.text, rr)
		return
	case *dns.CNAME:
		is.Alias = rr.Target
		return
	case *dns.A:
		a, _ := netip.AddrFromSlice(rr.A.To4())
		is.Addresses = append(is.Addresses, a)
	case *dns.AAAA:
		a, _ := netip.AddrFromSlice(rr.AAAA)
		is.Addresses = append(is.Addresses, a)
	default: // a signature
		return
	}
	is.TTL = max(is.TTL, time.Duration(rr.Header().Ttl)*time.Second)
}

// String is what there is, for an error.
func (is State) String() string {
	var all []string
	for _, a := range is.Addresses {
		all = append(all, a.String())
	}
	if is.Alias != "" {
		all = append(all, "an alias of "+is.Alias)
	}
	for _, rr := range is.text {
		all = append(all, fmt.Sprintf("the text %q at %s", strings.Join(rr.(*dns.TXT).Txt, " "), rr.Header().Name))
	}
	if len(all) == 0 {
		return "records that are no addresses"
	}
	return strings.Join(all, ", ")
}

// says reports whether nothing is to be written.
func (is State) says(c Claim, ttl time.Duration) bool {
	return is.Owner != nil && *is.Owner == c.Owner && is.Alias == "" && is.TTL == ttl && slices.Equal(sorted(is.Addresses), sorted(c.Addresses))
}

func sorted(all []netip.Addr) []netip.Addr {
	all = slices.Clone(all)
	for i := range all {
		all[i] = all[i].Unmap()
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// update looks, and writes on the condition that what it saw is so still. A condition that does not hold shows that somebody else has written since.
func (s *session) update(c Claim) (written bool, err error) {
	for range raced {
		is, err := s.look()
		if err != nil {
			return false, err
		}
		if is.says(c, s.TTL) {
			return false, nil
		}
		written, err := s.write(is, c)
		if written || err != nil {
			return written, err
		}
	}
	return false, errors.New("somebody else writes the name again and again")
}

// write is one attempt. false and no error: a condition did not hold, look again.
func (s *session) write(is State, c Claim) (bool, error) {
	if is.Owner != nil && is.Owner.Broker == c.Broker {
		if o := is.Owner; o.Epoch > c.Epoch || o.Epoch == c.Epoch && o.Instance != c.Instance {
			return false, fmt.Errorf("%w: %s says %s, this is %s, epoch %d. If there is no such instance any more, because the log was begun anew, remove the records of %s and %s",
				ErrNewer, s.mark, o, c.Instance, c.Epoch, s.mark, s.name)
		}
		code, err := s.send(is, c, same(is.text))
		return code == dns.RcodeSuccess, err
	}
	// Whether there is something, the server decides: what an answer shows may come of a wildcard.
	conditions := []condition{absent(s.mark)}
	if !s.TakeOver {
		conditions[0] = append(conditions[0], unused(s.name))
	} else if len(is.text) > 0 {
		conditions = append(conditions, same(is.text))
	}
	for _, when := range conditions {
		if code, err := s.send(is, c, when); err != nil || code == dns.RcodeSuccess {
			return err == nil, err
		}
	}
	again, err := s.look()
	switch {
	case err != nil:
		return false, err
	case again.Owner != nil && again.Owner.Broker == c.Broker || s.TakeOver:
		return false, nil
	}
	return false, fmt.Errorf("%w: %s has %s, which it has not written. Remove that from the zone, or set takeOver: true if it may be replaced", ErrForeign, s.name, again)
}

// condition is what must hold for an update, as records of its prerequisite section.
type condition []dns.RR

// absent: there is no text.
func absent(mark string) condition {
	return condition{&dns.ANY{Hdr: dns.RR_Header{Name: mark, Rrtype: dns.TypeTXT, Class: dns.ClassNONE}}} // RFC 2136, 2.4.3
}

// unused: the name has no record at all.
func unused(name string) dns.RR {
	return &dns.ANY{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeANY, Class: dns.ClassNONE}} // 2.4.5
}

// same: the text is as it was read.
func same(text []dns.RR) condition {
	var all condition
	for _, rr := range text {
		rr = dns.Copy(rr)
		rr.Header().Ttl = 0 // 2.4.2
		all = append(all, rr)
	}
	return all
}

// send replaces addresses and owner, and gives the answer's code: success, or one that says that the condition does not hold.
func (s *session) send(is State, c Claim, when condition) (code int, err error) {
	zone := s.Zone
	if zone == "" {
		if zone, err = s.zone(); err != nil {
			return 0, err
		}
	}
	m := new(dns.Msg)
	m.SetUpdate(canonical(zone))
	m.Answer = when
	header := func(name string, kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: uint32(s.TTL / time.Second)}
	}
	all := func(name string, kind uint16) dns.RR { return &dns.ANY{Hdr: header(name, kind)} }
	m.RemoveRRset([]dns.RR{all(s.name, dns.TypeA), all(s.name, dns.TypeAAAA), all(s.mark, dns.TypeTXT)})
	if is.Alias != "" { // beside one no address counts; a server may allow the other kinds alone
		m.RemoveRRset([]dns.RR{all(s.name, dns.TypeCNAME)})
	}
	for _, a := range sorted(c.Addresses) {
		if a.Is4() {
			m.Insert([]dns.RR{&dns.A{Hdr: header(s.name, dns.TypeA), A: a.AsSlice()}})
		} else {
			m.Insert([]dns.RR{&dns.AAAA{Hdr: header(s.name, dns.TypeAAAA), AAAA: a.AsSlice()}})
		}
	}
	m.Insert([]dns.RR{&dns.TXT{Hdr: header(s.mark, dns.TypeTXT), Txt: []string{c.Owner.String()}}})
	answer, err := s.exchange(m)
	if err != nil {
		return 0, err
	}
	switch answer.Rcode {
	case dns.RcodeSuccess, dns.RcodeYXDomain, dns.RcodeYXRrset, dns.RcodeNXRrset:
		return answer.Rcode, nil
	case dns.RcodeRefused:
		return 0, fmt.Errorf("it refuses the update; it must allow the key %s to change A and AAAA of %s, and TXT of %s, in the zone %s", s.Key.Name, s.name, s.mark, zone)
	case dns.RcodeNotZone:
		return 0, fmt.Errorf("it answers NOTZONE: %s is not in the zone %s", s.name, zone)
	}
	return 0, fmt.Errorf("it answers %s to the update", codeName(answer.Rcode))
}

// zone is the one that the name is in: its start of authority comes with every answer about a name in it.
func (s *session) zone() (string, error) {
	answer, err := s.query(s.name, dns.TypeSOA)
	if err != nil {
		return "", err
	}
	for _, rr := range slices.Concat(answer.Answer, answer.Ns) {
		if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(soa.Hdr.Name, s.name) {
			return soa.Hdr.Name, nil
		}
	}
	return "", fmt.Errorf("it does not say which zone %s is in; set zone", s.name)
}

func (s *session) query(name string, kind uint16) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	m.RecursionDesired = false
	m.SetEdns0(udpSize, false)
	answer, err := s.exchange(m)
	switch {
	case err != nil:
		return nil, err
	case answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError:
		return nil, fmt.Errorf("it answers %s to a question for %s of %s; it must be authoritative for it, and answer who has the key %s", codeName(answer.Rcode), dns.TypeToString[kind], name, s.Key.Name)
	case !answer.Authoritative:
		return nil, fmt.Errorf("it is not authoritative for %s", name)
	}
	return answer, nil
}

func codeName(code int) string {
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("the code %d", code)
}
