package imap

import (
	"context"
	"errors"

	"github.com/emersion/go-sasl"
)

// relayClient is the mail client as imapclient knows it. Next waits for it; ctx ends
// with the connection.
type relayClient struct {
	ctx context.Context
	*exchange
	guard   *guard
	initial bool // the first message goes with the command
}

var _ sasl.Client = (*relayClient)(nil)

func (c *relayClient) Start() (mech string, ir []byte, err error) {
	if c.initial {
		return c.x.Mechanism, c.exchange.initial, nil
	}
	return c.x.Mechanism, nil, nil
}

var errOver = errors.New("the exchange is over")

func (c *relayClient) Next(challenge []byte) ([]byte, error) {
	if c.exchange.err != nil {
		return nil, errOver
	}
	if !c.begun {
		c.begun = true
		if c.exchange.initial != nil && !c.initial { // the challenge for it, empty
			return c.exchange.initial, nil
		}
	}
	response, err := c.ask(c.ctx, challenge)
	c.guard.withhold(c.secret)
	switch {
	case c.ctx.Err() != nil: // the server is gone, or the time is
		return nil, errOver
	case err != nil:
		c.exchange.err = err
		c.guard.cancel()
		return nil, nil // the guard sends the "*"
	}
	return response, nil
}
