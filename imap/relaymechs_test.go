package imap

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imapauthd/proto"
)

// TestMechanisms: what can be relayed is what the newest connection offered. One is
// made if there was none, and no more than one.
func TestMechanisms(t *testing.T) {
	f := cramFarm(0)
	f.dialTime = time.Second
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if got := strings.Join(r.Mechanisms(t.Context()), " "); got != "CRAM-MD5" {
					t.Errorf("got %q", got)
				}
			})
		}
		wg.Wait()
		if f.dials != 1 || f.idle(p) != 1 {
			t.Errorf("%d dials, %d warm", f.dials, f.idle(p))
		}
		start := time.Now()
		if v, text, _ := relay(r, &proto.Exchange{Mechanism: "CRAM-MD5", Challenge: answers(0, cramAnswer)}); v != proto.Accept || time.Since(start) != 0 {
			t.Errorf("got %v after %v: %s", v, time.Since(start), text)
		}
		f.mu.Lock()
		f.greeting = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS AUTH=DIGEST-MD5 AUTH=XOAUTH2 AUTH=oauthbearer AUTH=GSSAPI AUTH=ANONYMOUS AUTH=EXTERNAL AUTH=NTLM] ready"
		f.mu.Unlock()
		logIn(t, r)
		synctest.Wait()
		if got := strings.Join(r.Mechanisms(t.Context()), " "); got != "DIGEST-MD5 OAUTHBEARER SCRAM-SHA-256 XOAUTH2" {
			t.Errorf("got %q", got)
		}
	}, f)
}

// TestMechanismsOutage: who asks while the server is down waits for one dial in all.
func TestMechanismsOutage(t *testing.T) {
	f := cramFarm(0)
	f.down, f.dialTime = true, 4*time.Second
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		start := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if got := r.Mechanisms(t.Context()); got != nil {
					t.Errorf("got %q", got)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took != f.dialTime || f.tries != 1 {
			t.Errorf("took %v and %d dials", took, f.tries)
		}
		f.down = false
		time.Sleep(2 * firstPause)
		r.Mechanisms(t.Context()) // begins the probe
		time.Sleep(f.dialTime)
		synctest.Wait()
		if got := r.Mechanisms(t.Context()); len(got) != 1 {
			t.Errorf("the server is back: got %q", got)
		}
	}, f)
}

func TestMechanismsNone(t *testing.T) {
	cyrus := cramFarm(0)
	cyrus.greeting = "* OK [CAPABILITY IMAP4rev1 AUTH=CRAM-MD5 AUTH=DIGEST-MD5] localhost Cyrus IMAP 3.10.2 server ready"
	for _, tt := range []struct {
		farm   *farm
		change func(*Config)
		want   string
	}{
		{&farm{}, nil, ""},
		{&farm{down: true}, nil, ""},
		{&farm{mute: true}, nil, ""},
		{cyrus, nil, "CRAM-MD5"},
		{cramFarm(0), func(c *Config) { c.Username = "{local}" }, ""},
		{cramFarm(0), func(c *Config) { c.Warm = 0 }, "CRAM-MD5"},
		{cramFarm(0), func(c *Config) { c.Domains = []string{"x.example"} }, "CRAM-MD5"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRouter(t, "unix:///farm", tt.change)
			r.principal().pools[0].dialer = tt.farm.dial
			for range 2 {
				if got := strings.Join(r.Mechanisms(t.Context()), " "); got != tt.want {
					t.Errorf("got %q want %q", got, tt.want)
				}
			}
			if f := tt.farm; f.dials > 1 && !f.mute {
				t.Errorf("%d dials", f.dials)
			}
			r.Close()
		})
	}
}
