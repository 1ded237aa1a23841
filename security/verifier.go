package security

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"time"
)

var errBusy = errors.New("too many passwords wait for verification")

// verdictKey stands for user, password and stored hash, by a key that dies with the process: what is remembered is of no
// use to whoever reads it, and a changed hash makes it worthless.
type verdictKey [sha256.Size]byte

// verifier computes slow hashes, few at a time, and remembers for a short while what came out. Many that ask the same at
// once cost one computation.
type verifier struct {
	secret  []byte
	workers chan struct{}
	max     int
	stand   passwordHash // for the unknown user where no user is known

	mu      sync.Mutex
	flights map[verdictKey]*flight
	right   *memory
	wrong   *memory // its own, so that guesses cannot push out what is right
	seen    *memory // which right credentials came from which address
}

// flight is a computation under way.
type flight struct {
	done    chan struct{} // closed when right is set
	cancel  context.CancelFunc
	waiting int // guarded by verifier.mu; the last to leave cancels
	right   bool
	err     error
}

// seenFor is how long an address counts as one from which given credentials were right.
const seenFor = time.Hour

func newVerifier(o Options) *verifier {
	return &verifier{
		secret:  randomKey(),
		workers: make(chan struct{}, o.Workers),
		max:     o.MaxWaiting,
		stand: &argon2idHash{source: "none", memoryKiB: newMemoryKiB, passes: newPasses, lanes: newLanes,
			salt: randomKey()[:saltBytes], key: randomKey()},
		flights: make(map[verdictKey]*flight),
		right:   newMemory(o.Remember, o.RememberFor),
		wrong:   newMemory(o.Remember, o.RememberFor),
		seen:    newMemory(o.Remember, seenFor),
	}
}

// key is a keyed hash over the parts, each with its length before it.
func (v *verifier) key(parts ...string) verdictKey {
	mac := hmac.New(sha256.New, v.secret)
	for _, p := range parts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		mac.Write(length[:])
		mac.Write([]byte(p))
	}
	var key verdictKey
	mac.Sum(key[:0])
	return key
}

// dummy is the hash against which an unknown user is verified: that of some user, always the same for a name, so that
// the time taken does not tell which names exist.
func (v *verifier) dummy(s *snapshot, user string) passwordHash {
	if len(s.accounts) == 0 {
		return v.stand
	}
	key := v.key("dummy", user)
	return s.accounts[binary.BigEndian.Uint64(key[:8])%uint64(len(s.accounts))].hash
}

// verify says whether the password fits the hash. It waits for ctx at most.
func (v *verifier) verify(ctx context.Context, key verdictKey, hash passwordHash, password string) (bool, error) {
	v.mu.Lock()
	now := time.Now()
	if v.right.has(key, now) {
		v.mu.Unlock()
		return true, nil
	}
	if v.wrong.has(key, now) {
		v.mu.Unlock()
		return false, nil
	}
	f := v.flights[key]
	if f == nil {
		if len(v.flights) >= v.max+cap(v.workers) {
			v.mu.Unlock()
			return false, errBusy
		}
		// Not the caller's context: others may come to wait for the same.
		own, cancel := context.WithCancel(context.Background())
		f = &flight{done: make(chan struct{}), cancel: cancel}
		v.flights[key] = f
		go v.compute(own, key, f, hash, password)
	}
	f.waiting++
	v.mu.Unlock()

	select {
	case <-f.done:
		return f.right, f.err
	case <-ctx.Done():
		v.mu.Lock()
		f.waiting--
		if f.waiting == 0 {
			f.cancel()
			if v.flights[key] == f {
				delete(v.flights, key) // who comes now begins anew
			}
		}
		v.mu.Unlock()
		return false, ctx.Err()
	}
}

func (v *verifier) compute(ctx context.Context, key verdictKey, f *flight, hash passwordHash, password string) {
	defer f.cancel()
	select {
	case v.workers <- struct{}{}:
		if ctx.Err() == nil {
			f.right = hash.verify(password)
		} else {
			f.err = ctx.Err()
		}
		<-v.workers
	case <-ctx.Done():
		f.err = ctx.Err()
	}
	v.mu.Lock()
	if f.err == nil {
		into := v.wrong
		if f.right {
			into = v.right
		}
		into.put(key, time.Now())
	}
	if v.flights[key] == f {
		delete(v.flights, key)
	}
	v.mu.Unlock()
	close(f.done)
}

// proven says whether these credentials were right from this address within the last hour.
func (v *verifier) proven(address netip.Addr, key verdictKey) bool {
	k := v.key("seen", address.String(), string(key[:]))
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen.has(k, time.Now())
}

func (v *verifier) prove(address netip.Addr, key verdictKey) {
	k := v.key("seen", address.String(), string(key[:]))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen.put(k, time.Now())
}

// memory is a bounded set whose members expire.
type memory struct {
	max   int
	keep  time.Duration
	until map[verdictKey]time.Time
}

func newMemory(max int, keep time.Duration) *memory {
	return &memory{max: max, keep: keep, until: make(map[verdictKey]time.Time)}
}

func (m *memory) has(key verdictKey, now time.Time) bool {
	until, ok := m.until[key]
	if ok && !now.Before(until) {
		delete(m.until, key)
		ok = false
	}
	return ok
}

// put adds a key. If the set is full, one of a few random members goes: the one that would expire first.
func (m *memory) put(key verdictKey, now time.Time) {
	if _, ok := m.until[key]; !ok && len(m.until) >= m.max {
		var first verdictKey
		looked := 0
		for k, until := range m.until {
			if looked == 0 || until.Before(m.until[first]) {
				first = k
			}
			if looked++; looked == 8 {
				break
			}
		}
		delete(m.until, first)
	}
	m.until[key] = now.Add(m.keep)
}
