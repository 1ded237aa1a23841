package plane

import "time"

// Key is an access key: with it an account's requests are signed.
type Key struct {
	ID       string    `json:"id"`     // as in requests: AKIA...
	Secret   string    `json:"secret"` // in clear, since signatures are computed with it
	Account  string    `json:"account"`
	Note     string    `json:"note,omitempty"` // for people: whose it is
	Created  time.Time `json:"created"`
	Disabled bool      `json:"disabled,omitempty"`
}

// CreateKey makes an access key. ID and Secret are random, and the caller's.
type CreateKey struct{ ID, Secret, Account, Note string }

func (c CreateKey) do(tx *tx) error {
	switch {
	case !between(len(c.ID), 16, 128) || !only(c.ID, ""):
		return bad("id", "the id of an access key has 16 to 128 letters and digits")
	case !between(len(c.Secret), 16, 256):
		return bad("secret", "the secret of an access key has 16 to 256 characters")
	case !isAccount(c.Account):
		return bad("account", "account [%s] is not one: twelve digits", c.Account)
	case len(c.Note) > 256:
		return bad("note", "a note has at most 256 characters")
	case tx.s.keys.get(c.ID) != nil:
		return conflict("id", "access key [%s] exists already", c.ID)
	case len(tx.s.keys.rows) >= tx.limits().Keys:
		return conflict("id", "there are %d access keys already, which is the limit: delete some", len(tx.s.keys.rows))
	}
	tx.id = c.ID
	tx.s.keys.put(tx, c.ID, &Key{ID: c.ID, Secret: c.Secret, Account: c.Account, Note: c.Note, Created: tx.now})
	return nil
}

// EnableKey enables an access key, or disables it: requests that it has signed are refused then.
type EnableKey struct {
	ID      string
	Enabled bool
}

func (c EnableKey) do(tx *tx) error {
	k := tx.s.keys.edit(c.ID)
	if k == nil {
		return missing("id", "access key", c.ID)
	}
	tx.id = c.ID
	if k.Disabled == !c.Enabled {
		return nil
	}
	k.Disabled = !c.Enabled
	tx.s.keys.put(tx, c.ID, k)
	return nil
}

// DeleteKey removes an access key.
type DeleteKey struct{ ID string }

func (c DeleteKey) do(tx *tx) error {
	if tx.s.keys.get(c.ID) == nil {
		return missing("id", "access key", c.ID)
	}
	tx.s.keys.drop(tx, c.ID)
	return nil
}

// Key is an access key by its id, nil if there is none. It may be disabled.
func (s *State) Key(id string) *Key { return s.keys.get(id) }

// Keys lists the access keys by id.
func (s *State) Keys() []*Key { return list(&s.keys, nil) }
