package imap

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"imapauthd/proto"
)

// TestNextURL: an address that cannot be reached makes the next one's turn; a
// verdict does not.
func TestNextURL(t *testing.T) {
	first, second := &farm{down: true}, &farm{}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		logIn(t, r)
		if second.logins != 1 {
			t.Errorf("the second got %d logins want 1", second.logins)
		}
		first.down = false
		time.Sleep(2 * firstPause)
		logIn(t, r) // starts the probe, and does not wait for it
		logIn(t, r)
		if first.logins != 1 || second.logins != 2 {
			t.Errorf("got %d and %d logins want 1 and 2", first.logins, second.logins)
		}
	}, first, second)
}

// TestSickURL: an outage of the first URL costs one slow login; when it is back, a
// probe finds it, and no login has waited for one.
func TestSickURL(t *testing.T) {
	first, second := &farm{mute: true}, &farm{}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		if took := logIn(t, r); took != dialTimeout {
			t.Errorf("the first login took %v", took)
		}
		start := time.Now()
		for time.Since(start) < 10*time.Minute {
			if took := logIn(t, r); took != 0 {
				t.Errorf("after %v a login took %v", time.Since(start), took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		// Pauses of 1, 2, 4 … 60 s, give or take a quarter, and the probes' 5 s.
		if first.tries < 8 || first.tries > 20 {
			t.Errorf("%d dials in ten minutes", first.tries)
		}
		first.mu.Lock()
		first.mute = false
		first.mu.Unlock()
		for range 1000 {
			if took := logIn(t, r); took != 0 {
				t.Errorf("as the first came back a login took %v", took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if first.logins == 0 {
			t.Error("nobody noticed that the first is back")
		}
	}, first, second)
}

// TestOneProbe: a single dial tells whether the server is back.
func TestOneProbe(t *testing.T) {
	first, second := &farm{mute: true}, &farm{}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		logIn(t, r)
		time.Sleep(2 * firstPause)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				start := time.Now()
				if v, text := login(t, r); v != proto.Accept || time.Since(start) != 0 {
					t.Errorf("got %v after %v: %s", v, time.Since(start), text)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if first.tries != 2 {
			t.Errorf("%d dials want 2: the first login's and the probe", first.tries)
		}
	}, first, second)
}

// TestSentOn: a burst that meets a hung server goes to the next when the first dial
// has failed, whenever it came and however few connections there may be.
func TestSentOn(t *testing.T) {
	first, second := &farm{mute: true}, &farm{loginTime: time.Millisecond}
	withFarm(t, func(c *Config) { c.Connections = 4 }, func(t *testing.T, r *Router, p *pool) {
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 45 * time.Millisecond)
				v, text := login(t, r)
				if took := time.Since(start); v != proto.Accept || took > dialTimeout+100*time.Millisecond {
					t.Errorf("login %d: got %v after %v: %s", i, v, took, text)
				}
			})
		}
		wg.Wait()
		if second.logins != 100 {
			t.Errorf("the second had %d logins want 100", second.logins)
		}
	}, first, second)
}

// TestByeAtTimes: a server that turns away a connection now and then, beside one that
// is down, fails those who met that and no others.
func TestByeAtTimes(t *testing.T) {
	first, second := &farm{loginTime: 100 * time.Millisecond, byeEvery: 12}, &farm{down: true}
	withFarm(t, func(c *Config) { c.Connections = 4 }, func(t *testing.T, r *Router, p *pool) {
		var wg sync.WaitGroup
		var failed atomic.Int64
		for range 60 {
			wg.Go(func() {
				if v, _ := login(t, r); v != proto.Accept {
					failed.Add(1)
				}
			})
		}
		wg.Wait()
		if failed.Load() > 10 {
			t.Errorf("%d of 60 logins failed", failed.Load())
		}
	}, first, second)
}

// TestQuickestFirst: with both sick, the one that refuses is asked before the one
// that hangs.
func TestQuickestFirst(t *testing.T) {
	first, second := &farm{mute: true}, &farm{down: true}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		if v, text := login(t, r); v != proto.TempFail {
			t.Fatalf("got %v: %s", v, text)
		}
		second.down = false
		if took := logIn(t, r); took != 0 {
			t.Errorf("took %v", took)
		}
	}, first, second)
}
