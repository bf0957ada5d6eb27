package imap

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imapauthd/proto"
)

// crowd is n logins at once, or every so often; it returns how many were accepted when
// all have ended.
func crowd(t *testing.T, r *Router, n int, every, budget time.Duration) (accepted int) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range n {
		wg.Go(func() {
			ctx, cancel := context.WithTimeoutCause(t.Context(), budget, proto.ErrDeadline)
			defer cancel()
			v, _ := r.Authenticate(ctx, &proto.Request{Authcid: "alice", Password: proto.NewPassword("secret")})
			mu.Lock()
			defer mu.Unlock()
			if v == proto.Accept {
				accepted++
			}
		})
		time.Sleep(every)
	}
	wg.Wait()
	synctest.Wait() // so that the test may look at the counters
	return accepted
}

// pass lets time pass for whatever is under way.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// herdTest has sixteen connections, all of which may be warm.
func herdTest(t *testing.T, test func(t *testing.T, r *Router, f *farm, p *pool)) {
	f := &farm{dialTime: 40 * time.Millisecond, loginTime: 5 * time.Millisecond}
	withFarm(t, func(c *Config) { c.Connections, c.Warm = 16, 16 }, func(t *testing.T, r *Router, p *pool) { test(t, r, f, p) }, f)
}

// TestAfterAnIdleHour: one login is one dial, however many there were before.
func TestAfterAnIdleHour(t *testing.T) {
	herdTest(t, func(t *testing.T, r *Router, f *farm, p *pool) {
		crowd(t, r, 6000, 10*time.Millisecond, time.Minute)
		pass(time.Hour)
		before := f.tries
		logIn(t, r)
		pass(time.Hour)
		if n := f.tries - before; n != 1 {
			t.Errorf("one login made %d dials", n)
		}
	})
}

// TestAfterARestart: a thousand logins at once make about as many dials, and hold no
// more connections than they may, those under way included.
func TestAfterARestart(t *testing.T) {
	herdTest(t, func(t *testing.T, r *Router, f *farm, p *pool) {
		accepted := crowd(t, r, 1000, 0, time.Minute)
		pass(time.Second)
		if accepted != 1000 || f.tries > 1000+p.warm || f.crowd != p.max {
			t.Errorf("%d accepted, %d dials, %d connections at once", accepted, f.tries, f.crowd)
		}
	})
}

// TestAfterAnOutage: while the server is away a login makes one dial at most, nobody
// dials when nobody asks, and a thousand logins that meet its return are a restart's.
func TestAfterAnOutage(t *testing.T) {
	tests := map[string]struct {
		down, hang bool
		most       int // dials
	}{
		"refused": {true, false, 6000},
		// Each of the connections' dials takes dialTimeout, and logins leave before.
		"hung": {false, true, 16 * (60 + 9) / 5},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			herdTest(t, func(t *testing.T, r *Router, f *farm, p *pool) {
				crowd(t, r, 1000, 10*time.Millisecond, 9*time.Second)
				f.kill()
				f.breaks(tt.down, tt.hang)
				before := f.tries
				if n := crowd(t, r, 6000, 10*time.Millisecond, 9*time.Second); n > p.max {
					t.Errorf("%d were accepted by nobody", n)
				}
				if n := f.tries - before; n > tt.most+p.max || f.mostTrying > p.max {
					t.Errorf("a minute's outage made %d dials, %d at once", n, f.mostTrying)
				}
				before = f.tries
				pass(time.Hour)
				if n := f.tries - before; n > p.max {
					t.Errorf("nobody asked, and %d were dialled", n)
				}
				f.breaks(false, false)
				before = f.tries
				f.crowd = 0
				accepted := crowd(t, r, 1000, 0, time.Minute)
				pass(time.Second)
				if n := f.tries - before; accepted != 1000 || n > 1000+p.warm || f.crowd != p.max {
					t.Errorf("after it: %d accepted, %d dials, %d connections at once", accepted, n, f.crowd)
				}
			})
		})
	}
}

// TestWithoutDescriptors: dials that cannot begin here are not begun again and again for
// logins that nobody has asked for.
func TestWithoutDescriptors(t *testing.T) {
	herdTest(t, func(t *testing.T, r *Router, f *farm, p *pool) {
		crowd(t, r, 1000, 10*time.Millisecond, 9*time.Second)
		f.kill()
		f.mu.Lock()
		f.short = true
		before := f.tries
		f.mu.Unlock()
		crowd(t, r, 100, 10*time.Millisecond, 9*time.Second)
		pass(time.Minute)
		if n := f.tries - before; n > 500 || r.Down(alice) { // a login has some begun ahead of the next
			t.Errorf("100 logins made %d dials; down: %v", n, r.Down(alice))
		}
	})
}

// TestNobodyAsksAnyMore: connections that expire are not dialled again.
func TestNobodyAsksAnyMore(t *testing.T) {
	herdTest(t, func(t *testing.T, r *Router, f *farm, p *pool) {
		crowd(t, r, 120, time.Second, time.Minute)
		before := f.tries
		pass(time.Hour)
		if n := f.tries - before; n > 1 {
			t.Errorf("%d were dialled again", n)
		}
	})
}

// TestAfterTheCrowd: the few that still come do not keep warm what the many needed.
func TestAfterTheCrowd(t *testing.T) {
	herdTest(t, func(t *testing.T, r *Router, f *farm, p *pool) {
		crowd(t, r, 1000, 10*time.Millisecond, time.Minute)
		before := f.tries
		crowd(t, r, 10, 30*time.Second, time.Minute)
		if n := f.tries - before; n > 30 {
			t.Errorf("10 logins made %d dials", n)
		}
	})
}
