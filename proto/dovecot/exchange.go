package dovecot

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"imapauthd/proto"
)

// maxReply is the longest line to the client in bytes: Exim has room for 8192.
const maxReply = 8000

// exchange is one SASL exchange, from its AUTH to its OK or FAIL.
type exchange struct {
	request
	s       *session
	initial []byte // response; nil: none
	start   time.Time
	ctx     context.Context // ends when nobody wants the verdict any more
	cancel  context.CancelCauseFunc
	answer  chan []byte   // of the client, to a challenge; has room for one
	quit    chan struct{} // closed when the client gives up while it is waited for

	// Protected by the session's mu.
	waiting bool      // for the client
	over    bool      // the IMAP server would not wait for the client any longer
	since   time.Time // when it began to
	arrived time.Time // when the client's last message came
}

// run runs the exchange to its end. Whatever happens, that is told to the client.
func (x *exchange) run() {
	defer x.cancel(nil)
	verdict, user := proto.TempFail, ""
	defer func() { x.finish(verdict, user) }()
	switch x.mechanism {
	case "PLAIN":
		verdict, user = x.plain()
	case "LOGIN":
		verdict, user = x.login()
	default:
		verdict, user = x.relay()
	}
}

// finish answers the client, unless it has given up, or been told.
func (x *exchange) finish(verdict proto.Verdict, user string) {
	s := x.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exchanges[x.id] != x {
		return
	}
	delete(s.exchanges, x.id)
	s.answer(x.id, verdict, user, "")
	s.settle()
}

// challenge gives the client a challenge and waits for its response. ErrAborted: there
// will be none, and the client is told no more of this exchange.
func (x *exchange) challenge(ctx context.Context, challenge []byte) ([]byte, error) {
	s := x.s
	line := fmt.Sprintf("CONT\t%d\t%s", x.id, base64.StdEncoding.EncodeToString(challenge))
	if len(line) >= maxReply {
		return nil, errors.New("a challenge is too long for the mail server")
	}
	if !x.ask(line) {
		return nil, proto.ErrAborted
	}
	expired := time.NewTimer(time.Until(x.start.Add(or(s.f.expiry, expiry))))
	defer expired.Stop()
	var err error
	select {
	case response := <-x.answer:
		return response, nil
	case <-x.quit:
		return nil, proto.ErrAborted
	case <-expired.C:
		err = proto.ErrAborted
	case <-x.ctx.Done():
		err = proto.ErrAborted
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(x.answer) > 0: // came at the last moment
		return <-x.answer, nil
	case !x.waiting: // gave up at the last moment
		return nil, proto.ErrAborted
	}
	x.waiting, x.over = false, err != proto.ErrAborted
	if err == proto.ErrAborted {
		delete(s.exchanges, x.id)
		s.settle()
	}
	return nil, err
}

// ask sends a challenge, if the client is still there for it.
func (x *exchange) ask(line string) bool {
	s := x.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exchanges[x.id] != x {
		return false
	}
	if s.gone || !s.send("%s", line) {
		delete(s.exchanges, x.id)
		return false
	}
	x.waiting, x.since = true, time.Now()
	return true
}

// plain is PLAIN (RFC 4616), which asks for its response by an empty challenge.
func (x *exchange) plain() (proto.Verdict, string) {
	response := x.initial
	if response == nil {
		var err error
		if response, err = x.challenge(x.ctx, nil); err != nil {
			return proto.TempFail, ""
		}
	}
	defer clear(response)
	authzid, authcid, password, ok := splitPlain(response)
	if !ok {
		return x.s.c.Refuse(errNotPlain), ""
	}
	return x.decide(proto.Request{Authzid: authzid, Authcid: authcid, Password: password})
}

// login is LOGIN (draft-murchison-sasl-login), whose prompts are these in all servers.
func (x *exchange) login() (proto.Verdict, string) {
	name := x.initial
	if name == nil {
		var err error
		if name, err = x.challenge(x.ctx, []byte("Username:")); err != nil {
			return proto.TempFail, ""
		}
	}
	switch {
	case len(name) == 0:
		return x.s.c.Refuse(errNoName), ""
	case len(name) > maxUser: // nobody's, and it would be kept until the password comes
		return x.s.c.Refuse(errLongName), ""
	}
	password, err := x.challenge(x.ctx, []byte("Password:"))
	if err != nil {
		return proto.TempFail, ""
	}
	defer clear(password)
	return x.decide(proto.Request{Authcid: string(name), Password: proto.NewPassword(string(password))})
}

// decide asks for a verdict on what the client said, and returns the account as well.
func (x *exchange) decide(req proto.Request) (proto.Verdict, string) {
	if err := req.Validate(x.s.f.MaxPassword); err != nil {
		var refusal *proto.Refusal
		errors.As(err, &refusal)
		return x.s.c.Refuse(refusal), req.Authcid
	}
	req.Client, req.Local, req.Secured, req.Session = x.client, x.local, x.secured, x.session
	ctx, done := x.s.c.Limit(x.ctx)
	defer done()
	verdict := x.s.c.Decide(ctx, x.lastMessage(), &req)
	if verdict == proto.Accept && req.Authzid != "" {
		return verdict, req.Authzid
	}
	return verdict, req.Authcid
}

// lastMessage returns when the client's last message came.
func (x *exchange) lastMessage() time.Time {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	return x.arrived
}

// relay has an IMAP server examine the client.
func (x *exchange) relay() (proto.Verdict, string) {
	if x.s.f.Relayer == nil {
		return x.s.c.Refuse(errNoRelay), ""
	}
	defer clear(x.initial)
	carried := &proto.Exchange{
		Mechanism: x.mechanism,
		Initial:   x.initial,
		Challenge: x.challenge,
		Client:    x.client,
		Local:     x.local,
		Secured:   x.secured,
		Session:   x.session,
	}
	verdict := x.s.c.Relay(x.ctx, x.start, x.s.f.Relayer, carried)
	if verdict == proto.Accept {
		return verdict, carried.Authcid
	}
	return verdict, carried.Claimed
}

var errNoRelay = &proto.Refusal{Verdict: proto.TempFail, Reason: "nothing but PLAIN and LOGIN can be had here now"}
