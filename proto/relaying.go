package proto

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
)

// Verdicts about an exchange that are not the relayer's.
var (
	errNoName  = errors.New("the server accepted an account whose name could not be read from the exchange")
	errBadName = &Refusal{Reject, "a control character in the account"}
)

// Relay has the relayer examine the mail client and logs the verdict, like Decide; a
// connection that is refused has it refused. start is when the exchange began. Each of
// the IMAP server's steps has a budget of its own: the time in which x.Challenge waits
// for the client does not count. Once the client has given up there is no verdict, and
// nobody is accepted without a name. A panic is a TempFail.
func (c *Conn) Relay(ctx context.Context, start time.Time, relayer Relayer, x *Exchange) (verdict Verdict) {
	var err error
	defer c.conclude(start, &verdict, &err, func() decision {
		return decision{authcid: x.Claimed, mechanism: x.Mechanism, client: x.Client, session: x.Session, trail: x.Trail}
	})
	if c.refusal != nil {
		err = c.refusal
		return c.refusal.Verdict
	}
	x.Budget = c.budget
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	step := time.AfterFunc(c.budget, func() { cut(ErrDeadline) })
	defer step.Stop()
	ask, gone := x.Challenge, false
	x.Challenge = func(ctx context.Context, challenge []byte) ([]byte, error) {
		step.Stop()
		response, err := ask(ctx, challenge)
		step.Reset(c.budget)
		gone = gone || errors.Is(err, ErrAborted)
		return response, err
	}
	verdict, err = relayer.Relay(ctx, x)
	switch {
	case gone:
		verdict, err = TempFail, ErrAborted
	case verdict == Accept && x.Authcid == "":
		verdict, err = TempFail, errNoName
	case verdict == Accept && strings.ContainsFunc(x.Authcid, unicode.IsControl):
		verdict, err = Reject, errBadName
	}
	return verdict
}
