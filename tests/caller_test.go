package tests

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"imapauthd/imap"
	"imapauthd/proto"
)

// callerIP is the mail client's address that servers are told.
const callerIP = "198.51.100.7"

// caller logs in again and again, at one server and in one way.
type caller struct {
	t    testing.TB
	cfg  imap.Config
	anew bool
	log  *poolLog
	r    *imap.Router
}

func newCaller(t testing.TB, at place, scheme string, warm int, anew bool, distance time.Duration) *caller {
	t.Helper()
	addr := at.clear
	if scheme == "imaps" {
		addr = at.tls
	}
	if distance > 0 {
		addr = loopback(startDistance(t, addr, distance))
	}
	u, err := imap.ParseURL(scheme + "://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{t: t, cfg: imap.DefaultConfig(), anew: anew, log: &poolLog{}}
	c.cfg.URL, c.cfg.CAFile, c.cfg.Warm = []imap.URL{u}, at.ca.caFile, warm
	c.router()
	t.Cleanup(func() { c.r.Close() })
	return c
}

func (c *caller) router() {
	r, err := imap.NewRouter([]imap.Config{c.cfg}, slog.New(c.log))
	if err != nil {
		c.t.Fatal(err)
	}
	c.r = r
}

// prime shows the pool a demand: it keeps nothing warm for a lone login.
func (c *caller) prime() {
	for range 4 {
		c.login()
	}
	c.log.cold.Store(0)
}

// ready waits until the pool has a connection in hand, if it keeps any.
func (c *caller) ready() {
	if c.anew {
		c.r.Close()
		c.router()
	}
	if c.cfg.Warm > 0 {
		eventually(c.t, "warm connections", func() bool { return c.log.connected.Load() >= c.log.answered.Load()+2 })
	}
}

// login asks once and returns how long it took.
func (c *caller) login() time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	start := time.Now()
	got, err := c.r.Authenticate(ctx, &proto.Request{
		Authcid:  "alice",
		Password: proto.NewPassword(accounts["alice"]),
		Client:   netip.MustParseAddrPort(callerIP + ":4321"),
	})
	took := time.Since(start)
	if got != proto.Accept {
		c.t.Fatalf("got %v: %v", got, err)
	}
	return took
}

// repeat logs in n times, with all in hand that the way has.
func (c *caller) repeat(n int) (took []time.Duration) {
	c.prime()
	for range n {
		c.ready()
		took = append(took, c.login())
	}
	if cold := c.log.cold.Load(); c.cfg.Warm > 0 && cold > 0 {
		c.t.Errorf("%d of %d logins had no warm connection", cold, n)
	}
	return took
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// poolLog counts what the pool says of its connections.
type poolLog struct{ connected, answered, cold atomic.Int64 }

func (l *poolLog) Handle(_ context.Context, r slog.Record) error {
	switch r.Message {
	case "connected":
		l.connected.Add(1)
	case "answered":
		l.answered.Add(1)
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "warm" && !a.Value.Bool() {
				l.cold.Add(1)
			}
			return true
		})
	}
	return nil
}

func (l *poolLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *poolLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *poolLog) WithGroup(string) slog.Handler            { return l }
