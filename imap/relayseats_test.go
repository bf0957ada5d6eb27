package imap

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imapauthd/proto"
)

// clientAt is a client of CRAM-MD5 with an address of its own, or none (""), that thinks.
func clientAt(addr string, think, budget time.Duration) *proto.Exchange {
	x := &proto.Exchange{Mechanism: "CRAM-MD5", Budget: budget, Challenge: answers(think, cramAnswer)}
	if addr != "" {
		x.Client = netip.AddrPortFrom(netip.MustParseAddr(addr), 0)
	}
	return x
}

// seated starts clients that think, and returns how they end.
func seated(r *Router, xs ...*proto.Exchange) chan string {
	ended := make(chan string, len(xs))
	for _, x := range xs {
		go func() {
			v, text, took := relay(r, x)
			ended <- fmt.Sprint(v, " ", took, " ", text)
		}()
	}
	synctest.Wait()
	return ended
}

// TestSeats: clients that think hold half of the connections at most, logins have the
// others, and who comes when all are taken waits for one.
func TestSeats(t *testing.T) {
	for connections, want := range map[int]int{2: 1, 3: 1, 4: 2, 16: 8} {
		withFarm(t, func(c *Config) { c.Connections = connections }, func(t *testing.T, r *Router, p *pool) {
			var xs []*proto.Exchange
			for range want {
				xs = append(xs, clientAt("", 4*time.Second, 0))
			}
			ended := seated(r, xs...)
			if took := logIn(t, r); took != 0 {
				t.Errorf("of %d: a login took %v", connections, took)
			}
			if v, text, took := relay(r, clientAt("", 0, 9*time.Second)); v != proto.Accept || took != 4*time.Second {
				t.Errorf("of %d, one more: got %v after %v: %s", connections, v, took, text)
			}
			for range want {
				if got := <-ended; !strings.HasPrefix(got, "accept 4s") {
					t.Errorf("of %d: got %s", connections, got)
				}
			}
		}, cramFarm(0))
	}
}

// TestSeatsOfOne: a single connection is for logins.
func TestSeatsOfOne(t *testing.T) {
	withFarm(t, func(c *Config) { c.Connections = 1 }, func(t *testing.T, r *Router, p *pool) {
		if v, err := r.Relay(t.Context(), clientAt("", 0, 0)); v != proto.TempFail || !errors.Is(err, errNoSeats) {
			t.Errorf("got %v, %v", v, err)
		}
		if got := r.Mechanisms(t.Context()); len(got) != 0 {
			t.Errorf("announced: %q", got)
		}
	}, cramFarm(0))
}

// TestSeatsPonder: who has thought too long loses the seat, one for each who waits.
func TestSeatsPonder(t *testing.T) {
	withFarm(t, func(c *Config) { c.Connections = 4 }, func(t *testing.T, r *Router, p *pool) {
		first := seated(r, clientAt("", time.Minute, 0))
		time.Sleep(time.Second)
		second := seated(r, clientAt("", time.Minute, 0))
		if v, text, took := relay(r, clientAt("", 0, 12*time.Second)); v != proto.Accept || took != 4*time.Second {
			t.Errorf("got %v after %v: %s", v, took, text)
		}
		if got := <-first; !strings.HasPrefix(got, "tempfail 5s") || !strings.Contains(got, errPondered.Reason) {
			t.Errorf("the first got %s", got)
		}
		if got := <-second; !strings.HasPrefix(got, "accept 1m0s") {
			t.Errorf("the second got %s", got)
		}
	}, cramFarm(0))
}

// TestSeatsShare: an address that has had its share gets the seat of its own slowest
// client, and nobody else's; and waits for half of its time only.
func TestSeatsShare(t *testing.T) {
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		other := seated(r, clientAt("192.0.2.2", time.Minute, 0))
		time.Sleep(time.Second)
		own := seated(r, clientAt("192.0.2.1", time.Minute, 0), clientAt("192.0.2.1", 9*time.Second, 0))
		if v, text, took := relay(r, clientAt("192.0.2.1", 0, 2*time.Second)); v != proto.Accept || took != time.Second {
			t.Errorf("got %v after %v: %s", v, took, text)
		}
		if got := <-own; !strings.HasPrefix(got, "tempfail 1s") {
			t.Errorf("its own got %s", got)
		}
		if got := <-other; !strings.HasPrefix(got, "accept 1m0s") {
			t.Errorf("the other got %s", got)
		}
		<-own
	}, cramFarm(0))
}

// TestSeatsBudget: the wait is part of the server's first step, and nobody thinks here.
func TestSeatsBudget(t *testing.T) {
	withFarm(t, func(c *Config) { c.Connections = 2 }, func(t *testing.T, r *Router, p *pool) {
		ended := seated(r, clientAt("", 0, 0))
		v, text, took := relay(r, clientAt("", 0, 9*time.Second))
		if v != proto.TempFail || took != 9*time.Second || !strings.Contains(text, errManyRelays.Reason) {
			t.Errorf("got %v after %v: %s", v, took, text)
		}
		<-ended
	}, cramFarm(20*time.Second))
}

// TestSeatsOfAnAddress: one address has a quarter of the seats.
func TestSeatsOfAnAddress(t *testing.T) {
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		const guesser = "192.0.2.1"
		ended := seated(r, clientAt(guesser, 4*time.Second, 0), clientAt(guesser, 4*time.Second, 0))
		for addr, want := range map[string]time.Duration{"192.0.2.2": 0, "": 0, guesser: 4 * time.Second} {
			go func() {
				v, text, took := relay(r, clientAt(addr, 0, 9*time.Second))
				ended <- ""
				if v != proto.Accept || took != want {
					t.Errorf("%q: got %v after %v: %s", addr, v, took, text)
				}
			}()
		}
		for range 5 {
			<-ended
		}
		synctest.Wait()
	}, cramFarm(0))
}

// TestSeatsStanding: one address cannot fill the room for those who wait.
func TestSeatsStanding(t *testing.T) {
	withFarm(t, func(c *Config) { c.Connections = 2 }, func(t *testing.T, r *Router, p *pool) {
		ended := seated(r, clientAt("", 0, 0))
		const crowd = maxStandingOfOne + 1
		sent := make(chan time.Duration, crowd)
		for range crowd {
			go func() {
				_, _, took := relay(r, clientAt("192.0.2.1", 0, 9*time.Second))
				sent <- took
			}()
		}
		synctest.Wait()
		if took := <-sent; took != 0 || len(sent) > 0 {
			t.Errorf("one of the crowd was sent away after %v, and %d more", took, len(sent))
		}
		if v, _, took := relay(r, clientAt("192.0.2.2", 0, 3*time.Second)); v != proto.TempFail || took != 3*time.Second {
			t.Errorf("another address: got %v after %v, want to wait", v, took)
		}
		for range crowd - 1 {
			<-sent
		}
		<-ended
		synctest.Wait()
		if n := len(p.seats.ofOne); n != 0 || p.seats.standing != 0 {
			t.Errorf("%d are still counted", n)
		}
	}, cramFarm(20*time.Second))
}
