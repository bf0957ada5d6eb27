package imap

import (
	"context"
	"fmt"
	"time"

	"imapauthd/proto"
)

const (
	// probeEvery is how often a server that cannot be reached is dialled, so that its
	// return is seen within a second.
	probeEvery = 400 * time.Millisecond
	// maxProbes is how many of these dials there are at once. One of them has the time
	// that any dial has, for a server that is slow to greet; the others share the time
	// in which all of them begin, for what is sent to a host that is away is lost, and
	// sent again after one, two, four seconds.
	maxProbes = 4
)

// probing is what a pool knows about its probes. The pool's mu protects it, but for
// wanted.
type probing struct {
	wanted  func() bool // whether the server as a whole cannot be reached; nil: no probes
	on      bool        // the prober runs
	open    int         // connections of the probes, of the pool's
	patient bool        // the one with all the time is under way

	era    context.Context // of the dials; nil: none since the last return
	endEra context.CancelFunc
}

// currentEra ends when the server is back. What was lost on its way to a host that was
// away would be waited for in vain, and its failure then tell of the past.
func (p *pool) currentEra() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.probing.era == nil {
		p.probing.era, p.probing.endEra = context.WithCancel(p.ctx)
	}
	return p.probing.era
}

// endEra ends the dials that are under way. Without probes it is a login's own dial that
// finds the server back, and those beside it are as good. The caller holds mu.
func (p *pool) endEra() {
	if p.probing.on && p.probing.era != nil {
		p.probing.endEra()
		p.probing.era = nil
	}
}

// probes is how many probes there may be: one connection is left to the logins.
func (p *pool) probes() int { return max(1, min(maxProbes, p.max-1)) }

// full reports whether logins have all the connections that they may have. While the
// server is probed, those of the probes are not among them: many logins at once would
// begin to dial all at once, and none again before these have failed. The caller holds mu.
func (p *pool) full() bool {
	if p.probing.on && p.max > 1 {
		return p.open-p.probing.open >= p.max-p.probes()
	}
	return p.open >= p.max
}

// watch has the URL probed until it is reached, if that is wanted. The caller holds mu.
func (p *pool) watch() {
	if p.probing.wanted != nil && !p.probing.on && !p.closed {
		p.probing.on = true
		p.wg.Go(p.prober)
	}
}

// prober begins the probes. While another URL of the server can be reached, nothing
// hangs on this one, and it is left to the pauses between its dials.
func (p *pool) prober() {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for p.beginProbe(p.probing.wanted()) {
		select {
		case <-tick.C:
		case <-p.ctx.Done():
			return
		}
	}
}

// beginProbe dials, if that is wanted and there is room for it, and reports whether the
// prober goes on.
func (p *pool) beginProbe(wanted bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probing.on = p.health.sick() && !p.closed
	if !p.probing.on || !wanted || p.probing.open >= p.probes() || p.open >= p.max {
		return p.probing.on
	}
	// A little less, so that the first has ended when it is the next one's turn.
	timeout := probeEvery*time.Duration(p.probes()-1) - probeEvery/4
	patient := !p.probing.patient
	if patient {
		timeout, p.probing.patient = dialTimeout, true
	}
	p.open++
	p.probing.open++
	p.wg.Go(func() { p.probe(timeout, patient) })
	return true
}

// probe makes one connection. One that greets goes the way of any other; if it does not,
// that says nothing new, and nobody has waited for it.
func (p *pool) probe(timeout time.Duration, patient bool) {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(p.currentEra(), timeout, fmt.Errorf("after %v", timeout))
	defer cancel()
	conn, err := p.connect(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probing.open--
	if patient {
		p.probing.patient = false
	}
	if err == nil {
		p.connected(conn, start)
		return
	}
	p.log.Debug("no connection yet", proto.KeyElapsed, time.Since(start), proto.KeyErr, err)
	p.open--
	p.topUp()
}
