package plane

import "strings"

// list is the rows that fit, by id.
func list[T any](t *table[T], fits func(*T) bool) []*T {
	var rows []*T
	for _, row := range t.all() {
		if fits == nil || fits(row) {
			rows = append(rows, row)
		}
	}
	return rows
}

func between(n, least, most int) bool { return least <= n && n <= most }

// only says whether a text has letters, digits and the others alone.
func only(text, others string) bool {
	for _, r := range text {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(others, r)) {
			return false
		}
	}
	return true
}

func isAccount(text string) bool {
	return len(text) == 12 && strings.Trim(text, "0123456789") == ""
}

// checkName is for names of nodes, zones, subnets and the like.
func checkName(attribute, name string) error {
	if !between(len(name), 1, 100) || !only(name, "-_.") {
		return bad(attribute, "[%s] is no name: 1 to 100 letters, digits, -, _ and .", name)
	}
	return nil
}

// checkID is for ids that the caller has made: a prefix and something random.
func checkID(attribute, prefix, id string) error {
	rest, ok := strings.CutPrefix(id, prefix)
	if !ok || !between(len(rest), 8, 64) || !only(rest, "-") {
		return bad(attribute, "[%s] is no id: it begins with %s", id, prefix)
	}
	return nil
}
