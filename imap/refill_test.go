package imap

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// TestRefillAfterTheWrite: the connection that takes a warm one's place is dialled
// when the login has been sent, not before, and not as late as its answer.
func TestRefillAfterTheWrite(t *testing.T) {
	f := &farm{dialTime: 10 * time.Millisecond, loginTime: 3 * time.Second}
	withFarm(t, func(c *Config) { c.Warm = 1 }, func(t *testing.T, r *Router, p *pool) {
		var mu sync.Mutex
		var written, dialled time.Time // mu protects both
		note := func(what *time.Time) {
			mu.Lock()
			defer mu.Unlock()
			*what = time.Now()
		}
		p.dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			note(&dialled)
			c, err := f.dial(ctx, network, address)
			return &writes{c, func(n int) {
				if n > len("L1 LOGOUT\r\n") {
					time.Sleep(time.Second)
					note(&written)
				}
			}}, err
		}
		for range 3 { // the first ones wait for theirs
			logIn(t, r)
		}
		if n := f.idle(p); n != 1 {
			t.Errorf("%d are warm", n)
		}
		logIn(t, r)
		mu.Lock()
		defer mu.Unlock()
		if !dialled.Equal(written) {
			t.Errorf("dialled %v after the write", dialled.Sub(written))
		}
	}, f)
}
