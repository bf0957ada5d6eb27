package imap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"imapauthd/proto"
)

const (
	// maxAge is when an unused connection is closed: servers drop them after 60
	// to 200 s (Exchange can be set lower), Dovecot after 180 s.
	maxAge = 60 * time.Second
	// dialTimeout bounds one connection from its first packet to its greeting, so
	// that a second URL is tried within one request's budget.
	dialTimeout = 5 * time.Second
	// maxWaiting bounds the logins that wait for a connection: as many as a
	// listener's default cap.
	maxWaiting = 1024
)

// errBusy is the pool's own limit, and no sign of a sick server.
var errBusy = &proto.Refusal{Verdict: proto.TempFail, Reason: "too many logins wait for a connection: raise connections"}

// unreachable is why a URL could not be asked: nothing was sent to it.
type unreachable struct {
	url URL
	err error
}

func (e *unreachable) Error() string { return fmt.Sprintf("imap: connect to %s: %v", e.url, e.err) }
func (e *unreachable) Unwrap() error { return e.err }

// pool holds the connections to one URL. Each serves one login: servers do not
// let go of an account once it is logged in (UNAUTHENTICATE, RFC 8437, is for none
// or for administrators), and some keep a client's address after a NO.
type pool struct {
	url    URL
	strict bool // TLS even on this machine
	tls    *tlsSource
	max    int // Config.Connections
	warm   int // Config.Warm
	dialer func(ctx context.Context, network, address string) (net.Conn, error)
	log    *slog.Logger

	addresses *addresses

	ctx    context.Context // of the dials; ends with close
	cancel context.CancelFunc
	wg     sync.WaitGroup // dials and logouts

	seats *seats // of exchanges

	others atomic.Bool // there are URLs to go on to if this one cannot be reached
	down   atomic.Bool // the last dial failed, and none has succeeded since

	mu      sync.Mutex
	idle    []*warmConn // protects all below; warm, the oldest first
	waiting []*waiter   // the longest waiting first
	open    int         // connections of every kind: dialling, warm, in use, closing
	dialing int
	seen    sight
	health  health
	probing probing
	demand  demand
	reaper  *time.Timer // runs while there are idle connections
	closed  bool
}

// waiter is a login that waits for a connection.
type waiter struct{ got chan dialled }

// dialled is how a dial ended.
type dialled struct {
	conn *warmConn
	err  error
}

func newPool(url URL, who identity, cfg *Config, log *slog.Logger) *pool {
	log = log.With("url", url.String())
	p := &pool{
		url:    url,
		tls:    &tlsSource{cfg: cfg, who: who, log: log},
		max:    cfg.Connections,
		warm:   cfg.Warm,
		dialer: (&net.Dialer{Control: setUserTimeout}).DialContext,
		log:    log,
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.addresses = newAddresses(p.ctx, &p.wg)
	p.seats = newSeats(cfg.Connections)
	return p
}

// get returns a connection: a warm one, or the next that is dialled. fresh
// refuses the warm ones. An *unreachable error says that none can be had.
func (p *pool) get(ctx context.Context, fresh bool) (*warmConn, error) {
	p.mu.Lock()
	p.demand.login(time.Now())
	for !fresh && len(p.idle) > 0 {
		conn := p.idle[0]
		p.idle = slices.Delete(p.idle, 0, 1)
		p.mu.Unlock()
		// What has been vouched for by files that are no longer in force is not used.
		if tls, err := p.tls.config(); err == nil && tls == conn.tls && conn.alive() {
			conn.sent = p.refill
			return conn, nil
		}
		p.discard(conn)
		p.mu.Lock()
	}
	if p.closed || len(p.waiting) >= maxWaiting {
		p.mu.Unlock()
		return nil, errBusy
	}
	w := &waiter{make(chan dialled, 1)}
	p.waiting = append(p.waiting, w)
	p.topUp()
	p.mu.Unlock()

	select {
	case d := <-w.got:
		return d.conn, d.err
	case <-ctx.Done():
		p.leave(w)
		return nil, fmt.Errorf("imap: wait for a connection to %s: %w", p.url, context.Cause(ctx))
	}
}

// leave takes a waiter out whose time is up; what it was given goes to the next.
func (p *pool) leave(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, w); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		return
	}
	if d := <-w.got; d.conn != nil {
		p.place(d.conn)
	}
}

// release takes back a connection that has had its answer.
func (p *pool) release(conn *warmConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retire(conn)
}

// discard closes a connection that is of no use.
func (p *pool) discard(conn *warmConn) {
	conn.base.Close()
	p.gone()
}

// refill has those dialled that take the place of what has been taken. Their keys and
// handshakes would have the processors while the login still has its way to go.
func (p *pool) refill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.topUp()
}

// gone frees a connection's slot.
func (p *pool) gone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	p.topUp()
}

// login asks the server, over a warm connection if there is one. If that turns
// out to have died unnoticed, which shows in a hang-up without an answer, a fresh
// one is asked once.
func (p *pool) login(ctx context.Context, cred *credentials) (answer, error) {
	for fresh := false; ; fresh = true {
		asked := time.Now()
		conn, err := p.get(ctx, fresh)
		if err != nil {
			return answer{}, err
		}
		got, err := p.over(ctx, conn, cred)
		if err == nil {
			p.release(conn)
			p.log.Debug("answered", "status", got.shown.Type, "code", got.shown.Code, "warm", conn.kept, proto.KeyElapsed, time.Since(asked))
			return got, nil
		}
		p.discard(conn)
		if fresh || !conn.kept || !hungUp(err) && !saidBye(err) {
			return answer{}, fmt.Errorf("imap: login to %s: %w", p.url, err)
		}
		p.log.Debug("a warm connection was dead", proto.KeyErr, err)
	}
}

// over logs in over one connection.
func (p *pool) over(ctx context.Context, conn *warmConn, cred *credentials) (got answer, err error) {
	defer p.recovered(&err)
	return conn.login(ctx, cred)
}

// close ends the dials, closes the warm connections, and waits for all of them.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.cancel()
	for _, conn := range p.idle {
		p.retire(conn)
	}
	p.idle = nil
	if p.reaper != nil {
		p.reaper.Stop()
		p.reaper = nil
	}
	for _, w := range p.waiting {
		w.got <- dialled{err: errors.New("imap: shutting down")}
	}
	p.waiting = nil
	p.mu.Unlock()
	p.wg.Wait()
}

// sick reports whether other URLs are to be asked first, and how long a dial took to
// fail then. When the pause is over, a dial that no login waits for sees whether
// the server is back.
func (p *pool) sick() (_ bool, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed && p.open < p.max && p.health.probe(time.Now()) {
		p.open++
		p.dialing++
		p.wg.Go(p.dial)
	}
	return p.health.sick(), p.health.took
}
