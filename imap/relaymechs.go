package imap

import (
	"context"
	"slices"
	"strings"
	"time"

	"imapauthd/proto"
)

// offer is what a connection shows of the server.
type offer struct {
	caps  caps
	cyrus bool // what it offers is Cyrus's
}

// sight is what the newest connection of a pool showed.
type sight struct {
	offer
	at time.Time
}

var _ proto.MechanismsFunc = (*Router)(nil).Mechanisms

// Mechanisms returns what can be relayed to the server without domains, or to the only
// one: what it offered on its newest connection. Before there was any, one is made,
// which waits for the first login. Where that failed the answer is nothing, at once, until
// the server is back.
func (r *Router) Mechanisms(ctx context.Context) []string {
	s := r.principal()
	if r.Unrelayable() != nil {
		return []string{}
	}
	var mechs []string
	o := s.offered(ctx)
	for c := range o.caps {
		mech, ok := strings.CutPrefix(c, "AUTH=")
		if !ok || familyOf(mech) == nil {
			continue
		}
		if err := o.relayable(mech); err != nil {
			s.unannounced.Do(func() { s.log.Info("a mechanism is not announced", "mechanism", mech, proto.KeyErr, err) })
			continue
		}
		mechs = append(mechs, mech)
	}
	slices.Sort(mechs)
	return mechs
}

// Unrelayable returns why nothing can be relayed whatever the server offers, or nil.
func (r *Router) Unrelayable() error {
	switch s := r.principal(); {
	case s == nil:
		return errNoDefault
	case s.renames():
		return errRenames
	case s.seatless():
		return errNoSeats
	}
	return nil
}

// seatless reports whether no client may think over a connection, see seats.
func (s *server) seatless() bool { return s.cfg.Connections < 2 }

// offered returns what the server offers, or nothing if it cannot be asked now.
func (s *server) offered(ctx context.Context) offer {
	pools, release, err := s.acquire(ctx, &proto.Request{})
	if err != nil {
		s.log.Debug("the mechanisms cannot be asked for", proto.KeyErr, err)
		return offer{}
	}
	defer release()
	if known := newest(pools); known.caps != nil {
		return known
	}
	select { // one asks, and the others have its answer
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return offer{}
	}
	if known := newest(pools); known.caps != nil {
		return known
	}
	for _, p := range pools {
		if sick, _ := p.sick(); sick { // its probe tells, for who asks then
			continue
		}
		conn, err := p.get(ctx, false)
		if err == nil {
			o := conn.offer
			p.giveBack(conn)
			return o
		}
		s.log.Debug("the mechanisms cannot be asked for", proto.KeyErr, err)
		if ctx.Err() != nil {
			break
		}
	}
	return offer{}
}

// newest returns what the newest connection of all has shown, if there was one.
func newest(pools []*pool) offer {
	var last sight
	for _, p := range pools {
		p.mu.Lock()
		if p.seen.at.After(last.at) {
			last = p.seen
		}
		p.mu.Unlock()
	}
	return last.offer
}

// giveBack returns a connection on which nothing was sent.
func (p *pool) giveBack(conn *warmConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.place(conn)
}
