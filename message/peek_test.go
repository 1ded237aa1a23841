package message

import (
	"testing"

	"pgregory.net/rapid"
)

func TestPeekGroup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := messages().Draw(t, "message")
		data := m.Encode()
		if got := PeekGroup(data); got != m.GroupID {
			t.Fatalf("PeekGroup = %q, want %q", got, m.GroupID)
		}
		PeekGroup(data[:rapid.IntRange(0, len(data)).Draw(t, "cut")]) // does not panic
	})
}
