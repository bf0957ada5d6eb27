package imap

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"imapauthd/proto"
)

var errPanic = errors.New("a panic, which the log shows")

// event is news of one attempt: that it has connected, or how it ended.
type event struct {
	attempt   int // index in the list of addresses
	connected bool
	conn      *warmConn
	err       error
}

// connect makes a connection to the first of the URL's addresses that greets. The
// next one is tried when those before it have failed, or take their time; the first
// to be through wins (Happy Eyeballs, RFC 8305, but for whole preambles: an address
// whose server hangs must not hide the others).
func (p *pool) connect(ctx context.Context) (_ *warmConn, err error) {
	defer p.recovered(&err)
	network, all, err := p.addresses.list(ctx, p.url)
	if err != nil {
		return nil, deadlineCause(ctx, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := make(chan event, 2*len(all)) // so that none that lost has to wait
	begun, running := 0, 0
	begin := func() {
		if begun == len(all) || ctx.Err() != nil {
			return
		}
		i := begun
		begun, running = begun+1, running+1
		if len(all) == 1 { // nothing to race with
			p.attempt(ctx, i, network, all[i], events)
			return
		}
		p.wg.Go(func() { p.attempt(ctx, i, network, all[i], events) })
	}
	begin()
	pause := time.NewTimer(connectDelay)
	defer pause.Stop()
	var errs failures
	for running > 0 {
		select {
		case <-pause.C:
			begin()
			pause.Reset(connectDelay)
		case e := <-events:
			switch {
			case e.connected:
				if e.attempt == begun-1 {
					pause.Reset(greetDelay)
				}
			case e.err == nil:
				// Those that began before it had more time, and are not through.
				p.addresses.shun(all[:e.attempt])
				if running > 1 {
					p.wg.Go(func() { closeLate(events, running-1) })
				}
				return e.conn, nil
			default:
				running--
				errs = append(errs, e.err)
				begin()
				pause.Reset(connectDelay)
			}
		}
	}
	if begun < len(all) { // time is up, and these were in the way of the others
		p.addresses.shun(all[:begun])
	}
	return nil, errs
}

// recovered makes a panic, over what a server sent, an error like others.
func (p *pool) recovered(err *error) {
	if v := recover(); v != nil {
		p.log.Error("panic with a server", "stack", string(debug.Stack()), proto.KeyErr, v)
		*err = errPanic
	}
}

// closeLate closes the connections of the attempts that lost, n of which are still to
// end.
func closeLate(events <-chan event, n int) {
	for n > 0 {
		e := <-events
		if e.connected {
			continue
		}
		n--
		if e.conn != nil {
			e.conn.base.Close()
		}
	}
}

// attempt dials one address and does the preamble.
func (p *pool) attempt(ctx context.Context, i int, network, address string, events chan<- event) {
	end := event{attempt: i}
	defer func() { events <- end }()
	defer p.recovered(&end.err)
	base, err := p.dialer(ctx, network, address)
	if err != nil {
		end.err = deadlineCause(ctx, err)
		return
	}
	events <- event{attempt: i, connected: true}
	tls, err := p.tls.config()
	if err != nil {
		base.Close()
		end.err = err
		return
	}
	end.conn, end.err = preamble(ctx, base, p.url, p.strict, tls)
	if end.err != nil && network != "unix" {
		end.err = fmt.Errorf("%s: %w", address, end.err)
	}
}
