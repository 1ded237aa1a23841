package security

import (
	"log/slog"
	"sync"
	"time"
)

// watchers are the identities whose connections want to be told when the policy does not admit them any more.
type watchers struct {
	mu sync.Mutex
	of map[*Identity]func(error)
}

// Watch calls gone, once, as soon as the policy in force would not have the client any more (see [Identity.Valid]): in the
// [Authority.Update] that says so, when the account of a directory ends (see [Account]), or at once if it has come already. So a client that says nothing is noticed too, and nobody has to ask.
// gone must not block. An identity has one watch at a time; stop ends it, and must be called when the connection ends.
func (i *Identity) Watch(gone func(error)) (stop func()) {
	w := &i.authority.watchers
	w.mu.Lock()
	if w.of == nil {
		w.of = make(map[*Identity]func(error))
	}
	w.of[i] = gone
	w.mu.Unlock()
	i.authority.sendAway(i) // an Update that came before has not seen it
	var expiry *time.Timer
	if i.outside != nil && !i.outside.until.IsZero() {
		expiry = time.AfterFunc(time.Until(i.outside.until), func() {
			i.outside.ended.Store(true)
			i.authority.sendAway(i)
		})
	}
	return func() {
		if expiry != nil {
			expiry.Stop()
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.of, i)
	}
}

// sendAway tells those of the watched identities that are not valid any more: of those named or, without any, of all.
func (a *Authority) sendAway(which ...*Identity) {
	type farewell struct {
		to   *Identity
		why  Reason
		gone func(error)
	}
	var away []farewell
	w := &a.watchers
	policy := a.current.Load()
	look := func(i *Identity) {
		if gone, why := w.of[i], i.objection(policy); gone != nil && why != "" {
			away = append(away, farewell{i, why, gone})
			delete(w.of, i)
		}
	}
	w.mu.Lock()
	for _, i := range which {
		look(i)
	}
	if which == nil {
		for i := range w.of {
			look(i)
		}
	}
	w.mu.Unlock()
	for _, f := range away { // outside of the lock, since they may end their watch
		a.log.Warn("a client is not admitted any more", slog.String("user", f.to.shown), slog.Any("address", f.to.address), slog.String("reason", string(f.why)))
		f.gone(&LoginError{User: f.to.name, Reason: f.why})
	}
}
