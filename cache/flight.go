package cache

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"imapauthd/proto"
)

// flight is one login in progress, shared by all who ask for its key meanwhile.
// It runs on a context of its own: callers leave at their own budget, the verdict
// is stored all the same, and a retry finds it.
type flight struct {
	account, key Key
	proof        Key  // see entry
	ahead        bool // of its entry's end, and nobody waits for it
	void         bool // protected by shard.mu: the account's generation rose, store nothing
	left         bool // protected by shard.mu: a caller has been told TempFail already

	done    chan struct{} // closed when the fields below are set
	verdict proto.Verdict
	trail   proto.Trail
	err     error
}

// flights holds the logins in progress, by account and key. The owner locks.
type flights map[Key]map[Key]*flight

func (fs flights) find(account, key Key) *flight { return fs[account][key] }

func (fs flights) add(f *flight) {
	if fs[f.account] == nil {
		fs[f.account] = make(map[Key]*flight, 1)
	}
	fs[f.account][f.key] = f
}

// remove takes f out, unless it was voided and another has its place.
func (fs flights) remove(f *flight) {
	if fs[f.account][f.key] != f {
		return
	}
	delete(fs[f.account], f.key)
	if len(fs[f.account]) == 0 {
		delete(fs, f.account)
	}
}

// raise raises the account's generation: no flight begun before, but keep, stores
// anything, and whoever asks from now on begins a new one.
func (fs flights) raise(account Key, keep *flight) {
	for key, f := range fs[account] {
		if f != keep {
			f.void = true
			delete(fs[account], key)
		}
	}
	if len(fs[account]) == 0 {
		delete(fs, account)
	}
}

// fly asks the next authenticator and stores what it says. req is the flight's own
// copy. A panic is a TempFail for all who wait, and ends nothing else.
func (c *Cache) fly(f *flight, req proto.Request) {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(c.ctx, c.loginTimeout, proto.ErrDeadline)
	defer cancel()
	defer close(f.done)
	defer func() {
		if v := recover(); v != nil {
			c.log.Error("panic in a login", "stack", string(debug.Stack()), proto.KeyErr, v)
			f.verdict, f.err = proto.TempFail, fmt.Errorf("cache: the login panicked")
		}
		f.trail = req.Trail
		left := c.land(f)
		if f.verdict != proto.TempFail && f.trail.Source == proto.SourceIMAP {
			c.grace.answered(f.trail.Server)
		}
		switch elapsed := time.Since(start); {
		case f.ahead:
			c.report("refresh", f, &req, elapsed)
		case left:
			c.report("late login", f, &req, elapsed)
		}
	}()
	f.verdict, f.err = c.next.Authenticate(ctx, &req)
}

// report writes the line of a login that no caller has one of: it was begun ahead of
// time, or its callers were told that there was no verdict yet. It names what they
// waited for.
func (c *Cache) report(what string, f *flight, req *proto.Request, elapsed time.Duration) {
	attrs := []any{proto.KeyAuthcid, proto.LogName(req.Authcid), proto.KeyVerdict, f.verdict.String(), proto.KeySource, string(f.trail.Source),
		proto.KeyServer, f.trail.Server, proto.KeyElapsed, elapsed}
	if f.err != nil {
		attrs = append(attrs, proto.KeyErr, f.err)
	}
	c.log.Info(what, attrs...)
}

// land stores a flight's verdict, if it is an IMAP server's and may be stored. It
// returns whether a caller had left before.
//
// The lock is held from here through the flight's removal, and lookup and join
// hold it together, so a caller finds either the flight or what it stored.
func (c *Cache) land(f *flight) (left bool) {
	s := c.shard(f.account)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.flights.remove(f)
	if f.trail.Source != proto.SourceIMAP {
		return f.left // our own refusals cost nothing to repeat
	}
	now := c.now()
	switch f.verdict {
	case proto.Accept:
		if !s.positive.proved(f.account, f.proof, now) {
			// A password with no entry: the others may have ended with it. This
			// holds even for a void flight, for to mark is never wrong.
			s.positive.mark(f.account)
			s.flights.raise(f.account, f)
		}
		if !f.void && !f.trail.NoStore {
			s.positive.put(f.account, f.key, f.proof, now)
			s.negative.drop(f.account, f.key)
		}
	case proto.Reject:
		s.positive.drop(f.account, f.key)
		if !f.void && !f.trail.NoStore {
			s.negative.put(f.account, f.key, f.proof, now)
		}
	}
	return f.left
}
