// Package journal is the one place where Godwit's durable state lives: an ordered log of batches with one writer.
//
// A Log knows nothing of queues or messages. It takes batches of opaque records, makes each batch durable as a whole or
// not at all, tells when, reads them back in order or one at a time, and forgets them from the head. The broker's state is
// what these records say (see the package broker). Engines: segment (files, one node), jetstream (replicated).
// Both pass journaltest.
package journal

import (
	"errors"
	"fmt"
)

// Position is the address of a record: a number that grows through the whole life of a log and never names two things.
// It is a byte address in the log as if nothing had ever been trimmed, so the difference of two positions is about the
// space between them. 0 is the position of nothing.
type Position uint64

// Errors that callers act on. Engines wrap them with what was tried and where.
var (
	// ErrBroken means that a write or a sync has failed: what the disk holds is unknown. The log takes no more appends;
	// the broker must stop serving, close it, open it again and recover by reading.
	ErrBroken = errors.New("journal is broken")
	// ErrFull means that the batch does not fit and was certainly not written. The log goes on working.
	ErrFull = errors.New("journal is full")
	// ErrDeposed means that another writer has begun a later epoch: this one is over for ever.
	ErrDeposed = errors.New("journal has a newer writer")
	// ErrCorrupt means that what was read is not what was written: a wrong byte, a gap or a fork. See CorruptError.
	ErrCorrupt = errors.New("journal is damaged")
	// ErrTrimmed means that the position lies before the head.
	ErrTrimmed = errors.New("position was trimmed")
	// ErrClosed means that Close was called before.
	ErrClosed = errors.New("journal is closed")
)

// CorruptError names the damage precisely, so that an operator can decide. It matches ErrCorrupt with errors.Is.
type CorruptError struct {
	File     string   // the file, or the stream's name
	Offset   int64    // bytes from the start of File
	Sequence uint64   // of the stream's message; 0: File is a file
	At       Position // of the batch or record
	Reason   string   // "checksum of batch 17 is 1a2b3c4d, computed 5e6f7081"
}

// Error says what is damaged, where, and what can be done.
func (e *CorruptError) Error() string {
	if e.Sequence != 0 {
		return fmt.Sprintf("journal is damaged: stream %s at message %d: %s", e.File, e.Sequence, e.Reason)
	}
	return fmt.Sprintf("journal is damaged: %s at offset %d: %s (see: godwit journal verify, godwit journal repair)", e.File, e.Offset, e.Reason)
}

// Is makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Record is one record as read back.
type Record struct {
	Position Position
	Epoch    uint64 // of the writer that appended it
	Data     []byte // valid only until the callback returns
}

// Space tells how much may still be written.
type Space struct {
	Used int64 // bytes on disk between head and tail, whole segments
	Free int64 // bytes that may still be appended, the reserve not counted; <= 0 means that sends must be refused
	// Reserve is what is kept back, in bytes and already allocated, for records that free space or settle what was
	// accepted: acknowledgements, expiry, deletes, moves of the trimmer.
	Reserve int64
}

// Log is an ordered sequence of batches with one writer at a time.
//
// Append and Trim are called by one goroutine; the others by any.
type Log interface {
	// Append takes the batch over, gives its records their positions (Batch.Position) and returns without waiting
	// for the disk. Batches become durable in the order of their appends, each whole or not at all; the engine then calls
	// Notify.Durable. Append blocks while more than Options.MaxPending bytes wait. urgent lets the batch use the reserve; without it
	// ErrFull is returned when only the reserve is left. The batch belongs to the log until Durable has been called for it;
	// then it may be reused. Errors: ErrFull, ErrBroken, ErrDeposed, ErrClosed.
	Append(b *Batch, urgent bool) error
	// Read calls fn for each record from the first at or after `from` up to the durable tail, in order. It verifies
	// checksums and chain. An error of fn ends it and is returned as it is. Other errors: ErrCorrupt, ErrTrimmed (from lies before
	// the head; 0 means the head).
	Read(from Position, fn func(Record) error) error
	// ReadBatches calls fn for each batch as it is stored, the engine's own included, from the one in which `from` lies (0: the head) up to the durable tail, in
	// order and verified as Read does it: layout.Header reads it. For copies that take the log's own proof along. The batch is valid only until fn returns. Errors are those of Read.
	ReadBatches(from Position, fn func(batch []byte) error) error
	// ReadAt returns the data of one durable record, verified, in dst's space if it suffices. Errors: ErrTrimmed, ErrCorrupt.
	ReadAt(at Position, dst []byte) ([]byte, error)
	// Header is the header of the durable batch that begins at a position (HeaderSize before its first record). It carries a hash over all before it, so two
	// logs with the same header there have the same records up to the end of that batch. It is not verified beyond its shape. Errors: ErrTrimmed, ErrCorrupt if
	// no batch begins there, and one of its own if the position is not durable.
	Header(at Position) ([HeaderSize]byte, error)
	// Trim allows the log to forget all records before the position. It frees whole segments, at once or soon, and is
	// never undone. The caller has made sure that all it needs stands at or after it, durably.
	Trim(before Position) error
	// Head is the position of the oldest record kept; Tail the one after the newest durable record.
	Head() Position
	Tail() Position
	// Epoch is this writer's epoch: greater than that of any writer before.
	Epoch() uint64
	// Space tells how much room is left. It is cheap.
	Space() Space
	// Close makes all that was appended durable, and releases the log.
	Close() error
}

// Notify is how a log tells its owner what happened. The functions are called by a goroutine of the log, one call at a
// time, in order; they must not wait for the owner's own call of Append.
type Notify struct {
	// Durable says that all records before the position are durable.
	Durable func(before Position)
	// Broken says, once, that the log has failed (ErrBroken, ErrDeposed). No Durable follows.
	Broken func(err error)
}
