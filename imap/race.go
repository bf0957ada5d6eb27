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

// event is news of one attempt: that it has connected, or how it ended.
type event struct {
	address   string
	connected bool
	conn      *warmConn
	err       error
}

// connect makes a connection to the first of the URL's addresses that greets. The
// next one is tried when those before it have failed, or take their time; the first
// to be through wins (Happy Eyeballs, RFC 8305, but for whole preambles: an address
// whose server hangs must not hide the others).
func (p *pool) connect(ctx context.Context) (*warmConn, error) {
	network, all, err := p.addresses.list(ctx, p.url)
	if err != nil {
		return nil, deadlineCause(ctx, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := make(chan event, 2*len(all)) // so that none that lost has to wait
	var running []string
	begin := func() {
		address := all[0]
		all, running = all[1:], append(running, address)
		p.wg.Go(func() { p.attempt(ctx, network, address, events) })
	}
	begin()
	pause := time.NewTimer(connectDelay)
	defer pause.Stop()
	var errs failures
	for len(running) > 0 {
		select {
		case <-pause.C:
			if len(all) > 0 {
				begin()
				pause.Reset(connectDelay)
			}
		case e := <-events:
			switch {
			case e.connected:
				if e.address == running[len(running)-1] {
					pause.Reset(greetDelay)
				}
			case e.err == nil:
				// Those that began before it had more time, and are not through.
				p.addresses.shun(running[:slices.Index(running, e.address)])
				p.wg.Go(func() { closeLate(events, len(running)-1) })
				return e.conn, nil
			default:
				running = slices.DeleteFunc(running, func(a string) bool { return a == e.address })
				errs = append(errs, e.err)
				if len(all) > 0 {
					p.addresses.shun([]string{e.address})
					begin()
					pause.Reset(connectDelay)
				}
			}
		}
	}
	return nil, errs
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

// attempt dials one address and does the preamble. A panic there, over what a server
// sent, is an error like others.
func (p *pool) attempt(ctx context.Context, network, address string, events chan<- event) {
	end := event{address: address, err: errPanic}
	defer func() {
		if v := recover(); v != nil {
			p.log.Error("panic in a dial", "stack", string(debug.Stack()), proto.KeyErr, v)
			end.conn, end.err = nil, errPanic
		}
		events <- end
	}()
	base, err := p.dialer(ctx, network, address)
	if err != nil {
		end.err = deadlineCause(ctx, err)
		return
	}
	events <- event{address: address, connected: true}
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
