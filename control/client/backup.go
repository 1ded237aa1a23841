package client

import (
	"context"
	"io"

	"github.com/godwitmq/godwit/control/api"
)

// Backup asks for a backup and gives its bytes, which are to be verified by the package journal/backup. The body is to be closed.
func (c *Client) Backup(ctx context.Context, ask api.Backup) (io.ReadCloser, error) {
	return c.lines(ctx, ask, nil, []string{"backup"})
}
