package selector

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestEqualities(t *testing.T) {
	tests := map[string]string{
		"":                             "",
		"a = 1":                        "a:1 whole",
		"1.0 = a":                      "a:1 whole",
		"a = 'x' AND b > 1":            "a:1",
		"a = 'x' AND b IN ('y', 'z')":  "a:1 b:2",
		"a":                            "a:1 whole",
		"flag = TRUE":                  "flag:1 whole",
		"a = 1 OR b = 2":               "",
		"(a = 1 OR a = 2) AND b = 'x'": "b:1",
		"a <> 1":                       "",
		"a NOT IN ('x')":               "",
		"NOT a = 1":                    "",
		"a = b":                        "",
		"convert_string_expressions:a = 1 AND b = 2": "a:1 b:1",
		"convert_string_expressions:a = 1":           "a:1",
	}
	for text, want := range tests {
		s, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range s.Equalities() {
			if got != "" {
				got += " "
			}
			got += fmt.Sprintf("%s:%d", e.Name, len(e.Keys))
			if e.Whole {
				got += " whole"
			}
		}
		if got != want {
			t.Errorf("Equalities of %q: got %q, want %q", text, got, want)
		}
	}
}

// A message that matches has the key of every equality, and if one says all, whoever has the key matches.
func TestEqualitiesAgainstMatches(t *testing.T) {
	literals := rapid.OneOf(anyText, anyNum, rapid.SampledFrom([]string{"TRUE", "false", "5.0", "'-0.5'", "'5.0'", "'TRUE'", "-0.0"}))
	rapid.Check(t, func(t *rapid.T) {
		text := anyPrefix.Draw(t, "prefix")
		for i := range rapid.IntRange(1, 3).Draw(t, "n") {
			if i > 0 {
				text += " AND "
			}
			name, value := anyName.Draw(t, "name"), literals.Draw(t, "value")
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				text += anyCondition(t, 0)
			case 1:
				text += value + " = " + name
			default:
				text += name + " = " + value
			}
		}
		s, err := Parse(text)
		if err != nil {
			t.Skip("no selector")
		}
		m := anyMessage(t)
		matches := s.Matches(m)
		for _, e := range s.Equalities() {
			key, ok := KeyOf(m.Value(e.Name), s.Converts())
			has := ok && slices.Contains(e.Keys, key)
			if matches && !has || e.Whole && has && !matches {
				t.Errorf("%s of %v: matches %v, key of %s there: %v", text, m, matches, e.Name, has)
			}
		}
	})
}
