package plane

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// table is a set of rows by id. A row is never changed once it is in a table, and the map is copied before its first change in a
// Step; so a State that somebody reads stays as it is.
type table[T any] struct {
	name string
	rows map[string]*T
}

func (t *table[T]) get(id string) *T { return t.rows[id] }

// all ranges over the rows in the order of their ids.
func (t *table[T]) all() iter.Seq2[string, *T] {
	return func(yield func(string, *T) bool) {
		for _, id := range slices.Sorted(maps.Keys(t.rows)) {
			if !yield(id, t.rows[id]) {
				return
			}
		}
	}
}

// edit is a copy of a row that may be changed and put back; nil if there is none.
func (t *table[T]) edit(id string) *T {
	row := t.rows[id]
	if row == nil {
		return nil
	}
	return decoded[T](encode(row))
}

// put makes v the row. What is kept is decoded from what is recorded: so a replay cannot differ, and nothing is shared with the caller.
func (t *table[T]) put(tx *tx, id string, v *T) {
	data := encode(v)
	row := decoded[T](data)
	t.own(tx)
	tx.changed(t.name, id, t.rows[id], row)
	t.rows[id] = row
	tx.record(recordPut, change{Table: t.name, ID: id, Value: data})
}

func (t *table[T]) drop(tx *tx, id string) {
	t.own(tx)
	tx.changed(t.name, id, t.rows[id], (*T)(nil))
	delete(t.rows, id)
	tx.record(recordDrop, change{Table: t.name, ID: id})
}

func (t *table[T]) own(tx *tx) {
	if !tx.owned[t.name] {
		tx.owned[t.name] = true
		t.rows = maps.Clone(t.rows)
	}
}

// snapshot gives a record for each row.
func (t *table[T]) snapshot() (list [][]byte) {
	for id, row := range t.all() {
		list = append(list, newRecord(recordPut, change{Table: t.name, ID: id, Value: encode(row)}))
	}
	return list
}

// apply is put and drop for a replay. The map is the replay's own.
func (t *table[T]) apply(kind recordKind, c change) error {
	if kind == recordDrop {
		if t.rows[c.ID] == nil {
			return fmt.Errorf("%s %q is dropped and does not exist", c.Table, c.ID)
		}
		delete(t.rows, c.ID)
		return nil
	}
	row := new(T)
	if err := decodeStrictly(c.Value, row); err != nil {
		return fmt.Errorf("%s %q: %w", c.Table, c.ID, err)
	}
	t.rows[c.ID] = row
	return nil
}

// encode makes JSON of a value of this package, which cannot fail.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return data
}

func decoded[T any](data []byte) *T {
	v := new(T)
	if err := json.Unmarshal(data, v); err != nil {
		panic(fmt.Sprintf("decode %T: %v", v, err))
	}
	return v
}

// decodeStrictly refuses what this version does not know: it would be lost when the value is written again.
func decodeStrictly(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
