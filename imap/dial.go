package imap

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"imapauthd/proto"
)

var errPanic = errors.New("the dial panicked, which the log shows")

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
		if p.open >= p.max && (len(p.waiting) == 0 || len(p.idle) == 0) {
			return
		}
		if p.open >= p.max { // somebody waits for a fresh one: make room
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
	ctx, cancel := context.WithTimeoutCause(p.ctx, dialTimeout, fmt.Errorf("after %v", dialTimeout))
	defer cancel()
	conn, err := p.connect(ctx)
	if err != nil {
		p.log.Debug("no connection", proto.KeyElapsed, time.Since(start), proto.KeyErr, err)
	} else {
		p.log.Debug("connected", "address", conn.base.RemoteAddr().String(), "tls", conn.raw != conn.base, proto.KeyElapsed, time.Since(start))
	}

	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing--
	if err == nil {
		p.health.succeeded()
		p.demand.dialled(now.Sub(start))
		p.place(conn)
		p.topUp()
		return
	}
	p.health.failed(now, now.Sub(start))
	p.open--
	// The URL is passed over now. Those who wait for it are sent on too, if they have
	// elsewhere to go, rather than each wait for a dial of its own.
	n := min(1, len(p.waiting))
	if p.others.Load() {
		n = len(p.waiting)
	}
	for _, w := range p.waiting[:n] {
		w.got <- dialled{err: &unreachable{p.url, err}}
	}
	p.waiting = p.waiting[n:]
	p.topUp()
}

// connect dials and does the preamble. A panic there, over what a server sent, is
// an error like others.
func (p *pool) connect(ctx context.Context) (conn *warmConn, err error) {
	defer func() {
		if v := recover(); v != nil {
			p.log.Error("panic in a dial", "stack", string(debug.Stack()), proto.KeyErr, v)
			conn, err = nil, errPanic
		}
	}()
	network, address := p.url.network()
	base, err := p.dialer(ctx, network, address)
	if err != nil {
		return nil, deadlineCause(ctx, err)
	}
	return preamble(ctx, base, p.url, p.strict, p.tls.config())
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
