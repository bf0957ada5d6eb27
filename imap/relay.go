package imap

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"imapauthd/proto"
)

var _ proto.Relayer = (*Router)(nil)

// Refusals of exchanges that no server is asked about.
var (
	errServerFirst = &proto.Refusal{Verdict: proto.Reject, Reason: "the mechanism has no initial response"}
	errNoDefault   = &proto.Refusal{Verdict: proto.TempFail, Reason: "a mechanism whose account is told last needs a server without domains, or one server only"}
	errRenames     = &proto.Refusal{Verdict: proto.TempFail, Reason: "nothing can be relayed to a server whose username is not {user}: the client computes the name in"}
	errNotItsOwn   = &proto.Refusal{Verdict: proto.Reject, Reason: "the account is another server's than the one that is asked"}
	errNameless    = &proto.Refusal{Verdict: proto.TempFail, Reason: "the server said OK, but to whom cannot be told"}
)

// Relay has the account's server examine the client. Who speaks first decides where the
// exchange goes: by the account in the client's first message, or, where the server's
// challenge comes before it, to the server without domains. A server may vouch for its
// own accounts only. The verdict is the server's word on this exchange and on nothing
// else, so it is never to be remembered.
func (r *Router) Relay(ctx context.Context, x *proto.Exchange) (v proto.Verdict, err error) {
	x.Authcid, x.Claimed, x.Trail = "", "", proto.Trail{Source: proto.SourceFrontend, NoStore: true}
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("panic in an exchange", "stack", string(debug.Stack()), proto.KeyErr, p)
			v, err = proto.TempFail, errPanic
		}
	}()
	e, err := r.begin(ctx, x)
	if err != nil {
		return unasked(err)
	}
	x.Trail.Source = proto.SourceIMAP
	v, err = e.server.relay(ctx, e)
	if v == proto.Accept {
		if e.account.authcid == "" {
			return errNameless.Verdict, errNameless
		}
		x.Authcid = e.account.name()
	}
	return v, err
}

// unasked returns an exchange's end that no server decided.
func unasked(err error) (proto.Verdict, error) {
	var r *proto.Refusal
	if errors.As(err, &r) {
		return r.Verdict, err
	}
	return proto.TempFail, err
}

// begin finds the server, for which it may need the client's first message.
func (r *Router) begin(ctx context.Context, x *proto.Exchange) (*exchange, error) {
	family := familyOf(x.Mechanism)
	if family == nil {
		return nil, &proto.Refusal{Verdict: proto.TempFail, Reason: fmt.Sprintf("%.20q cannot be relayed", x.Mechanism)}
	}
	e := &exchange{x: x, family: family}
	if family.clientFirst {
		if err := e.first(ctx); err != nil {
			return nil, err
		}
	} else if len(x.Initial) > 0 {
		return nil, errServerFirst
	}
	x.Trail.Source = proto.SourceRouter
	var refusal *proto.Refusal
	if e.server, refusal = r.pickFor(e); refusal != nil {
		return nil, refusal
	}
	x.Trail.Server = e.server.cfg.Name
	if e.server.renames() {
		return nil, errRenames
	}
	e.routed = e.account.authcid
	e.vouches = r.vouches
	if family.clientFirst {
		if refusal := r.vouches(e); refusal != nil {
			return nil, refusal
		}
	}
	return e, nil
}

// pickFor returns the server that an exchange goes to.
func (r *Router) pickFor(e *exchange) (*server, *proto.Refusal) {
	if e.family.clientFirst {
		return r.pick(&proto.Request{Authcid: e.account.authcid})
	}
	if s := r.principal(); s != nil {
		return s, nil
	}
	return nil, errNoDefault
}

// principal returns the server whose mechanisms are announced, and that is asked
// where the account is not known yet; nil: there are several, each with its domains.
func (r *Router) principal() *server {
	if r.fallback == nil && len(r.byName) == 1 {
		for _, s := range r.byName {
			if !s.cfg.ByName {
				return s
			}
		}
	}
	return r.fallback
}

// vouches holds that the names of an exchange are accounts of the server that it went
// to, or will.
func (r *Router) vouches(e *exchange) *proto.Refusal {
	for _, name := range []string{e.account.authcid, e.account.name()} {
		s, refusal := r.pick(&proto.Request{Authcid: name})
		switch {
		case refusal != nil:
			return refusal
		case s != e.server, s.found != nil && s.discovery(name) != s.discovery(e.routed):
			return errNotItsOwn
		}
	}
	return nil
}

// renames reports whether a server is told other names than clients give, which it
// cannot be where they are part of what a client signs.
func (s *server) renames() bool { return s.cfg.Username != "{user}" }

// relay asks the URLs in order, as authenticate does.
func (s *server) relay(ctx context.Context, e *exchange) (proto.Verdict, error) {
	e.start()
	if s.cfg.ClientIP {
		e.id = idCommand(&proto.Request{Client: e.x.Client, Local: e.x.Local, Session: e.x.Session})
	}
	e.saslIR = s.cfg.SASLIR
	pools, release, err := s.acquire(ctx, &proto.Request{Authcid: e.routed})
	if err == errNoRoute {
		e.x.Trail.Source = proto.SourceRouter
		if e.routed == "" { // by SRV, and of several domains
			return errNoDefault.Verdict, errNoDefault
		}
		return errNoRoute.Verdict, errNoRoute
	} else if err != nil {
		return proto.TempFail, err
	}
	defer release()
	got, err := inOrder(ctx, pools, func(p *pool) (answer, error) { return p.relay(ctx, e) })
	switch {
	case e.err != nil:
		e.x.Trail.Source = sourceOf(e.err)
		return unasked(e.err)
	case err != nil:
		return proto.TempFail, err
	}
	switch r := s.judge.rule(got.status); {
	case r.verdict == proto.Accept:
		return proto.Accept, nil
	case r.verdict == proto.Reject && e.ambiguous(got.status):
		return errAmbiguous.Verdict, fmt.Errorf("%w: %w", errAmbiguous, got.shown)
	default:
		return r.verdict, got.shown
	}
}

// sourceOf tells who ended an exchange on the client's side.
func sourceOf(err error) proto.Source {
	switch err {
	case errAsksMore: // the server's doing, after all
		return proto.SourceIMAP
	case errNotItsOwn, errNoRoute:
		return proto.SourceRouter
	}
	return proto.SourceFrontend
}
