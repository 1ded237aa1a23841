package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written with a unit: 64 MiB.
type Size int64

var units = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// String writes the size with the largest unit that divides it.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && int64(s)%u.size == 0 && (u.size&(u.size-1) == 0 || u.size == 1) {
			return strconv.FormatInt(int64(s)/u.size, 10) + " " + u.name
		}
	}
	return "0"
}

// ParseSize reads what String writes: a whole number and a unit, KiB to TiB or kB to TB, or bytes without one.
func ParseSize(text string) (Size, error) {
	number, scale := strings.TrimSpace(text), int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, scale = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a size; expected for example 64 MiB, 10 GB or a number of bytes", text)
	case n < 0 || n > math.MaxInt64/scale:
		return 0, fmt.Errorf("size %q is out of range", text)
	}
	return Size(n * scale), nil
}
