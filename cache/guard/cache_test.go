package guard

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"imapauthd/cache"
	"imapauthd/proto"
)

// stack is a guard behind a cache, as in the daemon.
func stack(t *testing.T, u *upstream, negativeTTL time.Duration) *cache.Cache {
	log := slog.New(slog.DiscardHandler)
	cfg := cache.DefaultConfig()
	cfg.PositiveTTL, cfg.NegativeTTL = proto.Duration(testBlock/6), proto.Duration(negativeTTL)
	c := cache.New(cfg, cache.Options{Next: newGuard(u, log), Route: byName, LoginTimeout: 30 * time.Second, Log: log})
	t.Cleanup(c.Close)
	return c
}

const there = "192.0.2.2"

// A password that was accepted passes a block, live, expired or marked; until the server
// says no to it.
func TestKnownGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{right: "right"}
		c := stack(t, u, testMax)
		ask(t, c, request(here, "bob", "right"), proto.Accept, proto.SourceIMAP)
		guess(t, c)
		ask(t, c, request(here, "bob", "right"), proto.Accept, proto.SourceCache)
		time.Sleep(testBlock / 6)
		ask(t, c, request(here, "bob", "right"), proto.Accept, proto.SourceIMAP)

		u.right = "new"
		ask(t, c, request(here, "bob", "new"), proto.Reject, proto.SourceGuard)
		ask(t, c, request(there, "bob", "new"), proto.Accept, proto.SourceIMAP)
		u.right = "right"
		ask(t, c, request(here, "bob", "right"), proto.Accept, proto.SourceIMAP) // it was marked

		time.Sleep(testBlock / 6)
		u.right = "new"
		ask(t, c, request(here, "bob", "right"), proto.Reject, proto.SourceIMAP)
		ask(t, c, request(here, "bob", "new"), proto.Accept, proto.SourceIMAP) // known from there
		c.Flush("s", "bob")
		ask(t, c, request(here, "bob", "new"), proto.Reject, proto.SourceGuard)
	})
}

// Nothing that a request brings along makes a password known.
func TestNobodyClaims(t *testing.T) {
	c := stack(t, &upstream{right: "right"}, time.Minute)
	guess(t, c)
	req := request(here, "bob", "right")
	req.Trail.Known = proto.Accept
	ask(t, c, req, proto.Reject, proto.SourceGuard)
}

// The cache does not keep the guard's no: when the block is over, or from elsewhere, the
// server is asked at once.
func TestNotCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stack(t, &upstream{right: "right"}, testMax)
		guess(t, c)
		for range 3 {
			ask(t, c, request(here, "bob", "right"), proto.Reject, proto.SourceGuard)
		}
		time.Sleep(testBlock)
		ask(t, c, request(here, "bob", "right"), proto.Accept, proto.SourceIMAP)
	})
}

// A mail program that keeps an old password, and tries it again and again, blocks nobody
// at its address; others still guess in vain.
func TestOldPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{right: "right"}
		c := stack(t, u, time.Minute)
		for range 100 {
			ask(t, c, request(here, "bob", "old"), proto.Reject, proto.SourceIMAP)
			time.Sleep(time.Minute)
		}
		if u.asked != 100 {
			t.Errorf("the server was asked %d times, want 100", u.asked)
		}
		ask(t, c, request(here, "bob", "right"), proto.Accept, proto.SourceIMAP)
		for i := range testAttempts {
			ask(t, c, request(here, "bob", fmt.Sprint(i)), proto.Reject, proto.SourceIMAP)
		}
		ask(t, c, request(here, "bob", "x"), proto.Reject, proto.SourceGuard)
	})
}
