package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"imapauthd/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upstream is an IMAP server whose truth the test sets: account → passwords.
type upstream struct {
	mu     sync.Mutex
	truth  map[string]map[string]bool
	down   bool
	own    bool // verdicts are the router's, not a server's
	unsafe bool // verdicts must not be stored
	delay  time.Duration
	logins int
}

func (u *upstream) Authenticate(ctx context.Context, req *proto.Request) (proto.Verdict, error) {
	u.mu.Lock()
	u.logins++
	right, down, delay := u.truth[req.Authcid][req.Password.Reveal()], u.down, u.delay
	req.Trail.Source, req.Trail.NoStore = proto.SourceIMAP, u.unsafe
	if u.own {
		req.Trail.Source = proto.SourceRouter
	}
	u.mu.Unlock()
	if delay > 0 { // the verdict is of the login's beginning, as with a real server
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return proto.TempFail, context.Cause(ctx)
		}
	}
	switch {
	case down:
		return proto.TempFail, errors.New("down")
	case right:
		return proto.Accept, nil
	default:
		return proto.Reject, nil
	}
}

func (u *upstream) set(account string, passwords ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.truth == nil {
		u.truth = make(map[string]map[string]bool)
	}
	u.truth[account] = make(map[string]bool)
	for _, p := range passwords {
		u.truth[account][p] = true
	}
}

const (
	testPositive = 10 * time.Minute
	testNegative = time.Minute
	testLogin    = 30 * time.Second
)

func newCache(t testing.TB, next proto.Authenticator, accounts int, route proto.Route) *Cache {
	c := New(Config{PositiveTTL: proto.Duration(testPositive), NegativeTTL: proto.Duration(testNegative), Accounts: accounts, NegativeAccounts: accounts}, Options{
		Next:         next,
		Route:        func(*proto.Request) (proto.Route, bool) { return route, route.Server != "" },
		LoginTimeout: testLogin,
		Log:          slog.New(slog.DiscardHandler),
	})
	t.Cleanup(c.Close)
	return c
}

func request(account, password string) *proto.Request {
	return &proto.Request{Authcid: account, Password: proto.NewPassword(password)}
}

// ask expects a verdict and where it came from.
func ask(t *testing.T, c *Cache, account, password string, want proto.Verdict, source proto.Source) {
	t.Helper()
	req := request(account, password)
	got, err := c.Authenticate(t.Context(), req)
	if got != want || req.Trail.Source != source {
		t.Errorf("%s with %q: got %v from %v (%v), want %v from %v", account, password, got, req.Trail.Source, err, want, source)
	}
}

const (
	yes, no, undecided = proto.Accept, proto.Reject, proto.TempFail
	fromIMAP           = proto.SourceIMAP
	fromCache          = proto.SourceCache
)

var theServer = proto.Route{Server: "s"}

func TestLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{}
		u.set("bob", "right")
		c := newCache(t, u, 10, theServer)
		ask(t, c, "bob", "right", yes, fromIMAP)
		ask(t, c, "bob", "wrong", no, fromIMAP)
		time.Sleep(testNegative - time.Nanosecond)
		ask(t, c, "bob", "wrong", no, fromCache)
		time.Sleep(time.Nanosecond)
		ask(t, c, "bob", "wrong", no, fromIMAP)
		time.Sleep(testPositive - testNegative - time.Nanosecond)
		u.down = true // for the login that this hit begins
		ask(t, c, "bob", "right", yes, fromCache)
		synctest.Wait()
		u.down = false
		time.Sleep(time.Nanosecond)
		ask(t, c, "bob", "right", yes, fromIMAP)
	})
}

func TestNothingElseIsStored(t *testing.T) {
	for name, u := range map[string]*upstream{
		"tempfail": {down: true},
		"own":      {own: true},
		"no store": {unsafe: true},
	} {
		t.Run(name, func(t *testing.T) {
			u.set("bob", "right")
			c := newCache(t, u, 10, theServer)
			for range 3 {
				c.Authenticate(t.Context(), request("bob", "right"))
				c.Authenticate(t.Context(), request("bob", "wrong"))
			}
			if u.logins != 6 {
				t.Errorf("got %d logins want 6", u.logins)
			}
		})
	}
}

func TestUnroutable(t *testing.T) {
	u := &upstream{own: true}
	c := newCache(t, u, 10, proto.Route{})
	ask(t, c, "bob", "x", no, proto.SourceRouter)
}

func TestKeysAreExact(t *testing.T) {
	u := &upstream{}
	u.set("bob", "right")
	c := newCache(t, u, 10, theServer)
	ask(t, c, "bob", "right", yes, fromIMAP)
	// Each differs in one field, or moves a byte from one to the next.
	for _, r := range []*proto.Request{
		request("Bob", "right"),
		request("bob", "righ"),
		request("bobr", "ight"),
		request("bob", "right\x00"),
		{Authcid: "bob", Authzid: "r", Password: proto.NewPassword("ight")},
		{Authcid: "bob", Authzid: "bob", Password: proto.NewPassword("right")},
	} {
		if _, err := c.Authenticate(t.Context(), r); err != nil {
			t.Error(err)
		}
		if r.Trail.Source != fromIMAP {
			t.Errorf("%+v was answered by %v", r, r.Trail.Source)
		}
	}
}

// TestPerAddress: each address is asked for by itself, which is no password change; and
// one that comes from any address ends the old password at all of them.
func TestPerAddress(t *testing.T) {
	u := &upstream{}
	u.set("bob", "right")
	c := newCache(t, u, 10, proto.Route{Server: "s", PerAddress: true})
	round := func(password string) (cached, accepted int) {
		for _, addr := range []string{"", "192.0.2.1", "192.0.2.2", "2001:db8::1"} {
			req := request("bob", password)
			if addr != "" {
				req.Client = mustAddr(addr)
			}
			verdict, _ := c.Authenticate(t.Context(), req)
			if req.Trail.Source == fromCache {
				cached++
			}
			if verdict == proto.Accept {
				accepted++
			}
		}
		return cached, accepted
	}
	for i, want := range []int{0, 4, 4} {
		if got, _ := round("right"); got != want {
			t.Errorf("round %d: got %d answers from the cache want %d", i, got, want)
		}
	}
	u.set("bob", "new")
	req := request("bob", "new")
	req.Client = mustAddr("192.0.2.3")
	if verdict, err := c.Authenticate(t.Context(), req); verdict != proto.Accept {
		t.Fatalf("the new password: got %v, %v", verdict, err)
	}
	if cached, accepted := round("right"); cached != 0 || accepted != 0 {
		t.Errorf("the old password: %d answers from the cache, %d accepted", cached, accepted)
	}
}

// TestGuessesEvictNobody holds that one account's guesses displace neither its own
// positive entry nor another account's entries.
func TestGuessesEvictNobody(t *testing.T) {
	u := &upstream{}
	u.set("bob", "right")
	u.set("eve", "right")
	c := newCache(t, u, 2, theServer)
	ask(t, c, "bob", "right", yes, fromIMAP)
	ask(t, c, "bob", "wrong", no, fromIMAP)
	for i := range 1000 {
		ask(t, c, "eve", fmt.Sprint(i), no, fromIMAP)
	}
	if entries, _ := c.shards[0].negative.accounts.Peek(c.keys.account("s", "eve")); len(*entries) != perAccount {
		t.Errorf("got %d entries want %d", len(*entries), perAccount)
	}
	ask(t, c, "eve", "999", no, fromCache)
	ask(t, c, "bob", "right", yes, fromCache)
	ask(t, c, "bob", "wrong", no, fromCache)
	for i := range 1000 { // accounts that there are not: the negative side only
		ask(t, c, fmt.Sprint("nobody", i), "x", no, fromIMAP)
	}
	ask(t, c, "bob", "right", yes, fromCache)
	if n := c.shards[0].negative.accounts.Len(); n != 2 {
		t.Errorf("got %d negative accounts want 2", n)
	}
	if entries, _ := c.shards[0].negative.accounts.Peek(c.keys.account("s", "nobody999")); len(*entries) != 1 {
		t.Errorf("got %d entries want 1", len(*entries))
	}
}

func TestPasswordChange(t *testing.T) {
	u := &upstream{}
	u.set("bob", "old")
	c := newCache(t, u, 10, theServer)
	ask(t, c, "bob", "old", yes, fromIMAP)
	u.set("bob", "new")
	ask(t, c, "bob", "old", yes, fromCache) // nobody told us yet
	ask(t, c, "bob", "new", yes, fromIMAP)
	ask(t, c, "bob", "old", no, fromIMAP)
	ask(t, c, "bob", "old", no, fromCache)
	ask(t, c, "bob", "new", yes, fromCache)
}

// TestPasswordChangedBack: a password that was rejected meanwhile is a new one.
func TestPasswordChangedBack(t *testing.T) {
	u := &upstream{}
	u.set("bob", "a")
	c := newCache(t, u, 10, theServer)
	ask(t, c, "bob", "a", yes, fromIMAP)
	u.set("bob", "b")
	ask(t, c, "bob", "b", yes, fromIMAP)
	ask(t, c, "bob", "a", no, fromIMAP)
	u.set("bob", "a")
	c.shards[0].negative.drop(c.keys.account("s", "bob"), c.keys.entry(theServer, request("bob", "a"))) // its time is up
	ask(t, c, "bob", "a", yes, fromIMAP)
	ask(t, c, "bob", "b", no, fromIMAP)
}

// TestLeastRecentlyUsedGoes: the account that was asked about stays.
func TestLeastRecentlyUsedGoes(t *testing.T) {
	u := &upstream{}
	for _, a := range []string{"a", "b", "c"} {
		u.set(a, "right")
	}
	c := newCache(t, u, 2, theServer)
	ask(t, c, "a", "right", yes, fromIMAP)
	ask(t, c, "b", "right", yes, fromIMAP)
	ask(t, c, "a", "right", yes, fromCache)
	ask(t, c, "c", "right", yes, fromIMAP)
	ask(t, c, "a", "right", yes, fromCache)
	ask(t, c, "b", "right", yes, fromIMAP)
}

func TestAppPasswordsSettle(t *testing.T) {
	u := &upstream{}
	u.set("bob", "phone", "laptop")
	c := newCache(t, u, 10, theServer)
	ask(t, c, "bob", "phone", yes, fromIMAP)
	ask(t, c, "bob", "laptop", yes, fromIMAP) // marks phone
	ask(t, c, "bob", "phone", yes, fromIMAP)  // clears its own mark only
	for range 3 {
		ask(t, c, "bob", "phone", yes, fromCache)
		ask(t, c, "bob", "laptop", yes, fromCache)
	}
	u.down = true
	ask(t, c, "bob", "phone", yes, fromCache)
}

// TestMarkedDuringOutage holds that a marked entry does not count until it is
// proved, and that an outage proves nothing either way.
func TestMarkedDuringOutage(t *testing.T) {
	u := &upstream{}
	u.set("bob", "old")
	c := newCache(t, u, 10, theServer)
	ask(t, c, "bob", "old", yes, fromIMAP)
	u.set("bob", "old", "new")
	ask(t, c, "bob", "new", yes, fromIMAP)
	u.down = true
	ask(t, c, "bob", "old", undecided, fromIMAP)
	u.down = false
	ask(t, c, "bob", "old", yes, fromIMAP)
	ask(t, c, "bob", "old", yes, fromCache)
	ask(t, c, "bob", "new", yes, fromCache)
}

func TestFlush(t *testing.T) {
	u := &upstream{}
	u.set("bob", "right")
	u.set("eve", "right")
	c := newCache(t, u, 10, theServer)
	ask(t, c, "bob", "right", yes, fromIMAP)
	ask(t, c, "bob", "wrong", no, fromIMAP)
	ask(t, c, "eve", "right", yes, fromIMAP)
	c.Flush("s", "BOB")
	ask(t, c, "bob", "right", yes, fromIMAP)
	ask(t, c, "bob", "wrong", no, fromIMAP)
	ask(t, c, "eve", "right", yes, fromCache)
	c.FlushAll()
	ask(t, c, "eve", "right", yes, fromIMAP)
}
