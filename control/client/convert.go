package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/godwitmq/godwit/control/api"
)

// Convert makes an instance of several of a broker alone, or the other way round, and tells each line of the answer. When ctx ends before the hand-over, all stays as it was.
func (c *Client) Convert(ctx context.Context, ask api.Convert, tell func(api.Converting)) error {
	body, err := c.lines(ctx, ask, nil, []string{"convert"})
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var line api.Converting
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("the answer of %s is not Godwit's: %w", c.URL(), err)
		}
		if line.Error != nil {
			return line.Error
		}
		tell(line)
		if line.Done {
			return nil
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err = lines.Err()
	if err == nil {
		err = errors.New("it ends too early")
	}
	return fmt.Errorf("read the answer of %s; `godwit instances` and the broker's log say what has become of the conversion: %w", c.URL(), err)
}
