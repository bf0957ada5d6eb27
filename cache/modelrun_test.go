package cache

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imapauthd/proto"
)

// run is a sequence on its way.
type run struct {
	*oracle
	cache  *Cache
	server *modelServer
	calls  []*call
	trace  *strings.Builder // nil: none
}

// call is one request and how it ended. Its fields change under oracle.mu.
type call struct {
	asking
	at, ended time.Time
	ground
	late    ground // when it ended
	login   *login // that it waits for
	verdict proto.Verdict
	source  proto.Source
	err     error
	checked bool
}

// play runs a sequence and returns the promise that was broken, and if asked what
// happened.
func play(t *testing.T, s sequence, trace *strings.Builder) (broken string) {
	synctest.Test(t, func(*testing.T) {
		r := &run{oracle: newOracle(s.cfg), trace: trace}
		r.server = newModelServer(r.oracle)
		r.cache = New(s.cfg, Options{
			Next: r.server, Route: modelRoute, LoginTimeout: testLogin, Log: slog.New(slog.DiscardHandler),
			Down: func(req *proto.Request) bool { return r.down[req.Server].Load() },
		})
		defer r.cache.Close()
		for _, st := range s.steps {
			r.pass(st.after)
			if r.broken == "" {
				r.do(st)
			}
		}
		r.pass(2 * testLogin) // every login and every caller has ended
		broken = r.broken
	})
	return broken
}

func (r *run) tell(format string, args ...any) {
	if r.trace != nil {
		fmt.Fprintf(r.trace, "%16v  %s\n", time.Since(r.start), fmt.Sprintf(format, args...))
	}
}

// pass lets time pass and holds the calls that ended meanwhile against their logins.
func (r *run) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.logins {
		if !l.known {
			r.breaks("nobody asked for the login of %v at %v", l.question, l.began.Sub(r.start))
		}
	}
	for _, c := range r.calls {
		if !c.ended.IsZero() && !c.checked {
			r.judge(c)
		}
	}
}

// do does one step. Whatever is answered from memory is answered when it returns, for
// the server takes time and memory does not. The cache holds no lock when it asks a
// server, so that the oracle's can be held while it is called.
func (r *run) do(s step) {
	if s.expiry > 0 {
		r.tell("%v", s)
		var ok bool
		if s, ok = r.wait(s); !ok {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell("%v", s)
	r.server.apply(s)
	switch {
	case s.ask != nil:
		r.ask(s)
	case s.look != nil:
		r.look(*s.look)
	case s.flush != nil:
		r.cache.Flush(s.flush.server, s.flush.authcid)
		r.flushed(s.flush.account())
	case s.flushAll:
		r.cache.FlushAll()
		for _, l := range r.logins {
			r.flushed(l.account)
		}
	}
}

// wait waits until just before, at or just after a verdict's expiry, or a part of it,
// and returns the step that asks for it; false if there is no such verdict.
func (r *run) wait(s step) (step, bool) {
	r.mu.Lock()
	var of *login
	for i := len(r.logins) - 1; i >= 0 && s.expiry > 0; i-- {
		if l := r.logins[i]; l.stored > never {
			s.expiry--
			of = l
		}
	}
	r.mu.Unlock()
	if of == nil {
		return s, false
	}
	until := of.ended.Add(time.Duration(float64(r.lifetime(of.verdict))*s.fraction) + s.off)
	r.pass(max(time.Until(until), 0))
	again := s.ask[0]
	again.question = of.question
	return step{ask: []asking{again}, lookToo: s.lookToo}, true
}

// look looks. A hit that is to begin a refresh is for Authenticate.
func (r *run) look(q question) proto.Verdict {
	g, req := r.ground(q), q.request()
	got := r.cache.Look(req)
	r.tell("  look: %v from %v", got, req.Trail.Source)
	if got == proto.TempFail && g.must() != proto.TempFail && g.due == never || got != proto.TempFail && (!g.may(got, req.Trail.Source) || g.due == surely) {
		r.breaks("Look says %v to %v; %v", got, q, g)
	}
	r.remembered(q, got)
	return got
}

// remembered notes an answer from memory: the account is the most recently used.
func (o *oracle) remembered(q question, v proto.Verdict) {
	if v != proto.TempFail {
		o.used(v, q.account(), true)
	}
}

func (r *run) ask(s step) {
	looked := proto.TempFail
	if s.lookToo {
		looked = r.look(s.ask[0].question)
	}
	calls := make([]*call, len(s.ask))
	for i, a := range s.ask {
		calls[i] = &call{asking: a, at: time.Now(), ground: r.ground(a.question)}
	}
	for _, c := range calls {
		go r.call(c)
	}
	r.mu.Unlock()
	synctest.Wait()
	r.mu.Lock()
	for _, c := range calls {
		r.begun(c)
	}
	for _, c := range calls {
		r.refreshed(c)
		if s.lookToo && looked != c.verdict && (looked != proto.TempFail || c.due == never) {
			r.breaks("Look said %v to %v, Authenticate %v", looked, c.question, c.verdict)
		}
	}
	r.calls = append(r.calls, calls...)
}

func (r *run) call(c *call) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), c.budget, proto.ErrDeadline)
	defer cancel()
	req := c.request()
	verdict, err := r.cache.Authenticate(ctx, req)
	r.mu.Lock()
	defer r.mu.Unlock()
	c.verdict, c.source, c.err, c.ended = verdict, req.Trail.Source, err, time.Now()
	if c.ended.After(c.at) && (c.verdict == proto.TempFail || c.fromMemory()) {
		c.late = r.ground(c.question)
		r.remembered(c.question, c.verdict)
	}
	r.tell("  %v: %v from %s", c.question, verdict, c.source)
}

func (c *call) fromMemory() bool {
	return c.source == proto.SourceCache || c.source == proto.SourceGrace
}

// begun judges a call at its own instant: it was answered from memory, or waits for a
// login that is still good.
func (r *run) begun(c *call) {
	if !c.ended.IsZero() {
		c.checked = true
		if !c.fromMemory() || c.err != nil || !c.may(c.verdict, c.source) {
			r.breaks("%v was answered %v at once from %s (%v); %v", c.question, c.verdict, c.source, c.err, c.ground)
		}
		r.remembered(c.question, c.verdict)
		r.refreshes(c)
		return
	}
	for _, l := range r.of[c.account()] {
		if l.ended.IsZero() && l.key == c.key() {
			c.login = l
		}
	}
	switch {
	case c.must() != proto.TempFail:
		r.breaks("%v was not answered from memory; %v", c.question, c.ground)
	case c.login == nil:
		r.breaks("%v waits for no login", c.question)
	case r.void(c.login) == surely:
		r.breaks("%v waits for the login that began at %v, before the flush or the new password", c.question, c.login.began.Sub(r.start))
	default:
		c.login.known = true
	}
}

// refreshes finds what a hit began.
func (r *run) refreshes(c *call) {
	for _, l := range r.of[c.account()] {
		if l.began.Equal(c.at) && l.key == c.key() && !l.known {
			l.known, l.ahead = true, true
			if c.due == never {
				r.breaks("a refresh of %v begins; %v", c.question, c.ground)
			}
		}
	}
}

// refreshed judges how many are under way after it: one for the account.
func (r *run) refreshed(c *call) {
	n := 0
	for _, l := range r.of[c.account()] {
		if l.ahead && l.ended.IsZero() && r.void(l) == never {
			n++
		}
	}
	if n > 1 || n == 0 && c.due == surely {
		r.breaks("for %v, %d refreshes are under way; %v", c.question, n, c.ground)
	}
}

// judge judges a call that waited: it has the login's verdict, or left at its budget
// before there was one. Where grace is given it looks once more instead of a TempFail:
// at its budget, and when the login could not reach the server.
func (r *run) judge(c *call) {
	c.checked = true
	if c.login == nil {
		return // told already
	}
	landed := c.ended.Equal(c.login.ended)
	again := r.cfg.Grace > 0 && (c.login.unreachable || !landed)
	c.late.down = c.late.down || landed && c.login.unreachable
	switch {
	case !landed && !c.ended.Equal(c.at.Add(c.budget)):
		r.breaks("%v was answered %v at %v", c.question, c.verdict, c.ended.Sub(r.start))
	case c.fromMemory():
		if !again || !c.late.may(c.verdict, c.source) {
			r.breaks("%v was answered %v, late, from %s; %v", c.question, c.verdict, c.source, c.late)
		}
	case landed && c.verdict != c.login.verdict, !landed && c.verdict != proto.TempFail:
		r.breaks("%v was answered %v at %v; the login said %v", c.question, c.verdict, c.ended.Sub(r.start), c.login.verdict)
	case again && c.late.must() != proto.TempFail:
		r.breaks("%v was answered %v, late, and not from memory; %v", c.question, c.verdict, c.late)
	}
	if (c.err != nil) != (c.verdict == proto.TempFail) {
		r.breaks("%v was answered %v with the error %v", c.question, c.verdict, c.err)
	}
}
