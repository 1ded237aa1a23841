package openwire

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

type goldenFile struct {
	Version int
	Values  map[string]any
	Vectors []struct {
		Name              string
		Hex               string
		StackTraceEnabled bool
	}
}

func readGolden(t testing.TB, path string) goldenFile {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var g goldenFile
	d := json.NewDecoder(z)
	d.UseNumber()
	if err := d.Decode(&g); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return g
}

func goldenPaths(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/vectors/*.json.gz")
	if err != nil || len(paths) != 15 {
		t.Fatalf("golden vectors: %v, %v; want 15 files", paths, err)
	}
	return paths
}

// unhex returns frame with its size, and without.
func unhex(t testing.TB, s string) (whole, frame []byte) {
	t.Helper()
	whole, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return whole, whole[4:]
}

func TestGoldenVectors(t *testing.T) {
	for _, path := range goldenPaths(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json.gz"), func(t *testing.T) {
			g := readGolden(t, path)
			if len(g.Vectors) < 30 {
				t.Fatalf("only %d vectors", len(g.Vectors))
			}
			for _, v := range g.Vectors {
				checkFrame(t, v.Name, v.Hex, g.Values[v.Name], g.Version, v.StackTraceEnabled)
			}
		})
	}
}

type capture struct {
	Connections []struct {
		Name   string
		Frames []struct {
			Dir, Hex string
			Value    any
		}
	}
}

func readCapture(t testing.TB) capture {
	t.Helper()
	raw, err := os.ReadFile("testdata/captures/loose-no-cache.json")
	if err != nil {
		t.Fatal(err)
	}
	var c capture
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCapture(t *testing.T) {
	frames := 0
	for _, conn := range readCapture(t).Connections {
		for i, f := range conn.Frames {
			checkFrame(t, fmt.Sprintf("%s frame %d %s", conn.Name, i, f.Dir), f.Hex, f.Value, 12, true)
			frames++
		}
	}
	if frames != 29 {
		t.Errorf("%d frames; want 29", frames)
	}
}

// checkFrame decodes, compares with the values, and encodes again.
func checkFrame(t *testing.T, name, hexa string, want any, version int, stackTraces bool) {
	t.Helper()
	whole, frame := unhex(t, hexa)
	d := Decoder{Version: version, StackTraces: stackTraces}
	v, err := d.decode(frame)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if diff := compare(name, reflect.ValueOf(v), want); diff != nil {
		t.Errorf("%s: %v", name, diff)
	}
	e := Encoder{Version: version, StackTraces: stackTraces}
	again, err := e.Append([]byte("before"), v)
	if err != nil {
		t.Errorf("%s: encode: %v", name, err)
		return
	}
	if string(again) != "before"+string(whole) {
		t.Errorf("%s: encoded\n %x, want\n %x", name, again[6:], whole)
	}
}

// compare checks a decoded value against the JSON form of the same in the golden files: null, objects with $type, $bytes, $throwable.
func compare(path string, got reflect.Value, want any) error {
	for got.Kind() == reflect.Interface || got.Kind() == reflect.Pointer {
		if got.IsNil() {
			if want != nil {
				return fmt.Errorf("%s: got null, want %v", path, want)
			}
			return nil
		}
		got = got.Elem()
	}
	switch w := want.(type) {
	case nil:
		if got.Type() != reflect.TypeFor[NullCommand]() && !got.IsZero() {
			return fmt.Errorf("%s: got %v, want null", path, got)
		}
		return nil
	case bool, json.Number:
		if s := fmt.Sprint(got.Interface()); s != fmt.Sprint(w) {
			return fmt.Errorf("%s: got %s, want %v", path, s, w)
		}
		return nil
	case string:
		// JSON cannot carry a lone surrogate into Go: encoding it again is the check for those.
		if got.Kind() != reflect.String || got.String() != w && !strings.Contains(w, "\ufffd") {
			return fmt.Errorf("%s: got %q, want %q", path, got, w)
		}
		return nil
	case []any:
		if got.Kind() != reflect.Slice || got.Len() != len(w) || got.IsNil() {
			return fmt.Errorf("%s: got %v, want %d elements", path, got, len(w))
		}
		for i := range w {
			if err := compare(fmt.Sprintf("%s[%d]", path, i), got.Index(i), w[i]); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		return compareObject(path, got, w)
	}
	return fmt.Errorf("%s: cannot compare %T", path, want)
}

func compareObject(path string, got reflect.Value, want map[string]any) error {
	if hexa, ok := want["$bytes"].(string); ok {
		var b []byte
		switch got.Kind() {
		case reflect.String:
			b = []byte(got.String())
		case reflect.Slice:
			b = got.Bytes()
			if b == nil {
				return fmt.Errorf("%s: got null, want bytes %s", path, hexa)
			}
		}
		if hex.EncodeToString(b) != hexa {
			return fmt.Errorf("%s: got %x, want %s", path, b, hexa)
		}
		return nil
	}
	if class, ok := want["$throwable"]; ok {
		th, _ := got.Interface().(Throwable)
		if th.Class != class {
			return fmt.Errorf("%s: class %q, want %q", path, th.Class, class)
		}
		return compareThrowable(path, got, want)
	}
	name, _ := want["$type"].(string)
	if got.Kind() != reflect.Struct {
		return fmt.Errorf("%s: got %v, want a %s", path, got, name)
	}
	if is := typeNameOf(got); !strings.EqualFold("ActiveMQ"+is, name) && !strings.EqualFold(is, name) {
		return fmt.Errorf("%s: got a %s, want a %s", path, is, name)
	}
	for key, w := range want {
		if strings.HasPrefix(key, "$") {
			continue
		}
		if key == "magic" { // checked by the decoder
			continue
		}
		f := fieldOf(got, key)
		if !f.IsValid() {
			return fmt.Errorf("%s: %s has no field %s", path, name, key)
		}
		if id, ok := w.(map[string]any); ok && f.Kind() == reflect.String && id["$type"] == "ConnectionId" {
			w = id["value"] // TransactionID holds the string itself
		}
		if w == nil && f.Kind() == reflect.String && f.Len() == 0 {
			continue
		}
		if err := compare(path+"."+key, f, w); err != nil {
			return err
		}
	}
	return nil
}

func compareThrowable(path string, got reflect.Value, want map[string]any) error {
	if err := compare(path+".message", got.FieldByName("Message"), want["message"]); err != nil {
		return err
	}
	lines, _ := want["stackTrace"].([]any)
	trace := got.FieldByName("StackTrace").Interface().([]StackTraceElement)
	if len(lines) != len(trace) {
		return fmt.Errorf("%s: %d lines of stack trace, want %d", path, len(trace), len(lines))
	}
	for i, l := range lines {
		for j, w := range l.([]any) {
			if err := compare(fmt.Sprintf("%s.stackTrace[%d][%d]", path, i, j), reflect.ValueOf(trace[i]).Field(j), w); err != nil {
				return err
			}
		}
	}
	return compare(path+".cause", got.FieldByName("Cause"), want["cause"])
}

func typeNameOf(v reflect.Value) string {
	switch v := v.Interface().(type) {
	case Message:
		return TypeName(v.Type)
	case Destination:
		return TypeName(v.Type)
	case TransactionID:
		return TypeName(v.Type)
	}
	return v.Type().Name()
}

// fieldOf finds the Go field of a field of the schema: the same name in another case.
func fieldOf(v reflect.Value, key string) reflect.Value {
	switch {
	case key == "physicalName":
		key = "Name"
	case v.Type() == reflect.TypeFor[TransactionID]():
		key = strings.NewReplacer("globalTransactionId", "GlobalID").Replace(key)
	case v.Type() == reflect.TypeFor[Message]() && key == "type":
		key = "JMSType"
	}
	return v.FieldByNameFunc(func(n string) bool { return strings.EqualFold(n, key) })
}

// Each single byte cut off, and each one added, must be noticed: lengths agree everywhere.
func TestGoldenTruncated(t *testing.T) {
	for _, path := range []string{"testdata/vectors/v1.json.gz", "testdata/vectors/v12.json.gz"} {
		g := readGolden(t, path)
		for _, v := range g.Vectors {
			_, frame := unhex(t, v.Hex)
			d := Decoder{Version: g.Version, StackTraces: v.StackTraceEnabled}
			for n := range len(frame) {
				_, err := d.decode(frame[:n:n])
				if !errors.Is(err, ErrTruncated) && !(n < 9 && errors.Is(err, ErrMagic)) {
					t.Fatalf("version %d, %s cut to %d of %d bytes: error %v; want %v", g.Version, v.Name, n, len(frame), err, ErrTruncated)
				}
			}
			if _, err := d.decode(append(frame[:len(frame):len(frame)], 0)); !errors.Is(err, ErrTrailing) {
				t.Errorf("version %d, %s and a byte: error %v; want %v", g.Version, v.Name, err, ErrTrailing)
			}
		}
	}
}
