package imap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imapauthd/proto"
)

var alice = &proto.Request{Authcid: "alice"}

// away are the ways in which a server cannot be reached.
var away = map[string]func(f *farm, is bool){
	"refuses":  func(f *farm, is bool) { f.down = is },
	"swallows": func(f *farm, is bool) { f.hang = is },
	"mute":     func(f *farm, is bool) { f.mute = is },
	"bye":      func(f *farm, is bool) { f.bye = is },
}

func (f *farm) now(way string, is bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	away[way](f, is)
}

// dialled returns how many dials there were.
func (f *farm) dialled() int {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tries
}

// outageTest begins an outage by one login, with the servers probed.
func outageTest(t *testing.T, way string, connections int, test func(t *testing.T, r *Router, p *pool), farms ...*farm) {
	withFarm(t, func(c *Config) { c.Connections = connections }, func(t *testing.T, r *Router, p *pool) {
		r.Probe()
		if r.Down(alice) {
			t.Error("down before anything is known")
		}
		for _, f := range farms {
			f.now(way, true)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_, err := r.Authenticate(ctx, &proto.Request{Authcid: "alice", Password: proto.NewPassword("secret")})
		if !errors.Is(err, proto.ErrUnreachable) || !r.Down(alice) {
			t.Errorf("got %v, down: %v", err, r.Down(alice))
		}
		test(t, r, p)
	}, farms...)
}

// backSoon expects that the server's return is seen.
func backSoon(t *testing.T, r *Router, within time.Duration) {
	t.Helper()
	start := time.Now()
	for r.Down(alice) && time.Since(start) < time.Minute {
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(start); took > within {
		t.Errorf("its return was seen after %v, want at most %v", took, within)
	}
}

// TestProber: while a server is away it is dialled twice a second and more, whatever it
// does to those who dial, within a bound; its return is seen at once, and ends that.
func TestProber(t *testing.T) {
	for way := range away {
		for _, connections := range []int{3, 4, 16} {
			t.Run(fmt.Sprint(way, " ", connections), func(t *testing.T) {
				f := &farm{dialTime: 60 * time.Millisecond}
				outageTest(t, way, connections, func(t *testing.T, r *Router, p *pool) {
					for range 3 {
						before := f.dialled()
						time.Sleep(time.Minute)
						if n := f.dialled() - before; n < 120 || n > 180 || f.mostTrying > maxProbes || f.crowd > connections {
							t.Errorf("%d dials in a minute, %d at once, %d connections", n, f.mostTrying, f.crowd)
						}
					}
					var wg sync.WaitGroup
					wg.Go(func() { login(t, r) })
					synctest.Wait()
					f.now(way, false)
					backSoon(t, r, time.Second/2)
					wg.Wait()
					logIn(t, r)
					for range 500 { // dials of before, that login's too, undo nothing
						time.Sleep(20 * time.Millisecond)
						if r.Down(alice) {
							t.Error("down again")
							break
						}
					}
					p.mu.Lock()
					if p.probing.on {
						t.Error("the prober still runs")
					}
					p.mu.Unlock()
					before := f.dialled()
					time.Sleep(time.Minute)
					if n := f.dialled() - before; n > 1 {
						t.Errorf("%d dials after its return", n)
					}
				}, f)
			})
		}
	}
}

// TestProberSlowServer: one that takes its time is reached as well, with few connections
// too.
func TestProberSlowServer(t *testing.T) {
	for _, connections := range []int{1, 2, 16} {
		f := &farm{dialTime: 4 * time.Second}
		outageTest(t, "swallows", connections, func(t *testing.T, r *Router, p *pool) {
			time.Sleep(time.Minute)
			f.now("swallows", false)
			backSoon(t, r, 2*dialTimeout)
			synctest.Wait()
			if f.crowd > connections {
				t.Errorf("%d connections want %d at most", f.crowd, connections)
			}
		}, f)
	}
}

// TestProberInACrowd: logins that all wait for a server that hangs leave it room.
func TestProberInACrowd(t *testing.T) {
	f := &farm{}
	outageTest(t, "swallows", 16, func(t *testing.T, r *Router, p *pool) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				r.Authenticate(ctx, &proto.Request{Authcid: fmt.Sprint("bob", i), Password: proto.NewPassword("x")})
			})
		}
		time.Sleep(time.Second)
		f.now("swallows", false)
		backSoon(t, r, time.Second/2)
		if took := logIn(t, r); took > time.Second/2 || f.logins != 201 {
			t.Errorf("after its return a login took %v, and %d of 201 had an answer", took, f.logins)
		}
		if f.crowd > 16 {
			t.Errorf("%d connections", f.crowd)
		}
		cancel()
		wg.Wait()
	}, f)
}

// TestProberBesideLogins: connections that are in use are not to be had for probes.
func TestProberBesideLogins(t *testing.T) {
	f := &farm{loginTime: time.Hour}
	withFarm(t, func(c *Config) { c.Warm = 0 }, func(t *testing.T, r *Router, p *pool) {
		r.Probe()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range p.max {
			if i == p.max-1 {
				synctest.Wait()
				f.breaks(false, true)
			}
			wg.Go(func() {
				r.Authenticate(ctx, &proto.Request{Authcid: fmt.Sprint("bob", i), Password: proto.NewPassword("x")})
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !r.Down(alice) || f.crowd != p.max {
			t.Errorf("down %v, %d connections want %d", r.Down(alice), f.crowd, p.max)
		}
		cancel()
		wg.Wait()
		time.Sleep(time.Hour)
	}, f)
}

// TestProberTwoURLs: while one of them can be reached, the other is left to its pauses.
func TestProberTwoURLs(t *testing.T) {
	first, second := &farm{}, &farm{}
	outageTest(t, "refuses", 16, func(t *testing.T, r *Router, p *pool) {
		second.now("refuses", false)
		backSoon(t, r, time.Second/2)
		before := first.dialled()
		time.Sleep(time.Minute)
		if n := first.dialled() - before; n > 0 {
			t.Errorf("the first was dialled %d times, and nobody had asked", n)
		}
		second.now("refuses", true)
		second.kill()
		login(t, r)
		before = first.dialled()
		time.Sleep(time.Minute)
		if n := first.dialled() - before; !r.Down(alice) || n < 120 {
			t.Errorf("with both away: down %v, the first was dialled %d times", r.Down(alice), n)
		}
	}, first, second)
}

// TestProberOff: nobody told us to.
func TestProberOff(t *testing.T) {
	f := &farm{down: true}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		login(t, r)
		time.Sleep(time.Minute)
		if n := f.dialled(); n != 1 || !r.Down(alice) {
			t.Errorf("%d dials, down %v", n, r.Down(alice))
		}
	}, f)
}

// TestUnreachable: which errors say that there was no server to ask.
func TestUnreachable(t *testing.T) {
	hangUp := func(net.Conn, func() string) bool { return false }
	says := func(answer string) func(net.Conn, func() string) bool {
		return func(c net.Conn, line func() string) bool {
			io.WriteString(c, "T1 "+answer+"\r\n")
			return true
		}
	}
	for name, tt := range map[string]struct {
		farms []*farm
		want  bool
	}{
		"refused":                 {[]*farm{{down: true}}, true},
		"swallowed":               {[]*farm{{hang: true}}, true},
		"no greeting":             {[]*farm{{mute: true}}, true},
		"bye for a greeting":      {[]*farm{{bye: true}}, true},
		"PREAUTH":                 {[]*farm{{greeting: "* PREAUTH come in"}}, true},
		"each in its way":         {[]*farm{{mute: true}, {down: true}}, true},
		"no descriptor here":      {[]*farm{{short: true}, {down: true}}, false},
		"a login unanswered":      {[]*farm{{loginTime: time.Hour}}, false},
		"hung up on":              {[]*farm{{answer: hangUp}}, false},
		"limit":                   {[]*farm{{answer: says("NO [LIMIT] later")}}, false},
		"unavailable":             {[]*farm{{answer: says("NO [UNAVAILABLE] later")}}, false},
		"the second hung up":      {[]*farm{{down: true}, {answer: hangUp}}, false},
		"the second does not say": {[]*farm{{down: true}, {loginTime: time.Hour}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, proto.ErrDeadline)
				defer cancel()
				v, err := r.Authenticate(ctx, &proto.Request{Authcid: "alice", Password: proto.NewPassword("secret")})
				if got := errors.Is(err, proto.ErrUnreachable); v != proto.TempFail || err == nil || got != tt.want {
					t.Errorf("got %v, %v: unreachable %v", v, err, got)
				}
				if got := r.Down(alice); got != tt.want {
					t.Errorf("down: %v", got)
				}
				time.Sleep(time.Hour)
			}, tt.farms...)
		})
	}
}

// TestUnreachableOurselves: a full pool of ours says nothing about the server.
func TestUnreachableOurselves(t *testing.T) {
	f := &farm{loginTime: time.Minute}
	withFarm(t, func(c *Config) { c.Connections = 1 }, func(t *testing.T, r *Router, p *pool) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range maxWaiting + 1 {
			wg.Go(func() {
				_, err := r.Authenticate(ctx, &proto.Request{Authcid: fmt.Sprint("a", i), Password: proto.NewPassword("b")})
				if errors.Is(err, proto.ErrUnreachable) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		_, err := r.Authenticate(ctx, &proto.Request{Authcid: "a", Password: proto.NewPassword("b")})
		if !errors.Is(err, errBusy) || errors.Is(err, proto.ErrUnreachable) || r.Down(alice) {
			t.Errorf("got %v, down: %v", err, r.Down(alice))
		}
		cancel()
		wg.Wait()
	}, f)
}

// TestUnreachableFound: where DNS names the servers. Without an answer ever there is
// none to ask; an answer that there are none is no outage.
func TestUnreachableFound(t *testing.T) {
	dns := &fakeDNS{err: errors.New("SERVFAIL")}
	withDiscovery(t, dns, func(t *testing.T, d *discovery) {
		d.probes = true
		if _, _, err := d.acquire(t.Context()); !errors.Is(err, proto.ErrUnreachable) || d.down() {
			t.Errorf("no answer: got %v, down %v", err, d.down())
		}
		time.Sleep(keptPause)
		dns.err, dns.answer = nil, srvAnswer{imaps: targets("imaps", "a", "b"), ttl: time.Minute}
		pools, release, err := d.acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		release()
		for i, p := range pools {
			if d.down() {
				t.Errorf("down with %d of %d away", i, len(pools))
			}
			p.down.Store(true)
		}
		if !d.down() || !d.still() || dns.asked != 2 {
			t.Errorf("down %v, after %d lookups", d.down(), dns.asked)
		}
		time.Sleep(time.Minute)
		dns.err = errors.New("SERVFAIL")
		d.still()
		synctest.Wait()
		if !d.down() || dns.asked != 3 {
			t.Errorf("DNS away as well: down %v, after %d lookups", d.down(), dns.asked)
		}
		time.Sleep(keptPause)
		dns.err, dns.answer.imaps = nil, targets("imaps", "c")
		for range 10 {
			d.still()
		}
		synctest.Wait()
		if d.down() || dns.asked != 4 {
			t.Errorf("moved: down %v, after %d lookups", d.down(), dns.asked)
		}
		time.Sleep(time.Minute)
		dns.answer.imaps = nil
		d.acquire(t.Context())
		synctest.Wait()
		if _, _, err := d.acquire(t.Context()); err == nil || errors.Is(err, proto.ErrUnreachable) || d.down() {
			t.Errorf("no service: got %v, down %v", err, d.down())
		}
	})
}

// TestDownAllocatesNothing: the cache asks for each login of an outage, under a lock.
func TestDownAllocatesNothing(t *testing.T) {
	r := newRouter(t, "unix:///nowhere", func(c *Config) { c.Domains = []string{"example.test", "*.example.org"} })
	defer r.Close()
	found := newRouter(t, "imap://localhost", func(c *Config) {
		c.URL, c.Domains = []URL{{Scheme: srvScheme}}, []string{"example.test"}
	})
	defer found.Close()
	for _, authcid := range []string{"alice@example.test", "alice@a.example.org"} {
		req := &proto.Request{Authcid: authcid}
		if n := testing.AllocsPerRun(1000, func() { r.Down(req); found.Down(req) }); n != 0 {
			t.Errorf("%s: got %v allocations", authcid, n)
		}
	}
}
