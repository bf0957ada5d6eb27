package imap

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"imapauthd/proto"
)

const (
	// ponder is how long a client may think while others wait for its seat: this, or
	// half of the time that these have.
	ponder = 5 * time.Second
	// maxStanding bounds the exchanges that wait for a seat: as many as the logins that
	// wait for a connection.
	maxStanding = maxWaiting
	// maxStandingOfOne bounds those of one address, which cannot make others be sent away.
	maxStandingOfOne = maxStanding / 16
)

// Ends of an exchange for the sake of others.
var (
	errManyRelays = &proto.Refusal{Verdict: proto.TempFail, Reason: "too many exchanges wait for mail clients: raise connections"}
	errPondered   = &proto.Refusal{Verdict: proto.TempFail, Reason: "the client took too long, and others wait"}
	errNoSeats    = &proto.Refusal{Verdict: proto.TempFail, Reason: "connections = 1 leaves none for an exchange: raise connections"}
)

// seats are the connections of a pool that clients may think over: half of them, for
// logins need the others. One address of mail clients has a quarter of the seats at most.
type seats struct {
	mu       sync.Mutex
	max      int
	taken    []*exchange        // protects this and the rest
	standing int                // exchanges that wait
	ofOne    map[netip.Addr]int // the same, by the mail client's address
	left     chan struct{}      // closed, and made anew, whenever a seat becomes free
}

func newSeats(connections int) *seats {
	return &seats{max: connections / 2, ofOne: make(map[netip.Addr]int), left: make(chan struct{})}
}

// take waits for a seat, within the time of the server's first step. The client that has
// thought the longest, and too long, loses its own to those who wait.
func (s *seats) take(ctx context.Context, e *exchange) error {
	if s.max == 0 {
		return errNoSeats
	}
	if !e.until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, e.until, errManyRelays)
		defer cancel()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	addr := e.x.Client.Addr()
	if s.standing >= maxStanding || addr.IsValid() && s.ofOne[addr] >= maxStandingOfOne {
		return errManyRelays
	}
	s.stand(addr, 1)
	defer s.stand(addr, -1)
	limit := ponder
	if e.x.Budget > 0 {
		limit = min(limit, e.x.Budget/2)
	}
	for !s.free(addr) {
		left, look := s.left, time.NewTimer(s.hurry(addr, limit))
		s.mu.Unlock()
		select {
		case <-left:
		case <-look.C: // for who has thought too long by now
		case <-ctx.Done():
		}
		look.Stop()
		s.mu.Lock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	s.taken = append(s.taken, e)
	return nil
}

// stand counts an exchange among those that wait, or out. The caller holds mu.
func (s *seats) stand(addr netip.Addr, n int) {
	s.standing += n
	if s.ofOne[addr] += n; s.ofOne[addr] == 0 {
		delete(s.ofOne, addr)
	}
}

// free reports whether there is a seat for a client of this address; the zero Addr is
// any. The caller holds mu.
func (s *seats) free(addr netip.Addr) bool {
	same := 0
	for _, e := range s.taken {
		if addr.IsValid() && e.x.Client.Addr() == addr {
			same++
		}
	}
	return len(s.taken) < s.max && same < max(1, s.max/4)
}

// hurry ends the exchange whose client has thought the longest, if that is more than
// limit, and returns when to look again. An address that has had its share waits for its
// own only. The caller holds mu.
func (s *seats) hurry(addr netip.Addr, limit time.Duration) time.Duration {
	var slowest *exchange
	var since time.Time
	for _, e := range s.taken {
		if len(s.taken) < s.max && e.x.Client.Addr() != addr {
			continue
		}
		if t := e.thinks(); !t.IsZero() && (slowest == nil || t.Before(since)) {
			slowest, since = e, t
		}
	}
	if slowest == nil {
		return limit
	}
	if wait := limit - time.Since(since); wait > 0 {
		return wait
	}
	slowest.interrupt(errPondered)
	return limit
}

// leave gives a seat back.
func (s *seats) leave(e *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = slices.DeleteFunc(s.taken, func(other *exchange) bool { return other == e })
	close(s.left)
	s.left = make(chan struct{})
}
