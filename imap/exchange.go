package imap

import (
	"bytes"
	"context"
	"sync"
	"time"

	"imapauthd/proto"
)

// maxMessage bounds one message of the client, in bytes: OAuth's tokens may have
// several KiB. The server's are bounded by its lines (maxLine), and the number of both
// by what the mechanism has (family.later).
const maxMessage = 16 << 10

// Refusals of what a client says in an exchange.
var (
	errLongMessage = &proto.Refusal{Verdict: proto.Reject, Reason: "the client's message is too long"}
	errOddMessage  = &proto.Refusal{Verdict: proto.Reject, Reason: "the client says more than the mechanism has, or a NUL"}
)

// exchange is a proto.Exchange under way.
type exchange struct {
	x       *proto.Exchange
	family  *family
	server  *server
	routed  string // the authcid that led to server; empty: not known then
	vouches func(*exchange) *proto.Refusal
	id      []byte // as in credentials
	saslIR  bool   // likewise

	initial []byte // the client's first message, if there is one before the server's
	heard   int    // messages of the client
	account account
	secret  string    // what must not be shown
	until   time.Time // the end of the server's first step; zero: none
	begun   bool      // the server has asked for something
	err     error     // why the exchange ended on the client's side

	mu    sync.Mutex
	since time.Time               // protects both: when the client began to think; zero: it does not
	cut   context.CancelCauseFunc // ends its thinking
}

// first gets the client's first message, which in these mechanisms needs no challenge.
func (e *exchange) first(ctx context.Context) (err error) {
	if e.x.Initial == nil {
		e.initial, err = e.ask(ctx, []byte{})
		return err
	}
	e.initial = e.x.Initial
	return e.hear(e.initial)
}

// ask gives the client a challenge and returns its response, if that may be passed on.
// The client is gone when ctx ends, and Challenge must then return.
func (e *exchange) ask(ctx context.Context, challenge []byte) ([]byte, error) {
	if e.heard >= e.family.messages {
		return nil, errAsksMore
	}
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	e.think(time.Now(), cut)
	response, err := e.x.Challenge(ctx, challenge)
	e.think(time.Time{}, nil)
	if context.Cause(ctx) == errPondered {
		return nil, errPondered
	}
	if err != nil {
		return nil, err
	}
	return response, e.hear(response)
}

func (e *exchange) think(since time.Time, cut context.CancelCauseFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.since, e.cut = since, cut
}

// thinks returns when the client began to think; zero: it does not.
func (e *exchange) thinks() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.since
}

// interrupt ends the client's thinking.
func (e *exchange) interrupt(cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cut != nil {
		e.cut(cause)
		e.since = time.Time{}
	}
}

// hear reads a message of the client before it is passed on.
func (e *exchange) hear(message []byte) error {
	n := e.heard
	e.heard++
	switch {
	case len(message) > maxMessage:
		return errLongMessage
	case n > 0 && !e.family.has(n, message), bytes.IndexByte(message, 0) >= 0: // none has a NUL, where some servers would stop reading
		return errOddMessage
	case len(message) == 0:
	case e.family.secret != nil:
		if s := e.family.secret(message); s != "" {
			e.secret = s
		}
	default:
		e.secret = string(message)
	}
	if n > 0 {
		return nil
	}
	var refusal *proto.Refusal
	if e.account, refusal = e.family.read(message); refusal != nil {
		return refusal
	}
	if e.account.authcid != "" {
		e.x.Claimed = e.account.name()
	}
	if e.vouches != nil { // the server is known already
		if refusal := e.vouches(e); refusal != nil {
			return refusal
		}
	}
	return nil
}

// start begins the server's first step, in which a connection is found too.
func (e *exchange) start() {
	if e.x.Budget > 0 {
		e.until = time.Now().Add(e.x.Budget)
	}
}
