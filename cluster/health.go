package cluster

import (
	"context"

	"github.com/godwitmq/godwit/journal/jetstream"
)

// Behind names the nodes whose copies of the log are away or not complete. Only the active instance knows: ErrNotActive.
func (m *Member) Behind(ctx context.Context) ([]string, error) {
	m.mu.Lock()
	e := m.engine
	m.mu.Unlock()
	if e == nil {
		return nil, ErrNotActive
	}
	return e.Log().(*jetstream.Log).Behind(ctx)
}
