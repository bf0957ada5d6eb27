// Package cache remembers verdicts, positive and negative apart, and makes many
// callers share one login. It is an Authenticator that wraps another.
//
// An entry hangs under its account (server and authcid in ASCII lower case) and
// is found by the exact credentials. Only an IMAP server's verdict is stored, a
// TempFail never. When a password that has no entry is accepted for an account,
// its other positive entries are marked: each must be proved again at its next
// use, so that an old password ends at once, and app passwords settle side by side.
//
// A hit late in an entry's life has it proved again in the background (refresh.go), and
// while a server cannot be reached, entries may outlive their time (grace.go).
package cache

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"imapauthd/proto"
)

// Cache is the Authenticator. It is safe for concurrent use.
type Cache struct {
	next         proto.Authenticator
	route        proto.RouteFunc
	loginTimeout time.Duration
	log          *slog.Logger
	keys         *keyer
	grace        *grace    // nil: none is given
	epoch        time.Time // the monotonic clock's zero: a stepped wall clock moves no entry

	ctx    context.Context // of the flights; ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // the flights

	down   func(*proto.Request) bool // Options.Down, or nil
	shards []shard
}

var (
	_ proto.Authenticator = (*Cache)(nil)
	_ proto.Looker        = (*Cache)(nil)
)

// Options are what a Cache needs beside its table of the file.
type Options struct {
	// Next is asked on a miss.
	Next proto.Authenticator
	// Route tells where a request goes; the server is part of the key.
	Route proto.RouteFunc
	// LoginTimeout bounds a login, whether or not anyone still waits for it.
	LoginTimeout time.Duration
	// Down reports whether the server of a request cannot be reached, by what is known:
	// every URL's last dial failed. It is called under a lock: it does not block, nor
	// call back, nor allocate. nil: it always can, and no grace is given.
	Down func(req *proto.Request) bool
	Log  *slog.Logger
}

// New returns an empty cache.
func New(cfg Config, o Options) *Cache {
	c := &Cache{
		next:         o.Next,
		route:        o.Route,
		loginTimeout: o.LoginTimeout,
		log:          o.Log,
		keys:         newKeyer(),
		epoch:        time.Now(),
		down:         o.Down,
		shards:       newShards(cfg),
	}
	if cfg.Grace > 0 && o.Down != nil {
		c.grace = newGrace(time.Duration(cfg.Grace), o)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Authenticate answers from memory, or by the one login that is in progress for
// these credentials, which it starts if there is none. When ctx ends before that
// login, the answer is TempFail, and the login goes on.
func (c *Cache) Authenticate(ctx context.Context, req *proto.Request) (proto.Verdict, error) {
	route, ok := c.route(req)
	if !ok {
		return c.next.Authenticate(ctx, req) // which refuses it, and nothing is stored
	}
	req.Trail.Server = route.Server
	account, key := c.keys.account(route.Server, req.Authcid), c.keys.entry(route, req)
	s := c.shard(account)
	s.mu.Lock()
	m := c.recall(s, account, key, req, false)
	if m.due != nil {
		c.refresh(s, m.due, account, route, req)
	}
	if m.verdict != proto.TempFail {
		s.mu.Unlock()
		req.Trail.Source = m.source
		return m.verdict, nil
	}
	f, source := s.flights.find(account, key), proto.SourceFlight
	if f == nil {
		f, source = c.prepare(account, key, route, req), proto.SourceIMAP
		c.begin(s, f, req)
	}
	s.mu.Unlock()

	select {
	case <-f.done:
		if source == proto.SourceFlight && f.trail.Source == proto.SourceGuard {
			return c.Authenticate(ctx, req) // the address of who began it was refused
		}
		if f.verdict == proto.TempFail && errors.Is(f.err, proto.ErrUnreachable) {
			if m := c.again(s, f, req, true); m.verdict != proto.TempFail {
				req.Trail.Source = m.source
				return m.verdict, nil
			}
		}
		req.Trail = f.trail
		if f.trail.Source == proto.SourceIMAP {
			req.Trail.Source = source
		}
		return f.verdict, f.err
	case <-ctx.Done():
		if m := c.again(s, f, req, false); m.verdict != proto.TempFail {
			req.Trail.Source = m.source
			return m.verdict, nil
		}
		s.mu.Lock()
		f.left = true
		s.mu.Unlock()
		req.Trail.Source = source
		return proto.TempFail, context.Cause(ctx)
	}
}

// Look answers from memory alone: TempFail for what has to be asked, and for a hit by
// which the entry is to be refreshed. It does not allocate.
func (c *Cache) Look(req *proto.Request) proto.Verdict {
	route, ok := c.route(req)
	if !ok {
		return proto.TempFail
	}
	req.Trail = proto.Trail{Source: proto.SourceCache, Server: route.Server}
	account, key := c.keys.account(route.Server, req.Authcid), c.keys.entry(route, req)
	s := c.shard(account)
	s.mu.Lock()
	defer s.mu.Unlock()
	m := c.recall(s, account, key, req, false)
	if m.due != nil {
		return proto.TempFail // what is needed of the request is only lent
	}
	req.Trail.Source = m.source
	return m.verdict
}

// known returns what these credentials were told last, at any address, live or not.
func (s *shard) known(account, proof Key) proto.Verdict {
	const ever = 0 // the clock's zero, past which all entries expire
	switch {
	case s.positive.proved(account, proof, ever):
		return proto.Accept
	case s.negative.proved(account, proof, ever):
		return proto.Reject
	}
	return proto.TempFail
}

// prepare makes a flight.
func (c *Cache) prepare(account, key Key, route proto.Route, req *proto.Request) *flight {
	f := &flight{account: account, key: key, proof: key, done: make(chan struct{})}
	if route.PerAddress {
		f.proof = c.keys.entry(proto.Route{Server: route.Server}, req)
	}
	return f
}

// begin starts it. The caller holds mu.
func (c *Cache) begin(s *shard, f *flight, req *proto.Request) {
	s.flights.add(f)
	own := *req // the caller may be gone before the login ends
	own.Trail.Known = s.known(f.account, f.proof)
	c.wg.Go(func() { c.fly(f, own) })
}

// Flush forgets all that is known of an account, on both sides; a login begun
// before stores nothing.
func (c *Cache) Flush(server, authcid string) {
	account := c.keys.account(server, authcid)
	s := c.shard(account)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.positive.accounts.Remove(account)
	s.negative.accounts.Remove(account)
	s.flights.raise(account, nil)
}

// FlushAll forgets everything; logins begun before store nothing. The ledgers are
// new ones, for to empty a million accounts would hold the lock for long.
func (c *Cache) FlushAll() {
	for i := range c.shards {
		c.shards[i].flush()
	}
}

func (s *shard) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.positive = newLedger(s.positive.size, s.positive.ttl)
	s.negative = newLedger(s.negative.size, s.negative.ttl)
	for account := range s.flights {
		s.flights.raise(account, nil)
	}
}

// Close ends the logins in progress, whose callers get TempFail, and waits for
// them. No Authenticate may begin after it.
func (c *Cache) Close() {
	c.cancel()
	c.wg.Wait()
}

func (c *Cache) now() time.Duration { return time.Since(c.epoch) }
