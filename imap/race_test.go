package imap

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"imapauthd/proto"
)

// withAddresses is withFarm for one URL whose name has an address for each farm;
// nil is a black hole, where packets are dropped.
func withAddresses(t *testing.T, test func(t *testing.T, r *Router, p *pool), farms ...*farm) {
	alive := []*farm{}
	byAddress := make(map[string]*farm)
	ips := make([]netip.Addr, len(farms))
	for i, f := range farms {
		ips[i] = netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})
		byAddress[ips[i].String()+":143"] = f
		if f != nil {
			alive = append(alive, f)
		}
	}
	withFarm(t, func(c *Config) { c.Warm = 0 }, func(t *testing.T, r *Router, p *pool) {
		p.url = URL{Scheme: "imap", Host: "imap.example.com", Port: 143}
		p.addresses.resolve = func(context.Context, string, string) ([]netip.Addr, error) {
			return append([]netip.Addr(nil), ips...), nil
		}
		p.dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			if f := byAddress[address]; f != nil {
				return f.dial(ctx, network, address)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		test(t, r, p)
	}, alive[:1]...)
	for _, f := range alive {
		if f.open != 0 {
			t.Errorf("%d connections of a loser are still open", f.open)
		}
	}
}

// TestAddresses: a name's addresses stand in for each other, whatever the first one's
// trouble is, and only the first login waits to find out.
func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		farms []*farm
		first time.Duration
	}{
		{"first refused", []*farm{{down: true}, {}}, 0},
		{"first a black hole", []*farm{nil, {}}, connectDelay},
		{"three black holes", []*farm{nil, nil, nil, {}}, 3 * connectDelay},
		{"first hangs", []*farm{{mute: true}, {}}, greetDelay},
		{"first says BYE", []*farm{{bye: true}, {}}, 0},
		{"first slow", []*farm{{dialTime: 200 * time.Millisecond}, {}}, 200 * time.Millisecond},
		{"first very slow", []*farm{{dialTime: time.Second}, {}}, connectDelay},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withAddresses(t, func(t *testing.T, r *Router, p *pool) {
				for i, want := range []time.Duration{tt.first, 0, 0} {
					if tt.name == "first slow" {
						want = tt.first // which is no trouble
					}
					if took := logIn(t, r); took != want {
						t.Errorf("login %d took %v want %v", i, took, want)
					}
				}
			}, tt.farms...)
		})
	}
}

// TestAddressBack: one that was shunned comes first again after a while.
func TestAddressBack(t *testing.T) {
	first, second := &farm{down: true}, &farm{}
	withAddresses(t, func(t *testing.T, r *Router, p *pool) {
		logIn(t, r)
		first.down = false
		logIn(t, r)
		time.Sleep(shunTime)
		logIn(t, r)
		if first.logins != 1 || second.logins != 2 {
			t.Errorf("got %d and %d logins want 1 and 2", first.logins, second.logins)
		}
	}, first, second)
}

// TestAllAddressesFail: the error names each.
func TestAllAddressesFail(t *testing.T) {
	withAddresses(t, func(t *testing.T, r *Router, p *pool) {
		start := time.Now()
		v, text := login(t, r)
		if v != proto.TempFail || time.Since(start) != dialTimeout {
			t.Errorf("got %v after %v", v, time.Since(start))
		}
		for _, want := range []string{"refused", "192.0.2.2:143: the server said BYE", "no answer: after 5s"} {
			if !strings.Contains(text, want) {
				t.Errorf("the error lacks %q: %s", want, text)
			}
		}
	}, &farm{down: true}, &farm{bye: true}, nil)
}

// TestLookup: what becomes of a name when DNS fails in each way.
func TestLookup(t *testing.T) {
	withAddresses(t, func(t *testing.T, r *Router, p *pool) {
		good := p.addresses.resolve
		var asked atomic.Int64
		var answer atomic.Value // func(context.Context) error
		p.addresses.resolve = func(ctx context.Context, network, host string) ([]netip.Addr, error) {
			asked.Add(1)
			if err := answer.Load().(func(context.Context) error)(ctx); err != nil {
				return nil, err
			}
			return good(ctx, network, host)
		}
		step := func(what string, want proto.Verdict, waited time.Duration) {
			t.Helper()
			time.Sleep(keptPause)
			before, start := asked.Load(), time.Now()
			for range 10 {
				if v, text := login(t, r); v != want {
					t.Errorf("%s: got %v: %s", what, v, text)
				}
			}
			if took := time.Since(start); took != waited || asked.Load()-before > 1 {
				t.Errorf("%s: ten logins took %v and %d lookups want %v and at most 1", what, took, asked.Load()-before, waited)
			}
		}
		failing := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
		answer.Store(failing(errors.New("SERVFAIL")))
		step("down at start", proto.TempFail, 0)
		answer.Store(failing(nil))
		step("up", proto.Accept, 0)
		answer.Store(failing(errors.New("SERVFAIL")))
		step("down", proto.Accept, 0)
		answer.Store(failing(nil))
		step("up again, which the next dial sees", proto.Accept, 0)
		answer.Store(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		step("hung", proto.Accept, lookupPatience)
		answer.Store(failing(&net.DNSError{IsNotFound: true}))
		time.Sleep(lookupTimeout)
		time.Sleep(keptPause)
		login(t, r) // may still be served by the last addresses
		synctest.Wait()
		step("no such name", proto.TempFail, 0)
	}, &farm{})
}

func TestAlternate(t *testing.T) {
	var ips []netip.Addr
	for s := range strings.FieldsSeq("2001:db8::1 2001:db8::2 2001:db8::3 192.0.2.1") {
		ips = append(ips, netip.MustParseAddr(s))
	}
	var got []string
	for _, ip := range alternate(ips) {
		got = append(got, ip.String())
	}
	if want := "2001:db8::1 192.0.2.1 2001:db8::2 2001:db8::3"; strings.Join(got, " ") != want {
		t.Errorf("got %v want %s", got, want)
	}
}

// TestSlowDNS: an answer that takes longer than a dial waits for is used by the next.
func TestSlowDNS(t *testing.T) {
	withAddresses(t, func(t *testing.T, r *Router, p *pool) {
		good := p.addresses.resolve
		var moved atomic.Bool // from where nothing is
		p.addresses.resolve = func(ctx context.Context, network, name string) ([]netip.Addr, error) {
			select {
			case <-time.After(6 * time.Second):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if moved.Load() {
				return good(ctx, network, name)
			}
			return []netip.Addr{netip.MustParseAddr("192.0.2.9")}, nil
		}
		if v, text := login(t, r); v != proto.TempFail || !strings.Contains(text, "no answer: after 5s") {
			t.Errorf("the first: got %v: %s", v, text)
		}
		time.Sleep(time.Minute)
		login(t, r)
		time.Sleep(time.Minute)
		moved.Store(true)
		login(t, r)
		time.Sleep(10 * time.Second)
		if took := logIn(t, r); took > time.Second {
			t.Errorf("after the move: took %v", took)
		}
	}, &farm{})
}

// TestSameAddressTwice: DNS and /etc/hosts may name one twice, in whatever form; it is
// tried once.
func TestSameAddressTwice(t *testing.T) {
	f := &farm{down: true}
	withAddresses(t, func(t *testing.T, r *Router, p *pool) {
		p.addresses.resolve = func(context.Context, string, string) (ips []netip.Addr, err error) {
			for s := range strings.FieldsSeq("192.0.2.1 192.0.2.1 ::ffff:192.0.2.1 192.0.2.2") {
				ips = append(ips, netip.MustParseAddr(s))
			}
			return ips, nil
		}
		logIn(t, r)
		if f.tries != 1 {
			t.Errorf("%d dials want 1", f.tries)
		}
	}, f, &farm{})
}

// TestManyHung: addresses that hang are out of the way at the next dial, and those
// that were not tried are not taken for sick.
func TestManyHung(t *testing.T) {
	farms := []*farm{{mute: true}, {mute: true}, {mute: true}, {mute: true}, {mute: true}, {}, {mute: true}}
	withAddresses(t, func(t *testing.T, r *Router, p *pool) {
		for i := range 2 {
			if v, _ := login(t, r); v != proto.TempFail && i == 0 {
				t.Errorf("dial %d: got %v", i, v)
			}
		}
		if took := logIn(t, r); took != 0 {
			t.Errorf("then: took %v", took)
		}
	}, farms...)
}

// TestPanicInALogin ends that login only, and its place is free again.
func TestPanicInALogin(t *testing.T) {
	f := &farm{}
	withFarm(t, func(c *Config) { c.Connections = 1 }, func(t *testing.T, r *Router, p *pool) {
		conn, err := p.get(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		conn.raw = nil // which login does not expect
		p.mu.Lock()
		p.place(conn)
		p.mu.Unlock()
		if v, text := login(t, r); v != proto.TempFail {
			t.Errorf("got %v: %s", v, text)
		}
		logIn(t, r)
	}, f)
}
