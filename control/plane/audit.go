package plane

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Entry is one thing that was done, by whom. Before and After have what differs of the object, without secrets.
type Entry struct {
	Serial   uint64          `json:"serial"`
	Time     time.Time       `json:"time"`
	Account  string          `json:"account,omitempty"` // whose object it is; empty: the operator's
	Region   string          `json:"region,omitempty"`
	Who      string          `json:"who,omitempty"`
	From     string          `json:"from,omitempty"`
	Action   string          `json:"action"` // the command's name, or what an operation did
	Resource string          `json:"resource,omitempty"`
	Detail   string          `json:"detail,omitempty"`
	Before   json.RawMessage `json:"before,omitempty"`
	After    json.RawMessage `json:"after,omitempty"`
}

// maxDifference bounds each side of an entry, in bytes.
const maxDifference = 8 << 10

// itself is who does what nobody has just asked for.
const itself = "godwit"

// touch is a row that a Step has changed.
type touch struct {
	table, id   string
	before, now any // typed nil: there is none
}

func (tx *tx) changed(table, id string, before, now any) {
	for i, t := range tx.touched {
		if t.table == table && t.id == id {
			tx.touched[i].now = now
			return
		}
	}
	tx.touched = append(tx.touched, touch{table, id, before, now})
}

// event notes what an operation does.
func (tx *tx) event(b *Broker, action, detail string) {
	tx.events = append(tx.events, Entry{Account: b.Account, Region: b.Region, Who: itself, Action: action, Resource: b.ID, Detail: detail})
}

// auditCommand writes who did what, if it was somebody's wish, and what operations did.
func (tx *tx) auditCommand(c Command) {
	switch c.(type) {
	case Tick, StepDone, StepFailed, Observed:
	default:
		of := max(0, slices.IndexFunc(tx.touched, func(t touch) bool { return t.id == tx.id }))
		t := tx.touched[of]
		e := Entry{Account: tx.by.Account, Region: tx.by.Region, Who: tx.by.Who, From: tx.by.From, Action: strings.TrimPrefix(fmt.Sprintf("%T", c), "plane."), Resource: t.id}
		e.Before, e.After = differences(t.before, t.now)
		tx.log(e)
	}
	for _, e := range tx.events {
		tx.log(e)
	}
}

func (tx *tx) log(e Entry) {
	e.Serial, e.Time = tx.next(), tx.now
	list := tx.s.audit
	keep := 0
	for keep < len(list) && (len(list)-keep >= tx.limits().Audit || list[keep].Time.Before(tx.now.Add(-tx.limits().AuditAge))) {
		keep++
	}
	a := audited{Entry: e}
	if keep > 0 {
		a.First = e.Serial
		if keep < len(list) {
			a.First = list[keep].Serial
		}
	}
	data := newRecord(recordAudit, a)
	tx.records = append(tx.records, data)
	tx.s.audit = appendEntry(slices.Clone(list), *decoded[audited](data[1:]))
}

// appendEntry changes what list has room for.
func appendEntry(list []Entry, a audited) []Entry {
	for len(list) > 0 && list[0].Serial < a.First {
		list = list[1:]
	}
	return append(list, a.Entry)
}

// hidden are the fields of rows that no entry shows: secrets, and what changes all the time.
var hidden = []string{"secret", "operation", "instances", "version", "last", "epoch", "logSince", "requestDigest"}

// differences are the fields in which two rows differ.
func differences(before, after any) (b, a json.RawMessage) {
	was, is := fields(before), fields(after)
	for _, name := range slices.Collect(maps.Keys(was)) {
		if bytes.Equal(was[name], is[name]) {
			delete(was, name)
			delete(is, name)
		}
	}
	return bounded(was), bounded(is)
}

func bounded(m map[string]json.RawMessage) json.RawMessage {
	if len(m) == 0 {
		return nil
	}
	data := encode(m)
	if len(data) > maxDifference {
		return encode(map[string]string{"omitted": fmt.Sprintf("%d bytes", len(data))})
	}
	return data
}

// fields are the fields of a row that may be shown; of the users, each is one, without the hash, and of LDAP all but the password.
func fields(row any) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	data := encode(row)
	if bytes.Equal(data, []byte("null")) {
		return m
	}
	m = *decoded[map[string]json.RawMessage](data)
	for _, name := range hidden {
		delete(m, name)
	}
	if b, ok := row.(*Broker); ok {
		delete(m, "users")
		for name, u := range b.Users {
			u.Hash = ""
			m["users/"+name] = encode(u)
		}
		if b.LDAP != nil {
			shown := *b.LDAP
			shown.AccountPassword = ""
			m["ldap"] = encode(shown)
		}
	}
	return m
}

// Audit lists what was done, oldest first: all of it for the operator, else what concerns the scope. resource limits it to one object; "" does not. limit bounds the list to
// the newest; 0 does not.
func (s *State) Audit(scope Scope, resource string, limit int) []Entry {
	var list []Entry
	for i := len(s.audit) - 1; i >= 0 && (limit == 0 || len(list) < limit); i-- {
		e := s.audit[i]
		if scope.sees(Scope{e.Account, e.Region}) && (resource == "" || e.Resource == resource) {
			list = append(list, e)
		}
	}
	slices.Reverse(list)
	return list
}
