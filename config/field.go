package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Field describes one setting, for the documentation and for comparisons.
type Field struct {
	Key     string   // "credentials.mode"; an entry of a list has [] after the list's key
	Type    string   // text, yes/no, number, decimal, size, duration, list of text, list, section
	Default string   // as it would be written in the file; "" for lists and sections
	Allowed []string // the only values; nil if there are others
	Live    bool     // whether a running broker takes a change over
	Doc     string
	Env     string // the environment variable; "" for what has none
}

// Fields describes all settings, in the order of the file.
func Fields() []Field {
	var fields []Field
	describe(reflect.ValueOf(*Default()), "", false, &fields)
	return fields
}

func describe(v reflect.Value, prefix string, live bool, fields *[]Field) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		d := Field{Key: join(prefix, f.Tag.Get("yaml")), Doc: f.Tag.Get("doc"), Type: typeName(f.Type), Live: live || f.Tag.Get("live") == "yes"}
		if allowed := f.Tag.Get("allowed"); allowed != "" {
			d.Allowed = strings.Split(allowed, "|")
		}
		inList := strings.Contains(d.Key, "[]")
		if d.Type != "section" && d.Type != "list" && !inList {
			d.Env = envName(d.Key)
			d.Default = text(v.Field(i))
		}
		*fields = append(*fields, d)
		switch d.Type {
		case "section":
			describe(v.Field(i), d.Key, d.Live, fields)
		case "list":
			describe(reflect.Zero(f.Type.Elem()), d.Key+"[]", d.Live, fields)
		}
	}
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// envName is the environment variable of a key: credentials.usersFile is GODWIT_CREDENTIALS_USERS_FILE.
func envName(key string) string {
	var b strings.Builder
	b.WriteString("GODWIT_")
	upper := true // within a run of capitals, as at the start
	for _, r := range key {
		switch {
		case r == '.':
			b.WriteByte('_')
			upper = true
			continue
		case unicode.IsUpper(r) && !upper:
			b.WriteByte('_')
		}
		upper = unicode.IsUpper(r)
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
	textsType    = reflect.TypeFor[[]string]()
)

func typeName(t reflect.Type) string {
	switch {
	case t == durationType:
		return "duration"
	case t == sizeType:
		return "size"
	case t == textsType:
		return "list of text"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Struct:
		return "section"
	case t.Kind() == reflect.Bool:
		return "yes/no"
	case t.Kind() == reflect.Int:
		return "number"
	case t.Kind() == reflect.Float64:
		return "decimal"
	default:
		return "text"
	}
}

// text writes a value as it would stand in the file.
func text(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		s := x.String()
		for _, zero := range []string{"m0s", "h0m"} { // 1m0s is written 1m
			if strings.HasSuffix(s, zero) {
				s = s[:len(s)-2]
			}
		}
		return s
	case []string:
		return "[" + strings.Join(x, ", ") + "]"
	default:
		return fmt.Sprint(x)
	}
}

// parse sets v, a scalar or a list of text, from a text. The error says what is allowed.
func parse(v reflect.Value, tag reflect.StructTag, value string) error {
	switch v.Type() {
	case durationType:
		d, err := time.ParseDuration(value)
		switch {
		case err != nil:
			return fmt.Errorf("%q is not a duration; expected for example 500ms, 30s or 5m", value)
		case d < 0:
			return fmt.Errorf("%q is negative; expected 0s or more", value)
		}
		v.SetInt(int64(d))
	case sizeType:
		s, err := ParseSize(value)
		if err != nil {
			return err
		}
		v.SetInt(int64(s))
	case textsType:
		var texts []string
		for s := range strings.SplitSeq(value, ",") {
			if s = strings.TrimSpace(s); s != "" {
				texts = append(texts, s)
			}
		}
		v.Set(reflect.ValueOf(texts))
	default:
		return parseBasic(v, tag, value)
	}
	return nil
}

func parseBasic(v reflect.Value, tag reflect.StructTag, value string) error {
	switch v.Kind() {
	case reflect.Bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", value)
		}
		v.SetBool(b)
	case reflect.Int:
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", value)
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		x, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("%q is not a number", value)
		}
		v.SetFloat(x)
	default:
		if list := tag.Get("allowed"); list != "" {
			allowed := strings.Split(list, "|")
			if !slices.Contains(allowed, value) {
				return fmt.Errorf("%q is not allowed; expected %s", value, oneOf(allowed))
			}
		}
		v.SetString(value)
	}
	return nil
}

// oneOf lists words for people: "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
