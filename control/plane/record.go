package plane

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// recordKind is the first byte of every record; JSON follows. The numbers are the log's format: never reuse one. The log guards the bytes.
type recordKind byte

const (
	recordSnapshot recordKind = 1 // all that was before is void; what follows in the same batch is the state
	recordPut      recordKind = 2 // a row of a table
	recordDrop     recordKind = 3
	recordAudit    recordKind = 4 // an entry, and which is the oldest that is kept
	recordStep     recordKind = 5 // ends what one Step has changed
)

// format is that of the records. A snapshot names it.
const format = 1

type (
	snapshot struct {
		Format int    `json:"format"`
		Serial uint64 `json:"serial"`
	}
	change struct {
		Table string          `json:"table"`
		ID    string          `json:"id"`
		Value json.RawMessage `json:"value,omitempty"`
	}
	audited struct {
		Entry Entry  `json:"entry"`
		First uint64 `json:"first,omitempty"` // serial of the oldest entry that is kept
	}
	step struct {
		Serial uint64    `json:"serial"`
		At     time.Time `json:"at"`
	}
)

// ErrRecord is the cause of every failure to understand a record.
var ErrRecord = errors.New("record of the control plane cannot be understood")

func newRecord(kind recordKind, v any) []byte { return append([]byte{byte(kind)}, encode(v)...) }

// Snapshot is the whole state in records. Appended as one batch they make all before them superfluous.
func (s *State) Snapshot() [][]byte {
	list := [][]byte{newRecord(recordSnapshot, snapshot{Format: format, Serial: s.serial})}
	list = append(list, s.keys.snapshot()...)
	list = append(list, s.nodes.snapshot()...)
	list = append(list, s.invites.snapshot()...)
	list = append(list, s.groups.snapshot()...)
	list = append(list, s.types.snapshot()...)
	list = append(list, s.configurations.snapshot()...)
	list = append(list, s.revisions.snapshot()...)
	list = append(list, s.brokers.snapshot()...)
	for _, e := range s.audit {
		list = append(list, newRecord(recordAudit, audited{Entry: e}))
	}
	return list
}

// Replay makes a state of the records of a log.
type Replay struct {
	s *State
}

// NewReplay begins with nothing.
func NewReplay(opt Options) *Replay { return &Replay{New(opt)} }

// Record takes the next record. It keeps nothing of data. Errors wrap ErrRecord: the log was written by a newer version, or by something else; to go on would lose what it says.
func (r *Replay) Record(data []byte) error {
	if err := r.record(data); err != nil {
		return fmt.Errorf("%w: %w (was it written by a newer version?)", ErrRecord, err)
	}
	return nil
}

func (r *Replay) record(data []byte) error {
	if len(data) == 0 {
		return errors.New("it is empty")
	}
	kind, data := recordKind(data[0]), data[1:]
	switch kind {
	case recordSnapshot:
		var v snapshot
		if err := decodeStrictly(data, &v); err != nil {
			return err
		}
		if v.Format != format {
			return fmt.Errorf("the format is %d, this version knows %d", v.Format, format)
		}
		r.s = New(*r.s.opt)
		r.s.serial = v.Serial
	case recordPut, recordDrop:
		var v change
		if err := decodeStrictly(data, &v); err != nil {
			return err
		}
		return r.s.apply(kind, v)
	case recordAudit:
		var v audited
		if err := decodeStrictly(data, &v); err != nil {
			return err
		}
		r.s.audit = appendEntry(r.s.audit, v)
	case recordStep:
		var v step
		if err := decodeStrictly(data, &v); err != nil {
			return err
		}
		r.s.serial = v.Serial
	default:
		return fmt.Errorf("its kind is %d", kind)
	}
	return nil
}

func (s *State) apply(kind recordKind, c change) error {
	switch c.Table {
	case s.keys.name:
		return s.keys.apply(kind, c)
	case s.nodes.name:
		return s.nodes.apply(kind, c)
	case s.invites.name:
		return s.invites.apply(kind, c)
	case s.groups.name:
		return s.groups.apply(kind, c)
	case s.types.name:
		return s.types.apply(kind, c)
	case s.configurations.name:
		return s.configurations.apply(kind, c)
	case s.revisions.name:
		return s.revisions.apply(kind, c)
	case s.brokers.name:
		return s.brokers.apply(kind, c)
	}
	return fmt.Errorf("there is no table %q", c.Table)
}

// State ends the replay.
func (r *Replay) State() *State { return r.s }
