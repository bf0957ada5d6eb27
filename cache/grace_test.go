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

const (
	testGrace = time.Hour
	byGrace   = proto.SourceGrace
)

// outage is an upstream whose server may not be reached, which Down knows or does not.
type outage struct {
	upstream
	unreachable bool // logins end so
	known       bool
}

func (o *outage) Authenticate(ctx context.Context, req *proto.Request) (proto.Verdict, error) {
	v, err := o.upstream.Authenticate(ctx, req)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unreachable {
		return proto.TempFail, fmt.Errorf("dial: %w", proto.ErrUnreachable)
	}
	return v, err
}

// begin makes the server be away, known or not.
func (o *outage) begin(known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unreachable, o.known = true, known
}

func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unreachable, o.known = false, false
}

func withGrace(t testing.TB, o *outage, route proto.Route) *Cache {
	cfg := DefaultConfig()
	cfg.PositiveTTL, cfg.NegativeTTL, cfg.Accounts, cfg.Grace = proto.Duration(testPositive), proto.Duration(testNegative), 10, proto.Duration(testGrace)
	c := New(cfg, Options{
		Next:  o,
		Route: func(*proto.Request) (proto.Route, bool) { return route, true },
		Down: func(*proto.Request) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			return o.known
		},
		LoginTimeout: testLogin,
		Log:          slog.New(slog.DiscardHandler),
	})
	t.Cleanup(c.Close)
	return c
}

// look expects what the accept loop would answer.
func look(t *testing.T, c *Cache, account, password string, want proto.Verdict, source proto.Source) {
	t.Helper()
	req := request(account, password)
	if got := c.Look(req); got != want || req.Trail.Source != source {
		t.Errorf("look at %s with %q: got %v from %v, want %v from %v", account, password, got, req.Trail.Source, want, source)
	}
}

// TestGrace: what an outage accepts of entries past their lifetime. bob has logged in,
// with "right", when a step begins.
func TestGrace(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, c *Cache, o *outage){
		"until its end": func(t *testing.T, c *Cache, o *outage) {
			o.begin(true)
			time.Sleep(testPositive - time.Nanosecond)
			look(t, c, "bob", "right", yes, fromCache)
			time.Sleep(time.Nanosecond)
			look(t, c, "bob", "right", yes, byGrace)
			time.Sleep(testGrace - time.Nanosecond)
			look(t, c, "bob", "right", yes, byGrace)
			ask(t, c, "bob", "right", yes, byGrace)
			time.Sleep(time.Nanosecond)
			look(t, c, "bob", "right", undecided, fromCache)
			ask(t, c, "bob", "right", undecided, fromIMAP)
		},
		"the first of an outage": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(testPositive)
			o.begin(false)
			look(t, c, "bob", "right", undecided, fromCache)
			ask(t, c, "bob", "right", yes, byGrace)
		},
		"the first, too late": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(testPositive + testGrace)
			o.begin(false)
			ask(t, c, "bob", "right", undecided, fromIMAP)
		},
		"up": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(testPositive)
			look(t, c, "bob", "right", undecided, fromCache)
			ask(t, c, "bob", "right", yes, fromIMAP)
		},
		"up, without a verdict": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(testPositive)
			o.down = true // says the server
			ask(t, c, "bob", "right", undecided, fromIMAP)
		},
		"without a verdict while it is known to be down": func(t *testing.T, c *Cache, o *outage) {
			// A login that was begun before and ends with the server's own word.
			time.Sleep(testPositive)
			o.down, o.delay = true, time.Second
			before := goAsk(c, t.Context(), request("bob", "right"))
			synctest.Wait()
			o.begin(true)
			o.mu.Lock()
			o.unreachable = false
			o.mu.Unlock()
			if v := <-before; v != undecided {
				t.Errorf("got %v", v)
			}
		},
		"left unanswered": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(testPositive)
			o.delay = time.Hour
			ctx, cancel := context.WithTimeoutCause(t.Context(), 9*time.Second, proto.ErrDeadline)
			defer cancel()
			known, unknown := goAsk(c, ctx, request("bob", "right")), goAsk(c, ctx, request("bob", "wrong"))
			synctest.Wait()
			o.begin(true)
			if v, w := <-known, <-unknown; v != yes || w != undecided {
				t.Errorf("got %v and %v", v, w)
			}
		},
		"left unanswered by a server that is up": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(testPositive)
			o.delay = time.Hour
			ctx, cancel := context.WithTimeoutCause(t.Context(), 9*time.Second, proto.ErrDeadline)
			defer cancel()
			if v := <-goAsk(c, ctx, request("bob", "right")); v != undecided {
				t.Errorf("got %v", v)
			}
		},
		"back": func(t *testing.T, c *Cache, o *outage) {
			o.begin(true)
			time.Sleep(testPositive)
			ask(t, c, "bob", "right", yes, byGrace)
			o.set("bob", "new")
			o.end()
			ask(t, c, "bob", "right", no, fromIMAP)
			time.Sleep(testNegative)
			o.begin(true)
			ask(t, c, "bob", "right", undecided, fromIMAP) // removed
		},
		"never known": func(t *testing.T, c *Cache, o *outage) {
			o.begin(true)
			time.Sleep(testPositive)
			ask(t, c, "bob", "wrong", undecided, fromIMAP)
			ask(t, c, "Bob", "right", undecided, fromIMAP)
			ask(t, c, "eve", "right", undecided, fromIMAP)
		},
		"rejected": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(testPositive - testNegative/2)
			ask(t, c, "bob", "wrong", no, fromIMAP)
			o.begin(true)
			time.Sleep(testNegative / 2)
			ask(t, c, "bob", "wrong", no, fromCache)
			ask(t, c, "bob", "right", yes, byGrace)
			time.Sleep(testNegative / 2)
			ask(t, c, "bob", "wrong", undecided, fromIMAP)
		},
		"flushed": func(t *testing.T, c *Cache, o *outage) {
			o.begin(true)
			time.Sleep(testPositive)
			ask(t, c, "bob", "right", yes, byGrace)
			c.Flush("s", "bob")
			ask(t, c, "bob", "right", undecided, fromIMAP)
		},
		"all flushed": func(t *testing.T, c *Cache, o *outage) {
			o.begin(true)
			time.Sleep(testPositive)
			c.FlushAll()
			ask(t, c, "bob", "right", undecided, fromIMAP)
		},
		"marked": func(t *testing.T, c *Cache, o *outage) {
			o.set("bob", "right", "another")
			ask(t, c, "bob", "another", yes, fromIMAP)
			o.begin(true)
			ask(t, c, "bob", "right", undecided, fromIMAP)
			time.Sleep(testPositive)
			ask(t, c, "bob", "right", undecided, fromIMAP)
			ask(t, c, "bob", "another", yes, byGrace)
		},
		"flushed while the first asks": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(testPositive)
			o.delay = time.Second
			o.begin(false)
			first := goAsk(c, t.Context(), request("bob", "right"))
			synctest.Wait()
			c.Flush("s", "bob")
			if v := <-first; v != undecided {
				t.Errorf("got %v", v)
			}
		},
		"marked while the first asks": func(t *testing.T, c *Cache, o *outage) {
			o.set("bob", "right", "another")
			time.Sleep(testPositive)
			o.delay = time.Second
			another := goAsk(c, t.Context(), request("bob", "another"))
			time.Sleep(time.Second / 2)
			first := goAsk(c, t.Context(), request("bob", "right"))
			<-another
			o.begin(false)
			if v := <-first; v != undecided {
				t.Errorf("got %v", v)
			}
		},
		"renewed while the first asks": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(testPositive)
			o.delay = time.Second
			o.begin(false)
			req := request("bob", "right")
			done := make(chan proto.Verdict, 1)
			go func() { v, _ := c.Authenticate(t.Context(), req); done <- v }()
			synctest.Wait()
			s := &c.shards[0]
			s.mu.Lock()
			key := c.keys.entry(theServer, req)
			s.positive.put(c.keys.account("s", "bob"), key, key, c.now())
			s.mu.Unlock()
			if v := <-done; v != yes || req.Trail.Source != fromCache {
				t.Errorf("got %v from %v", v, req.Trail.Source)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &outage{}
				o.set("bob", "right")
				c := withGrace(t, o, theServer)
				ask(t, c, "bob", "right", yes, fromIMAP)
				test(t, c, o)
			})
		})
	}
}

// TestGracePerAddress: at another address the credentials are others.
func TestGracePerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{}
		o.set("bob", "right")
		c := withGrace(t, o, proto.Route{Server: "s", PerAddress: true})
		at := func(addr string) proto.Verdict {
			req := request("bob", "right")
			req.Client = mustAddr(addr)
			v, _ := c.Authenticate(t.Context(), req)
			return v
		}
		at("192.0.2.1")
		time.Sleep(testPositive)
		o.begin(true)
		if here, there := at("192.0.2.1"), at("192.0.2.2"); here != yes || there != undecided {
			t.Errorf("got %v at the same address and %v at another", here, there)
		}
	})
}

// TestGraceOff: without it an outage lengthens no lifetime.
func TestGraceOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{}
		o.set("bob", "right")
		c := newCache(t, o, 10, theServer)
		ask(t, c, "bob", "right", yes, fromIMAP)
		time.Sleep(testPositive)
		o.begin(false)
		ask(t, c, "bob", "right", undecided, fromIMAP)
		look(t, c, "bob", "right", undecided, fromCache)
	})
}

// TestGraceIsLogged: its beginning and its end, and not each login.
func TestGraceIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{}
		o.set("bob", "right")
		o.set("eve", "right")
		c := withGrace(t, o, theServer)
		var log strings.Builder
		c.grace.log = slog.New(slog.NewTextHandler(&log, nil))
		ask(t, c, "bob", "right", yes, fromIMAP)
		time.Sleep(testPositive)
		for spell := 1; spell <= 2; spell++ {
			o.begin(true)
			for range 10 {
				ask(t, c, "bob", "right", yes, byGrace)
				look(t, c, "bob", "right", yes, byGrace)
			}
			o.mu.Lock()
			o.unreachable = false // over a connection of before
			o.mu.Unlock()
			ask(t, c, "eve", fmt.Sprint("wrong", spell), no, fromIMAP)
			time.Sleep(time.Minute)
			if n := strings.Count(log.String(), "\n"); n != 2*spell-1 {
				t.Errorf("got %d lines before the end of spell %d: %s", n, spell, &log)
			}
			o.end()
			ask(t, c, "eve", "wrong", no, fromIMAP)
			time.Sleep(testNegative)
		}
		if text := log.String(); strings.Count(text, "grace begins") != 2 || strings.Count(text, `msg="grace is over" server=s accepted=20 after=1m0s`) != 2 {
			t.Error(text)
		}
	})
}

func TestGraceAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops items at random under -race")
	}
	o := &outage{}
	o.set("bob", "right")
	c := withGrace(t, o, theServer)
	ask(t, c, "bob", "right", yes, fromIMAP)
	c.epoch = c.epoch.Add(-testPositive)
	o.begin(true)
	req := request("bob", "right")
	if n := testing.AllocsPerRun(1000, func() { c.Look(req) }); n != 0 || req.Trail.Source != byGrace {
		t.Errorf("got %v allocations from %v", n, req.Trail.Source)
	}
}
