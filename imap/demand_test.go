package imap

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestWarmByDemand: a lone login leaves nothing behind; several keep connections
// warm, which cost no dial time; when nobody comes any more, they go.
func TestWarmByDemand(t *testing.T) {
	f := &farm{dialTime: 100 * time.Millisecond, loginTime: time.Millisecond}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		if took := logIn(t, r); took != 101*time.Millisecond {
			t.Errorf("cold: took %v", took)
		}
		time.Sleep(10 * time.Second)
		if n := f.idle(p); n != 0 {
			t.Errorf("after one login %d connections are warm", n)
		}
		for range 10 {
			logIn(t, r)
			time.Sleep(time.Second)
		}
		if took := logIn(t, r); took != time.Millisecond {
			t.Errorf("warm: took %v", took)
		}
		time.Sleep(time.Second)
		if n := f.idle(p); n != p.warm {
			t.Errorf("%d connections are warm want %d", n, p.warm)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n, open := f.idle(p), p.open; n != 0 || open != 0 {
			t.Errorf("when idle: %d warm, %d open", n, open)
		}
		if f.unused > 2*p.warm {
			t.Errorf("%d connections were never used", f.unused)
		}
	}, f)
}

// TestRareLoginsKeepNoneWarm: with a login in every five minutes no connection
// would be used before it is too old.
func TestRareLoginsKeepNoneWarm(t *testing.T) {
	f := &farm{}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		for range 20 {
			logIn(t, r)
			time.Sleep(5 * time.Minute)
		}
		if f.unused != 0 {
			t.Errorf("%d connections were never used", f.unused)
		}
	}, f)
}

// TestRecycled: no connection is kept for longer than maxAge.
func TestRecycled(t *testing.T) {
	f := &farm{}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		for range 300 {
			logIn(t, r)
			time.Sleep(time.Second)
			p.mu.Lock()
			for _, c := range p.idle {
				if age := time.Since(c.born); age > maxAge {
					t.Errorf("a connection is %v old", age)
				}
			}
			p.mu.Unlock()
		}
	}, f)
}

// TestDiallingKeepsUp: at 100 logins/s and 80 ms of dialling, which is twice what
// four warm connections can hide, hardly anyone waits for a dial.
func TestDiallingKeepsUp(t *testing.T) {
	f := &farm{dialTime: 80 * time.Millisecond, loginTime: 5 * time.Millisecond}
	withFarm(t, func(c *Config) { c.Connections = 32 }, func(t *testing.T, r *Router, p *pool) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		waited := 0
		for i := range 1000 {
			wg.Go(func() {
				start := time.Now()
				login(t, r)
				mu.Lock()
				defer mu.Unlock()
				if i >= 300 && time.Since(start) > f.loginTime { // after the start
					waited++
				}
			})
			time.Sleep(10 * time.Millisecond)
		}
		wg.Wait()
		synctest.Wait()
		if waited > 7 {
			t.Errorf("%d of 700 logins waited for a dial", waited)
		}
		if f.dials > 1100 {
			t.Errorf("got %d dials for 1000 logins", f.dials)
		}
	}, f)
}

// TestAfterABurst: the dials stop with the logins, and no more stay warm than may.
func TestAfterABurst(t *testing.T) {
	f := &farm{dialTime: 50 * time.Millisecond, loginTime: 5 * time.Millisecond}
	withFarm(t, func(c *Config) { c.Connections = 32 }, func(t *testing.T, r *Router, p *pool) {
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { login(t, r) })
		}
		wg.Wait()
		for range 100 {
			if n := f.idle(p); n > p.warm {
				t.Fatalf("%d connections are warm", n)
			}
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if f.dials > 1050 {
			t.Errorf("got %d dials for 1000 logins", f.dials)
		}
		before := f.dials
		time.Sleep(2 * maxAge)
		if n := f.idle(p); n != 0 || f.dials != before {
			t.Errorf("two minutes later %d connections are warm, %d were dialled", n, f.dials-before)
		}
	}, f)
}

// TestNoneTooMany: where a dial is done before the next login comes, there is one for
// each.
func TestNoneTooMany(t *testing.T) {
	f := &farm{dialTime: 150 * time.Millisecond, loginTime: 5 * time.Millisecond}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		for range 300 {
			logIn(t, r)
			pass(200 * time.Millisecond)
		}
		if f.dials > 300+p.warm {
			t.Errorf("got %d dials for 300 logins", f.dials)
		}
	}, f)
}
