package imap

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2/imapclient"
)

// relay runs one exchange and returns the server's tagged answer, which where e.err is
// set is the one to our "*". An error is no answer: the connection is closed then,
// and otherwise the caller's. Everything ends with ctx, but for Challenge, which must
// do so itself.
func (w *warmConn) relay(ctx context.Context, e *exchange) (answer, error) {
	mech := e.x.Mechanism
	if err := w.relayable(mech); err != nil {
		w.base.Close()
		return answer{}, err
	}
	var id []byte
	if w.caps["ID"] {
		id = e.id
	}
	saslIR := e.initial != nil && e.saslIR && w.caps["SASL-IR"] // RFC 4959
	thinks, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	g := newGuard(w, id, saslIR, e.secret)
	g.turns = &turns{mech: mech, held: e.initial != nil && !saslIR, until: e.until, budget: e.x.Budget, gone: gone}
	release := g.bind(ctx)
	defer release()

	client := imapclient.New(g, nil)
	err := client.Authenticate(&relayClient{ctx: thinks, exchange: e, guard: g, initial: saslIR})
	client.Close()
	g.stopClock()

	got, gerr := g.result()
	if gerr != nil {
		w.base.Close()
		return answer{}, deadlineCause(ctx, tidy(gerr))
	}
	if e.err == nil && (err == nil) != (got.typ == "OK") {
		w.base.Close()
		return answer{}, fmt.Errorf("imapclient and guard disagree about %s", got.typ)
	}
	if e.err == nil && got.typ == "OK" && afterthought(got.text) {
		g.startClock()
		err := g.confirm()
		g.stopClock()
		if err != nil {
			w.base.Close()
			return answer{}, deadlineCause(ctx, tidy(err))
		}
	}
	return answer{got, got.err(e.secret), id != nil}, nil
}

func (g *guard) startClock() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clock()
}

func (g *guard) stopClock() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turns.stop()
}
