// Package guard answers no, from memory and for a time, to whoever has guessed too often:
// after some wrong passwords for an account from one address, that pair is blocked. It is
// an Authenticator that stands between the cache and those who ask IMAP servers.
//
// A pair is a server, an account there, and an address: of IPv6 a /64. The account as a
// whole is never blocked, or every stranger could have it blocked; so a request that tells
// no address passes, and so does the account's owner at any other address. So does a
// password that the cache remembers as accepted, live or not: see Trail.Known.
// Only a password that was not accepted yet is refused from a blocked address, be it right
// or wrong: that is the price where people share an address with somebody who guesses,
// behind one router or one webmail.
//
// Counted are an IMAP server's refusals, but not those of a password that the cache
// remembers as refused: a mail program that keeps an old password guesses nothing.
// Logins in progress when the pair becomes blocked end as the server says.
//
// Relayed exchanges (proto.Relayer) do not pass here. They are the server's own to judge
// and to delay, and one address has but a few of the connections for them.
package guard

import (
	"context"
	"log/slog"
	"time"

	"imapauthd/proto"
)

// Guard is the Authenticator. It is safe for concurrent use, and needs no end.
type Guard struct {
	next    proto.Authenticator
	route   proto.RouteFunc
	log     *slog.Logger
	limited proto.Limited
	secret  *secret
	epoch   time.Time // the monotonic clock's zero: a stepped wall clock ends no block
	memory  *memory
}

var _ proto.Authenticator = (*Guard)(nil)

// Options are what a Guard needs beside its table of the file.
type Options struct {
	// Next is asked for everybody who is not blocked.
	Next proto.Authenticator
	// Route tells where a request goes; the server is part of the pair.
	Route proto.RouteFunc
	Log   *slog.Logger
}

// New returns a Guard that has seen nothing. cfg.Attempts must be more than 0.
func New(cfg Config, o Options) *Guard {
	return &Guard{
		next:   o.Next,
		route:  o.Route,
		log:    o.Log,
		secret: newSecret(),
		epoch:  time.Now(),
		memory: newMemory(cfg, maxPairs),
	}
}

var errBlocked = &proto.Refusal{Verdict: proto.Reject, Reason: "too many wrong passwords for this account from this address"}

// Authenticate asks the next authenticator, unless the pair is blocked, and counts what
// it says. A Reject of its own has the source guard.
func (g *Guard) Authenticate(ctx context.Context, req *proto.Request) (proto.Verdict, error) {
	route, ok := g.route(req)
	if !ok || !req.Client.Addr().IsValid() {
		return g.next.Authenticate(ctx, req)
	}
	p := g.secret.pair(route.Server, req)
	known := req.Trail.Known
	if known != proto.Accept && g.memory.blocked(p, g.now()) {
		req.Trail.Source, req.Trail.Server = proto.SourceGuard, route.Server
		return errBlocked.Verdict, errBlocked
	}
	verdict, err := g.next.Authenticate(ctx, req)
	switch {
	case req.Trail.Source != proto.SourceIMAP:
	case verdict == proto.Accept:
		g.memory.right(p)
	case verdict == proto.Reject && known != proto.Reject && !req.Trail.NoStore: // which is not for sure of the password
		if length := g.memory.wrong(p, g.now()); length > 0 {
			g.report(route.Server, req, length)
		}
	}
	return verdict, err
}

// report logs that a pair is blocked. Strangers cause it, so the rate is limited, for all
// pairs together.
func (g *Guard) report(server string, req *proto.Request, length time.Duration) {
	g.limited.Log(g.log, slog.LevelInfo, "", "account blocked for an address",
		slog.String(proto.KeyAuthcid, proto.LogName(req.Authcid)), slog.String(proto.KeyRIP, req.Client.Addr().String()),
		slog.String(proto.KeyServer, server), slog.Int("attempts", g.memory.attempts), slog.Duration("block", length))
}

func (g *Guard) now() time.Duration { return time.Since(g.epoch) }
