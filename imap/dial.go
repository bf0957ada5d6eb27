package imap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"imapauthd/proto"
)

// slowFailure is from when on a dial that fails tells of a server that hangs, not of
// one that refused or closed this one connection.
const slowFailure = time.Second

// topUp starts the dials that are wanted: one for each waiter, and ahead of
// demand. The caller holds mu.
func (p *pool) topUp() {
	if p.closed {
		return
	}
	missing := len(p.waiting) - p.dialing
	if now := time.Now(); !p.health.sick() && len(p.idle) < p.warm {
		if keep := p.demand.keep(now, p.warm); keep > 0 {
			missing += max(0, keep+p.demand.ahead(now)-len(p.idle))
		}
	}
	for ; missing > 0; missing-- {
		if p.full() && (len(p.waiting) == 0 || len(p.idle) == 0) {
			return
		}
		if p.full() { // somebody waits for a fresh one: make room
			conn := p.idle[0]
			p.idle = slices.Delete(p.idle, 0, 1)
			p.retire(conn)
			return
		}
		p.open++
		p.dialing++
		p.wg.Go(p.dial)
	}
}

// dial makes one connection and gives it, or the error, to the longest waiting.
func (p *pool) dial() {
	start := time.Now()
	era := p.currentEra()
	ctx, cancel := context.WithTimeoutCause(era, dialTimeout, fmt.Errorf("after %v", dialTimeout))
	defer cancel()
	conn, err := p.connect(ctx)
	if err != nil {
		p.log.Debug("no connection", proto.KeyElapsed, time.Since(start), proto.KeyErr, err)
	}

	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing--
	if err == nil {
		p.connected(conn, start)
		return
	}
	if era.Err() != nil { // the server is back: whoever waits for this dial gets another
		p.open--
		p.topUp()
		return
	}
	p.open--
	if noDescriptors(err) && !p.health.sick() { // which says nothing about the server
		p.fail(min(1, len(p.waiting)), fmt.Errorf("imap: connect to %s: %w", p.url, err))
		if len(p.waiting) > 0 { // those ahead of demand would fail as well, at once, for ever
			p.topUp()
		}
		return
	}
	took := now.Sub(start)
	if p.health.failed(now, took) && p.ctx.Err() == nil {
		p.log.Warn("the server cannot be reached", proto.KeyErr, err)
	}
	if p.health.sick() {
		p.down.Store(true)
		p.watch()
	}
	// Others who wait have dials of their own, or get them now. Where that takes its
	// time, and they have elsewhere to go, they are sent on.
	n := min(1, len(p.waiting))
	if p.others.Load() && took >= slowFailure {
		n = len(p.waiting)
	}
	p.fail(n, &unreachable{p.url, err})
	p.topUp()
}

// fail gives those n an error who have waited the longest. The caller holds mu.
func (p *pool) fail(n int, err error) {
	for _, w := range p.waiting[:n] {
		w.got <- dialled{err: err}
	}
	p.waiting = p.waiting[n:]
}

// noDescriptors reports whether it is this machine that has no sockets left.
func noDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// connected takes a new connection in: the server can be reached. The caller holds mu.
func (p *pool) connected(conn *warmConn, start time.Time) {
	now := time.Now()
	p.log.Debug("connected", "address", conn.base.RemoteAddr().String(), "tls", conn.raw != conn.base, proto.KeyElapsed, now.Sub(start))
	if down := p.health.succeeded(now); down > 0 {
		p.log.Info("the server can be reached again", "after", down.Round(time.Millisecond))
		p.endEra()
	}
	p.down.Store(false)
	p.demand.dialled(now.Sub(start))
	p.seen = sight{conn.offer, now}
	p.place(conn)
	p.topUp()
}

// place gives a connection to the longest waiting, or keeps it warm if there is
// room. The caller holds mu.
func (p *pool) place(conn *warmConn) {
	switch {
	case len(p.waiting) > 0:
		w := p.waiting[0]
		p.waiting = p.waiting[1:]
		w.got <- dialled{conn: conn}
	case p.closed || len(p.idle) >= p.warm:
		p.retire(conn)
	default:
		conn.kept = true
		p.idle = append(p.idle, conn)
		if p.reaper == nil {
			p.reaper = time.AfterFunc(maxAge, p.reap)
		}
	}
}

// reap closes the connections that are too old, and has those replaced that are
// still wanted.
func (p *pool) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 && time.Since(p.idle[0].born) >= maxAge {
		p.retire(p.idle[0])
		p.idle = slices.Delete(p.idle, 0, 1)
	}
	p.reaper = nil
	if len(p.idle) > 0 {
		p.reaper = time.AfterFunc(maxAge-time.Since(p.idle[0].born), p.reap)
	}
	p.topUp()
}

// retire says good-bye to a connection in the background. The caller holds mu.
func (p *pool) retire(conn *warmConn) {
	p.wg.Go(func() {
		conn.logout()
		p.gone()
	})
}
