package message

import (
	"encoding/binary"
	"slices"
)

// Property is a name with its value, of one of the types that Properties holds.
type Property struct {
	Name  string
	Value any
}

// Change gives a copy without the properties that drop says (nil: none), and with those of set, which replace others of their name. It panics for a value
// that no property can have. The broken rest of a map is left out.
func (p Properties) Change(drop func(name string) bool, set ...Property) Properties {
	changed := make([]byte, 4, 4+len(p)+48*len(set))
	count := uint32(0)
	if entries, err := p.entries(); err == nil {
		for entries.left > 0 {
			before := entries.rest
			key, _, err := entries.next()
			if err != nil {
				break
			}
			name := string(key)
			if drop != nil && drop(name) || slices.ContainsFunc(set, func(s Property) bool { return wireForm(s.Name) == name }) {
				continue
			}
			changed = append(changed, before[:len(before)-len(entries.rest)]...)
			count++
		}
	}
	for _, s := range set {
		var err error
		if changed, err = appendEntry(changed, s.Name, s.Value); err != nil {
			panic("message: " + err.Error())
		}
		count++
	}
	binary.BigEndian.PutUint32(changed, count)
	return changed
}
