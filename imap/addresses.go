package imap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// connectDelay is how long one address is alone: the next is tried beside it when
	// it has not connected by then (RFC 8305 §5).
	connectDelay = 250 * time.Millisecond
	// greetDelay is the same for one that has connected and not greeted: a server
	// that hangs, or one that is far away and busy.
	greetDelay = 2 * time.Second
	// shunTime is how long an address comes last that failed where another did not.
	shunTime = time.Minute
	// maxAddresses bounds what is tried of a name in one dial, and maxKnown what is
	// kept of an answer, which may name thousands.
	maxAddresses = 16
	maxKnown     = 64
)

// addresses are those of one URL's host. They are looked up anew for a dial, but once
// a second at most (lookupPause, keptPause); an outage of DNS leaves the last ones in
// force.
type addresses struct {
	resolve func(ctx context.Context, network, host string) ([]netip.Addr, error)
	ctx     context.Context // of the lookups
	wg      *sync.WaitGroup // them

	mu      sync.Mutex
	last    []netip.Addr             // protects all below; the last answer that named any
	err     error                    // why the last lookup had none
	until   time.Time                // when to look up again
	look    *inquiry                 // nil: none is under way
	shunned map[netip.Addr]time.Time // until when
}

func newAddresses(ctx context.Context, wg *sync.WaitGroup) *addresses {
	return &addresses{
		resolve: net.DefaultResolver.LookupNetIP,
		ctx:     ctx,
		wg:      wg,
		shunned: make(map[netip.Addr]time.Time),
	}
}

// list returns where to dial for a URL, the best first; each a network and an
// address for a net.Dialer.
func (a *addresses) list(ctx context.Context, u URL) (network string, all []string, err error) {
	network, address := u.network()
	if _, err := netip.ParseAddr(u.Host); err == nil || network == "unix" {
		return network, []string{address}, nil
	}
	ips, err := a.lookup(ctx, u.Host)
	if err != nil {
		return "", nil, err
	}
	for _, ip := range a.order(ips, time.Now()) {
		all = append(all, net.JoinHostPort(ip.String(), strconv.Itoa(int(u.Port))))
	}
	if len(all) == 0 {
		return "", nil, fmt.Errorf("%s has no address", u.Host)
	}
	return network, all, nil
}

// lookup asks for a name's addresses. That there are none is an answer; where there
// is no answer, or none soon, the last one serves.
func (a *addresses) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	a.mu.Lock()
	if time.Now().Before(a.until) {
		defer a.mu.Unlock()
		return a.serve()
	}
	if a.look == nil {
		a.look = newInquiry()
		a.wg.Go(func() { a.ask(host) })
	}
	look, older, failing := a.look, len(a.last) > 0, a.err != nil
	a.mu.Unlock()
	look.wait(ctx, older, failing)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.last) == 0 && a.err == nil {
		return nil, fmt.Errorf("no answer from DNS about %s", host)
	}
	return a.serve()
}

// ask looks the name up once.
func (a *addresses) ask(host string) {
	ctx, cancel := context.WithTimeout(a.ctx, lookupTimeout)
	defer cancel()
	ips, err := a.resolve(ctx, "ip", host)
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.look.done)
	a.look = nil
	a.err, a.until = err, time.Now().Add(lookupPause)
	if err == nil {
		a.last = distinct(ips)
	} else if _, err := a.serve(); err == nil {
		a.until = time.Now().Add(keptPause)
	}
}

// distinct returns the addresses as they are dialled, each once: two answers, or two
// lines of /etc/hosts, may differ in form alone.
func distinct(ips []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, ip := range ips {
		if ip = ip.Unmap().WithZone(""); !slices.Contains(out, ip) && len(out) < maxKnown {
			out = append(out, ip)
		}
	}
	return out
}

// serve returns the last addresses, unless there is an error that says that there are
// none. The caller holds mu.
func (a *addresses) serve() ([]netip.Addr, error) {
	dns, ok := errors.AsType[*net.DNSError](a.err)
	if a.err != nil && (len(a.last) == 0 || ok && dns.IsNotFound) {
		return nil, a.err
	}
	return a.last, nil
}

// order puts the shunned last, and lets the families take turns (RFC 8305 §4).
func (a *addresses) order(ips []netip.Addr, now time.Time) []netip.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	var good, bad []netip.Addr
	for _, ip := range alternate(ips) {
		if now.Before(a.shunned[ip]) {
			bad = append(bad, ip)
		} else {
			good = append(good, ip)
		}
	}
	for ip, until := range a.shunned {
		if !now.Before(until) {
			delete(a.shunned, ip)
		}
	}
	all := append(good, bad...)
	return all[:min(len(all), maxAddresses)]
}

// alternate takes one address of each family in turn, the first one's first.
func alternate(ips []netip.Addr) []netip.Addr {
	var families [2][]netip.Addr
	for _, ip := range ips {
		i := 0
		if ip.Is4() != ips[0].Is4() {
			i = 1
		}
		families[i] = append(families[i], ip)
	}
	out := make([]netip.Addr, 0, len(ips))
	for i := range max(len(families[0]), len(families[1])) {
		for _, f := range families {
			if i < len(f) {
				out = append(out, f[i])
			}
		}
	}
	return out
}

// shun takes note of addresses that failed, or were slower than another that was
// tried after them.
func (a *addresses) shun(failed []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range failed {
		if ap, err := netip.ParseAddrPort(f); err == nil {
			a.shunned[ap.Addr()] = time.Now().Add(shunTime)
		}
	}
}

// failures are several errors on one line.
type failures []error

func (f failures) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(slices.Compact(texts), "; ")
}

func (f failures) Unwrap() []error { return f }
