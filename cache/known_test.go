package cache

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"imapauthd/proto"
)

// Whoever joins a login that the guard refuses is asked for by himself: it was refused for
// the address of who began it.
func TestGuardedFlightIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused, other := mustAddr("192.0.2.1"), mustAddr("192.0.2.2")
		c := newCache(t, proto.AuthenticatorFunc(func(_ context.Context, req *proto.Request) (proto.Verdict, error) {
			time.Sleep(time.Second)
			if req.Client == refused {
				req.Trail.Source = proto.SourceGuard
				return no, nil
			}
			req.Trail.Source = fromIMAP
			return yes, nil
		}), 10, theServer)
		for client, want := range map[netip.AddrPort]proto.Verdict{refused: no, other: yes} {
			first, second := request("bob", "right"), request("bob", "right")
			first.Client, second.Client = refused, client
			one := goAsk(c, t.Context(), first)
			synctest.Wait()
			two := goAsk(c, t.Context(), second)
			if got := <-one; got != no {
				t.Errorf("the first: got %v, want %v", got, no)
			}
			if got := <-two; got != want {
				t.Errorf("the second, from %v: got %v, want %v", client, got, want)
			}
			c.FlushAll()
		}
	})
}

// The links below are told what was said before of these very credentials, and nobody
// who asks can say so himself.
func TestKnown(t *testing.T) {
	for _, route := range []proto.Route{theServer, {Server: "s", PerAddress: true}} {
		synctest.Test(t, func(t *testing.T) {
			u := &upstream{}
			u.set("bob", "right", "app")
			var known proto.Verdict
			c := newCache(t, proto.AuthenticatorFunc(func(ctx context.Context, req *proto.Request) (proto.Verdict, error) {
				known = req.Trail.Known
				return u.Authenticate(ctx, req)
			}), 10, route)
			expect := func(step, password string, want proto.Verdict) {
				t.Helper()
				req := request("bob", password)
				req.Trail.Known = yes // a lie
				if c.Authenticate(t.Context(), req); known != want {
					t.Errorf("%s: got %v, want %v", step, known, want)
				}
			}
			expect("right", "right", undecided)
			expect("wrong", "wrong", undecided)
			expect("an app's", "app", undecided)
			expect("right, marked", "right", yes)
			time.Sleep(testNegative)
			expect("wrong, expired", "wrong", no)
			time.Sleep(testPositive)
			expect("right, expired", "right", yes)
			u.set("bob")
			time.Sleep(testPositive)
			expect("right, and not any more", "right", yes)
			time.Sleep(testNegative)
			expect("was right, expired", "right", no)
			c.Flush("s", "bob")
			expect("flushed", "right", undecided)
		})
	}
}
