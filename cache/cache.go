// Package cache remembers verdicts, positive and negative apart, and makes many
// callers share one login. It is an Authenticator that wraps another.
//
// An entry hangs under its account (server and authcid in ASCII lower case) and
// is found by the exact credentials. Only an IMAP server's verdict is stored, a
// TempFail never. When a password that has no entry is accepted for an account,
// its other positive entries are marked: each must be proved again at its next
// use, so that an old password ends at once, and app passwords settle side by side.
package cache

import (
	"context"
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
	epoch        time.Time // the monotonic clock's zero: a stepped wall clock moves no entry

	ctx    context.Context // of the flights; ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // the flights

	mu                 sync.Mutex
	positive, negative *ledger // protects these, and flights
	flights            flights
}

var _ proto.Authenticator = (*Cache)(nil)

// Options are what a Cache needs beside its table of the file.
type Options struct {
	// Next is asked on a miss.
	Next proto.Authenticator
	// Route tells where a request goes; the server is part of the key.
	Route proto.RouteFunc
	// LoginTimeout bounds a login, whether or not anyone still waits for it.
	LoginTimeout time.Duration
	Log          *slog.Logger
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
		positive:     newLedger(cfg.Accounts, time.Duration(cfg.PositiveTTL)),
		negative:     newLedger(cfg.NegativeAccounts, time.Duration(cfg.NegativeTTL)),
		flights:      make(flights),
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

	c.mu.Lock()
	if verdict := c.look(account, key); verdict != proto.TempFail {
		c.mu.Unlock()
		req.Trail.Source = proto.SourceCache
		return verdict, nil
	}
	f, source := c.flights.find(account, key), proto.SourceFlight
	if f == nil {
		f, source = c.begin(account, key, route, req), proto.SourceIMAP
	}
	c.mu.Unlock()

	select {
	case <-f.done:
		req.Trail = f.trail
		if f.trail.Source == proto.SourceIMAP {
			req.Trail.Source = source
		}
		return f.verdict, f.err
	case <-ctx.Done():
		c.mu.Lock()
		f.left = true
		c.mu.Unlock()
		req.Trail.Source = source
		return proto.TempFail, context.Cause(ctx)
	}
}

// look returns what is remembered, TempFail for nothing. The caller holds mu.
func (c *Cache) look(account, key Key) proto.Verdict {
	now := c.now()
	if e := c.positive.find(account, key, now); e != nil && !e.marked {
		return proto.Accept
	}
	if c.negative.find(account, key, now) != nil {
		return proto.Reject
	}
	return proto.TempFail
}

// begin starts a flight. The caller holds mu.
func (c *Cache) begin(account, key Key, route proto.Route, req *proto.Request) *flight {
	f := &flight{account: account, key: key, proof: key, done: make(chan struct{})}
	if route.PerAddress {
		f.proof = c.keys.entry(proto.Route{Server: route.Server}, req)
	}
	c.flights.add(f)
	own := *req // the caller may be gone before the login ends
	c.wg.Go(func() { c.fly(f, own) })
	return f
}

// Flush forgets all that is known of an account, on both sides; a login begun
// before stores nothing.
func (c *Cache) Flush(server, authcid string) {
	account := c.keys.account(server, authcid)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.positive.accounts.Remove(account)
	c.negative.accounts.Remove(account)
	c.flights.raise(account, nil)
}

// FlushAll forgets everything; logins begun before store nothing. The ledgers are
// new ones, for to empty a million accounts would hold the lock for long.
func (c *Cache) FlushAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.positive = newLedger(c.positive.size, c.positive.ttl)
	c.negative = newLedger(c.negative.size, c.negative.ttl)
	for account := range c.flights {
		c.flights.raise(account, nil)
	}
}

// Close ends the logins in progress, whose callers get TempFail, and waits for
// them. No Authenticate may begin after it.
func (c *Cache) Close() {
	c.cancel()
	c.wg.Wait()
}

func (c *Cache) now() time.Duration { return time.Since(c.epoch) }
