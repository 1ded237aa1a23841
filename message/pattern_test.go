package message

import "testing"

func TestOverlap(t *testing.T) {
	tests := map[[2]string]bool{
		{"a", "a"}: true, {"a", "b"}: false, {"a.b", "a"}: false, {"a.*", "a.b"}: true, {"a.*", "*.b"}: true, {"a.*", "b.*"}: false, {"a.>", "a"}: true, {"a.>", "a.b.c"}: true,
		{"a.>", "*"}: true, {"a.>", "*.b"}: true, {">", "x.y"}: true, {"a.*.c", "a.b.>"}: true, {"a.*.c", "a.b.d"}: false, {"a.*.c", "a.b"}: false, {"*.*", "a"}: false, {"a.>", "b.>"}: false,
	}
	for patterns, want := range tests {
		for range 2 {
			if got := Overlap(patterns[0], patterns[1]); got != want {
				t.Errorf("Overlap(%q, %q) = %v, want %v", patterns[0], patterns[1], got, want)
			}
			patterns[0], patterns[1] = patterns[1], patterns[0]
		}
	}
}
