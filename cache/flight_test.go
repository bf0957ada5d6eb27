package cache

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imapauthd/proto"
)

func mustAddr(s string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(s), 0) }

// go asks in the background and returns where the outcome will be.
func goAsk(c *Cache, ctx context.Context, req *proto.Request) <-chan proto.Verdict {
	out := make(chan proto.Verdict, 1)
	go func() {
		v, _ := c.Authenticate(ctx, req)
		out <- v
	}()
	return out
}

func TestOneLoginForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{delay: time.Second}
		u.set("bob", "right")
		c := newCache(t, u, 10, theServer)
		var wg sync.WaitGroup
		sources := make(chan proto.Source, 1000)
		for range 1000 {
			wg.Go(func() {
				req := request("bob", "right")
				if v, err := c.Authenticate(t.Context(), req); v != yes {
					t.Error(v, err)
				}
				sources <- req.Trail.Source
			})
		}
		wg.Wait()
		close(sources)
		own := 0
		for s := range sources {
			if s == fromIMAP {
				own++
			} else if s != proto.SourceFlight {
				t.Errorf("got source %v", s)
			}
		}
		if u.logins != 1 || own != 1 {
			t.Errorf("got %d logins, %d callers with their own, want 1 and 1", u.logins, own)
		}
	})
}

// TestLoginOutlivesItsCaller: a caller leaves at its budget, the verdict is
// stored, and the retry is a hit.
func TestLoginOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{delay: 15 * time.Second}
		u.set("bob", "right")
		c := newCache(t, u, 10, theServer)
		var log strings.Builder
		c.log = slog.New(slog.NewTextHandler(&log, nil))
		ctx, cancel := context.WithTimeoutCause(t.Context(), 9*time.Second, proto.ErrDeadline)
		defer cancel()
		v, err := c.Authenticate(ctx, request("bob", "right"))
		if v != undecided || !errors.Is(err, proto.ErrDeadline) {
			t.Fatalf("got %v, %v", v, err)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		ask(t, c, "bob", "right", yes, fromCache)
		if line := log.String(); !strings.Contains(line, `msg="late login" authcid=bob verdict=accept source=imap`) || !strings.Contains(line, "elapsed=15s") {
			t.Errorf("the log says %q", line)
		}
	})
}

func TestLoginTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{delay: time.Hour}
		c := newCache(t, u, 10, theServer)
		start := time.Now()
		v, err := c.Authenticate(t.Context(), request("bob", "right"))
		if took := time.Since(start); v != undecided || err == nil || took != testLogin {
			t.Errorf("got %v, %v after %v", v, err, took)
		}
		if len(c.shards[0].flights) != 0 {
			t.Error("the flight is still there")
		}
	})
}

// TestFlushDuringFlight: the login begun before stores nothing, and who asks after
// the flush is not answered by it.
func TestFlushDuringFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{delay: 10 * time.Second}
		u.set("bob", "old")
		c := newCache(t, u, 10, theServer)
		before := goAsk(c, t.Context(), request("bob", "old"))
		synctest.Wait()
		u.set("bob", "new")
		c.Flush("s", "bob")
		u.mu.Lock()
		u.delay = time.Second
		u.mu.Unlock()
		ask(t, c, "bob", "old", no, fromIMAP)
		if v := <-before; v != yes {
			t.Errorf("begun before: got %v want the server's accept", v)
		}
		ask(t, c, "bob", "old", no, fromCache)
	})
}

// TestNewPasswordDuringFlight: the old password's login, begun before the new
// one was accepted, stores nothing.
func TestNewPasswordDuringFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{delay: 10 * time.Second}
		u.set("bob", "old")
		c := newCache(t, u, 10, theServer)
		old := goAsk(c, t.Context(), request("bob", "old"))
		synctest.Wait()
		u.mu.Lock()
		u.delay = time.Second
		u.mu.Unlock()
		u.set("bob", "new")
		ask(t, c, "bob", "new", yes, fromIMAP)
		if v := <-old; v != yes {
			t.Errorf("got %v want what the server said", v)
		}
		synctest.Wait()
		ask(t, c, "bob", "old", no, fromIMAP)
		// The late accept of an unknown password marked the new one.
		ask(t, c, "bob", "new", yes, fromIMAP)
		ask(t, c, "bob", "new", yes, fromCache)
	})
}

// TestNewPasswordDuringReproof: a re-proof begun before another password was
// accepted does not clear the mark.
func TestNewPasswordDuringReproof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{}
		u.set("bob", "a", "b", "c")
		c := newCache(t, u, 10, theServer)
		ask(t, c, "bob", "a", yes, fromIMAP)
		ask(t, c, "bob", "b", yes, fromIMAP) // marks a
		u.delay = 10 * time.Second
		reproof := goAsk(c, t.Context(), request("bob", "a"))
		synctest.Wait()
		u.mu.Lock()
		u.delay = 0
		u.mu.Unlock()
		ask(t, c, "bob", "c", yes, fromIMAP) // marks a and b
		<-reproof
		synctest.Wait()
		ask(t, c, "bob", "a", yes, fromIMAP)
		ask(t, c, "bob", "a", yes, fromCache)
		ask(t, c, "bob", "c", yes, fromCache)
		ask(t, c, "bob", "b", yes, fromIMAP)
	})
}

func TestPanicIsTempFailForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, proto.AuthenticatorFunc(func(context.Context, *proto.Request) (proto.Verdict, error) {
			time.Sleep(time.Second)
			panic("boom")
		}), 10, theServer)
		a := goAsk(c, t.Context(), request("bob", "x"))
		b := goAsk(c, t.Context(), request("bob", "x"))
		if v, w := <-a, <-b; v != undecided || w != undecided {
			t.Errorf("got %v and %v", v, w)
		}
		if len(c.shards[0].flights) != 0 {
			t.Error("the flight is still there")
		}
	})
}

func TestCloseEndsFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, &upstream{delay: 20 * time.Second}, 10, theServer)
		a := goAsk(c, t.Context(), request("bob", "x"))
		synctest.Wait()
		c.Close()
		if v := <-a; v != undecided {
			t.Errorf("got %v", v)
		}
	})
}

func TestHitAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops items at random under -race")
	}
	u := &upstream{}
	u.set("bob@example.com", "right")
	c := newCache(t, u, 10, theServer)
	for _, password := range []string{"right", "wrong"} {
		req := request("bob@example.com", password)
		c.Authenticate(t.Context(), req)
		if n := testing.AllocsPerRun(1000, func() { c.Authenticate(context.Background(), req) }); n != 0 {
			t.Errorf("a hit with %q: got %v allocations want 0", password, n)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	k, req := newKeyer(), request("alice@example.com", "correct horse battery staple")
	b.ReportAllocs()
	for b.Loop() {
		k.account("default", req.Authcid)
		k.entry(theServer, req)
	}
}

func BenchmarkCacheHit(b *testing.B) {
	u := &upstream{}
	u.set("alice@example.com", "right")
	c := newCache(b, u, 100_000, theServer)
	req := request("alice@example.com", "right")
	c.Authenticate(b.Context(), req)
	b.ReportAllocs()
	for b.Loop() {
		c.Authenticate(b.Context(), req)
	}
}

// BenchmarkCacheMiss is all of a miss but the login.
func BenchmarkCacheMiss(b *testing.B) {
	c := newCache(b, proto.AuthenticatorFunc(func(_ context.Context, req *proto.Request) (proto.Verdict, error) {
		req.Trail = proto.Trail{Source: proto.SourceIMAP, NoStore: true}
		return proto.Accept, nil
	}), 100_000, theServer)
	req := request("alice@example.com", "right")
	b.ReportAllocs()
	for b.Loop() {
		c.Authenticate(b.Context(), req)
	}
}
