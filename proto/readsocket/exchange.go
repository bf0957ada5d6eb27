package readsocket

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"imapauthd/proto"
)

const (
	// expiry is how long an exchange waits for its answer, from its challenge. A mail
	// client answers at once, or has lost its way.
	expiry = 30 * time.Second
	// maxWaiting is how many exchanges of a listener may be without their answer: more
	// than there are IMAP connections for.
	maxWaiting = 256
	// maxChallenge is the longest challenge in bytes; it is a message id (RFC 2195 §2).
	maxChallenge = 512
)

var (
	errNoRelay      = &proto.Refusal{Verdict: proto.TempFail, Reason: "nothing but passwords can be had here now"}
	errFull         = &proto.Refusal{Verdict: proto.TempFail, Reason: "too many exchanges wait for their answers"}
	errNoExchange   = &proto.Refusal{Verdict: proto.TempFail, Reason: "no such exchange: it was answered, has expired, or is from before a restart"}
	errOddChallenge = errors.New("the server's challenge is not printable ASCII of 1 to 512 bytes: Exim would change it")
	errChallenges   = errors.New("the server sets a second challenge, which has no room in a prompt")
	errNoChallenge  = errors.New("the server decided without a challenge")
)

// exchange is one between two requests: begun by the first, and taken by the second.
// A goroutine of its own has the verdict on it.
type exchange struct {
	f        *Frontend
	c        *proto.Conn // that began it
	id       string
	cancel   context.CancelCauseFunc
	asked    chan []byte   // the challenge; has room for one
	response chan []byte   // of whoever took the exchange; has room for one. Closed: there is none
	done     chan struct{} // closed when there is a verdict
	verdict  proto.Verdict

	// Of the goroutine.
	told  bool  // the challenge
	heard bool  // the response
	err   error // why the verdict cannot stand
}

// begin has an exchange begun and returns the reply. ctx is the exchange's, limited the
// request's.
func (f *Frontend) begin(ctx, limited context.Context, c *proto.Conn, start time.Time, carried *proto.Exchange) string {
	if c.Refused() {
		return reply(c.Relay(limited, start, f.Relayer, carried))
	}
	if f.Relayer == nil {
		return reply(c.Refuse(errNoRelay))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	x := f.enter(c, cancel)
	if x == nil {
		cancel(nil)
		return reply(c.Refuse(errFull))
	}
	carried.Challenge = x.challenge
	c.Go(func() {
		defer close(x.done)
		defer x.cancel(nil)
		defer f.leave(x)
		x.verdict = c.Relay(ctx, start, x, carried)
	})
	stop := x.within(limited)
	select {
	case challenge := <-x.asked:
		if stop() {
			return "exchange=" + x.id + " challenge=" + base64.StdEncoding.EncodeToString(challenge)
		}
	case <-x.done:
		stop()
	}
	return reply(proto.TempFail)
}

// answer gives an exchange its answer and returns the verdict.
func (f *Frontend) answer(limited context.Context, c *proto.Conn, start time.Time, a *Answer) proto.Verdict {
	if c.Refused() {
		return c.Relay(limited, start, f.Relayer, &proto.Exchange{})
	}
	x := f.take(a.ID)
	if x == nil {
		return c.Refuse(errNoExchange)
	}
	defer x.within(limited)()
	x.response <- a.Response
	<-x.done // not before: what is logged is what is told
	return x.verdict
}

// abandon ends an exchange whose answer is none.
func (f *Frontend) abandon(id string) {
	if x := f.take(id); x != nil {
		close(x.response)
	}
}

// within has the exchange end with ctx, until stop.
func (x *exchange) within(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { x.cancel(context.Cause(ctx)) })
}

// enter gives an exchange its place; nil: there is none.
func (f *Frontend) enter(c *proto.Conn, cancel context.CancelCauseFunc) *exchange {
	var id [16]byte
	rand.Read(id[:]) // never fails
	x := &exchange{
		f:        f,
		c:        c,
		id:       hex.EncodeToString(id[:]),
		cancel:   cancel,
		asked:    make(chan []byte, 1),
		response: make(chan []byte, 1),
		done:     make(chan struct{}),
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) >= maxWaiting {
		return nil
	}
	if f.waiting == nil {
		f.waiting = make(map[string]*exchange)
	}
	f.waiting[x.id] = x
	return x
}

// take hands the exchange to the one request that answers it; nil: it is not there.
func (f *Frontend) take(id string) *exchange {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.waiting[id]
	delete(f.waiting, id)
	return x
}

// leave gives up the exchange's place. False: it has been taken.
func (f *Frontend) leave(x *exchange) bool { return f.take(x.id) != nil }

// Relay has the relayer examine the client, and lets a verdict stand only if it is on
// the response to the one challenge.
func (x *exchange) Relay(ctx context.Context, carried *proto.Exchange) (proto.Verdict, error) {
	verdict, err := x.f.Relayer.Relay(ctx, carried)
	switch {
	case x.err != nil:
		return proto.TempFail, x.err
	case x.heard || verdict == proto.TempFail:
		return verdict, err
	case err != nil:
		return proto.TempFail, fmt.Errorf("%w: %w", errNoChallenge, err)
	}
	return proto.TempFail, errNoChallenge
}

// challenge has the challenge told and waits for the response.
func (x *exchange) challenge(ctx context.Context, challenge []byte) ([]byte, error) {
	switch {
	case x.told:
		x.err = errChallenges
	case !fitsPrompt(string(challenge)):
		x.err = errOddChallenge
	}
	if x.err != nil {
		return nil, x.err
	}
	x.told = true
	draining := make(chan struct{})
	defer x.c.OnDrain(func() { close(draining) })()
	expired := time.NewTimer(cmp.Or(x.f.expiry, expiry))
	defer expired.Stop()
	x.asked <- challenge
	err := proto.ErrAborted
	select {
	case response, ok := <-x.response:
		return x.hear(response, ok)
	case <-expired.C:
	case <-draining:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if !x.f.leave(x) { // taken at the last moment: the response is under way
		response, ok := <-x.response
		return x.hear(response, ok)
	}
	return nil, err
}

func (x *exchange) hear(response []byte, ok bool) ([]byte, error) {
	if !ok {
		return nil, proto.ErrAborted
	}
	x.heard = true
	return response, nil
}

// fitsPrompt reports whether a challenge comes out of Exim's list of prompts as it is.
func fitsPrompt(challenge string) bool {
	return challenge != "" && len(challenge) <= maxChallenge && strings.TrimSpace(challenge) == challenge &&
		!strings.ContainsFunc(challenge, func(r rune) bool { return r < ' ' || r > '~' })
}
