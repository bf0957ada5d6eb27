package guard

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"imapauthd/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upstream is an IMAP server whose word depends on the password.
type upstream struct {
	mu    sync.Mutex
	right string // other words: "alert", "down", "unroutable", and the rest is wrong
	asked int
}

func (u *upstream) Authenticate(ctx context.Context, req *proto.Request) (proto.Verdict, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked++
	req.Trail.Source = proto.SourceIMAP
	switch p := req.Password.Reveal(); p {
	case u.right:
		return proto.Accept, nil
	case "alert":
		req.Trail.NoStore = true
	case "down":
		return proto.TempFail, errors.New("down")
	case "unroutable":
		req.Trail.Source = proto.SourceRouter
	}
	return proto.Reject, nil
}

func byName(req *proto.Request) (proto.Route, bool) {
	return proto.Route{Server: "s" + req.Server}, req.Server != "none"
}

const (
	testAttempts = 3
	testBlock    = time.Minute
	testMax      = 5 * time.Minute
)

func newGuard(u proto.Authenticator, log *slog.Logger) *Guard {
	cfg := Config{Attempts: testAttempts, Block: proto.Duration(testBlock), MaxBlock: proto.Duration(testMax)}
	return New(cfg, Options{Next: u, Route: byName, Log: log})
}

func request(address, account, password string) *proto.Request {
	req := &proto.Request{Authcid: account, Password: proto.NewPassword(password)}
	if address != "" {
		req.Client = netip.AddrPortFrom(netip.MustParseAddr(address), 0)
	}
	return req
}

const here = "192.0.2.1"

// ask expects a verdict and where it came from.
func ask(t *testing.T, door proto.Authenticator, req *proto.Request, want proto.Verdict, source proto.Source) {
	t.Helper()
	got, err := door.Authenticate(t.Context(), req)
	if got != want || req.Trail.Source != source {
		t.Errorf("%s with %q: got %v from %v (%v), want %v from %v", req.Authcid, req.Password.Reveal(), got, req.Trail.Source, err, want, source)
	}
}

// guess has bob's password guessed from here until he is blocked.
func guess(t *testing.T, door proto.Authenticator) {
	t.Helper()
	for _, p := range []string{"a", "b", "c"}[:testAttempts] {
		ask(t, door, request(here, "bob", p), proto.Reject, proto.SourceIMAP)
	}
	ask(t, door, request(here, "bob", "d"), proto.Reject, proto.SourceGuard)
}

// Blocks begin and end, each twice as long as the one before, up to the longest; and
// after a long while they are short again.
func TestBlocksGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{right: "right"}
		g := newGuard(u, slog.New(slog.DiscardHandler))
		for _, length := range []time.Duration{1, 2, 4, 5, 5} {
			guess(t, g)
			asked := u.asked
			time.Sleep(length*time.Minute - time.Nanosecond)
			ask(t, g, request(here, "bob", "right"), proto.Reject, proto.SourceGuard)
			if u.asked != asked {
				t.Error("the server was asked during a block")
			}
			time.Sleep(time.Nanosecond)
			ask(t, g, request(here, "bob", "right"), proto.Accept, proto.SourceIMAP)
		}
		time.Sleep(testMax)
		guess(t, g)
		time.Sleep(testBlock)
		ask(t, g, request(here, "bob", "right"), proto.Accept, proto.SourceIMAP)
	})
}

// After a block it takes as many guesses again, and the next one is longer all the same.
func TestGuessingGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(&upstream{}, slog.New(slog.DiscardHandler))
		for _, length := range []time.Duration{testBlock, 2 * testBlock, 4 * testBlock} {
			guess(t, g)
			time.Sleep(length)
		}
	})
}

func TestPairs(t *testing.T) {
	const v6 = "2001:db8:1:2::1"
	named := func(server string) *proto.Request {
		req := request(here, "kim", "right")
		req.Server = server
		return req
	}
	for _, tt := range []struct {
		name    string
		guessed string // the address that was
		req     *proto.Request
		blocked bool
	}{
		{"the same", here, request(here, "kim", "right"), true},
		{"the account in capitals", here, request(here, "KiM", "right"), true},
		{"the account in capitals beyond ASCII", here, request(here, "\u212aim", "right"), false}, // the Kelvin sign, whose small letter is k
		{"another account", here, request(here, "kimm", "right"), false},
		{"another server", here, named("2"), false},
		{"no server", here, named("none"), false},
		{"another address", here, request("192.0.2.2", "kim", "right"), false},
		{"no address", here, request("", "kim", "right"), false},
		{"IPv4 within IPv6", here, request("::ffff:192.0.2.1", "kim", "right"), true},
		{"an IPv6 address with the same bytes", here, request("c000:201::", "kim", "right"), false},
		{"the same network", v6, request("2001:db8:1:2:ffff::9", "kim", "right"), true},
		{"the next network", v6, request("2001:db8:1:3::1", "kim", "right"), false},
		{"where no address was told", "", request("", "kim", "right"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGuard(&upstream{right: "right"}, slog.New(slog.DiscardHandler))
			for range testAttempts {
				ask(t, g, request(tt.guessed, "kim", "wrong"), proto.Reject, proto.SourceIMAP)
			}
			if tt.blocked {
				ask(t, g, tt.req, proto.Reject, proto.SourceGuard)
				if tt.req.Trail.Server != "s" {
					t.Errorf("the server is %q in the trail", tt.req.Trail.Server)
				}
			} else {
				ask(t, g, tt.req, proto.Accept, proto.SourceIMAP)
			}
		})
	}
}

// What counts, and what makes the count begin anew: each row is between two wrong
// passwords and the third.
func TestCounts(t *testing.T) {
	for _, tt := range []struct {
		name, password string
		known          proto.Verdict
		wait           time.Duration
		blocked        bool // by the third wrong password
	}{
		{"nothing", "", 0, 0, true},
		{"TempFail", "down", 0, 0, true},
		{"the router's no", "unroutable", 0, 0, true},
		{"a no that is not for sure of the password", "alert", 0, 0, true},
		{"a password known to be wrong", "old", proto.Reject, 0, true},
		{"a right one", "right", 0, 0, false},
		{"a right one, known", "right", proto.Accept, 0, false},
		{"a while", "", 0, testMax - 1, true},
		{"a long while", "", 0, testMax, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuard(&upstream{right: "right"}, slog.New(slog.DiscardHandler))
				for i, p := range []string{"a", "b", tt.password, "c"} {
					if i == 2 {
						time.Sleep(tt.wait)
					}
					if p == "" {
						continue
					}
					req := request(here, "bob", p)
					if i == 2 {
						req.Trail.Known = tt.known
					}
					if g.Authenticate(t.Context(), req); req.Trail.Source == proto.SourceGuard {
						t.Errorf("blocked before %q", p)
					}
				}
				source := proto.SourceIMAP
				if tt.blocked {
					source = proto.SourceGuard
				}
				ask(t, g, request(here, "bob", "d"), proto.Reject, source)
			})
		})
	}
}

// Logins that were in progress when the block began neither end it nor lengthen it.
func TestLoginsInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{right: "right"}
		g := newGuard(proto.AuthenticatorFunc(func(ctx context.Context, req *proto.Request) (proto.Verdict, error) {
			time.Sleep(2 * time.Second)
			return u.Authenticate(ctx, req)
		}), slog.New(slog.DiscardHandler))
		var wg sync.WaitGroup
		for range 20 * testAttempts {
			wg.Go(func() { g.Authenticate(t.Context(), request(here, "bob", "wrong")) })
		}
		wg.Go(func() {
			time.Sleep(time.Second)
			ask(t, g, request(here, "bob", "right"), proto.Accept, proto.SourceIMAP)
		})
		wg.Wait()
		ask(t, g, request(here, "bob", "right"), proto.Reject, proto.SourceGuard)
		time.Sleep(testBlock - time.Second)
		ask(t, g, request(here, "bob", "right"), proto.Accept, proto.SourceIMAP)
	})
}

// The log has one line in ten seconds, whatever strangers do, and no name in full length.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := newGuard(&upstream{}, slog.New(slog.NewTextHandler(&log, nil)))
		for i := range 100 {
			for range testAttempts {
				g.Authenticate(t.Context(), request(here, strings.Repeat("x", 4000+i), "wrong"))
			}
		}
		const want = `level=INFO msg="account blocked for an address" authcid=x`
		if got := log.String(); strings.Count(got, "\n") != 1 || len(got) > 1000 || !strings.Contains(got, want) ||
			!strings.HasSuffix(got, " rip=192.0.2.1 server=s attempts=3 block=1m0s\n") {
			t.Errorf("got %.2000s", got)
		}
		time.Sleep(time.Minute)
		log.Reset()
		guess(t, g)
		if got := log.String(); !strings.Contains(got, ` more=99 authcid=bob rip=192.0.2.1`) {
			t.Errorf("got %s", got)
		}
	})
}
