package imap

import (
	"context"
	"fmt"
	"time"

	"imapauthd/proto"
)

// relay has the server examine the client, over a warm connection if there is one,
// and like login over a fresh one if that was dead. Once the server has asked for
// something there is no second try: the client could not be asked again.
func (p *pool) relay(ctx context.Context, e *exchange) (answer, error) {
	if err := p.seats.take(ctx, e); err != nil {
		return answer{}, err
	}
	defer p.seats.leave(e)
	for fresh := false; ; fresh = true {
		asked := time.Now()
		conn, err := p.getWithin(ctx, e.until, fresh)
		if err != nil {
			return answer{}, err
		}
		got, err := p.exchange(ctx, conn, e)
		if err == nil {
			p.release(conn)
			p.log.Debug("relayed", "mechanism", e.x.Mechanism, "status", got.shown.Type, "code", got.shown.Code, "warm", conn.kept, proto.KeyElapsed, time.Since(asked))
			return got, nil
		}
		p.discard(conn)
		if fresh || !conn.kept || e.begun || !hungUp(err) && !saidBye(err) {
			return answer{}, fmt.Errorf("imap: %s at %s: %w", e.x.Mechanism, p.url, err)
		}
		p.log.Debug("a warm connection was dead", proto.KeyErr, err)
	}
}

// getWithin is get, up to a time.
func (p *pool) getWithin(ctx context.Context, until time.Time, fresh bool) (*warmConn, error) {
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, until, proto.ErrDeadline)
		defer cancel()
	}
	return p.get(ctx, fresh)
}

// exchange relays over one connection.
func (p *pool) exchange(ctx context.Context, conn *warmConn, e *exchange) (got answer, err error) {
	defer p.recovered(&err)
	return conn.relay(ctx, e)
}
