package imap

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"imapauthd/proto"
)

// discovery finds the servers of one domain by DNS SRV (RFC 6186) and keeps a pool
// for each. It asks when a login comes and the last answer's time is up; an answer
// that cannot be had leaves the last one in force, for an outage of DNS is none of the
// mail's.
type discovery struct {
	domain string // canonical, and one of the file: a mail client never chooses it
	cfg    *Config
	log    *slog.Logger
	lookup func(ctx context.Context, domain string) (srvAnswer, error)
	probes bool // see Router.Probe

	ctx    context.Context // of the looks; ends with close
	cancel context.CancelFunc
	wg     sync.WaitGroup // looks, and pools that are closing

	mu     sync.Mutex
	answer *srvAnswer // protects all below; the last one, nil: none yet
	pools  map[URL]*foundPool
	err    error     // why the last look failed
	until  time.Time // when answer or err has to be asked for again
	look   *inquiry  // nil: none is under way
}

// foundPool is the pool of one target. One that DNS no longer names is closed when
// its last login is over.
type foundPool struct {
	*pool
	users   int
	dropped bool
}

func newDiscovery(domain string, cfg *Config, log *slog.Logger) *discovery {
	d := &discovery{
		domain: domain,
		cfg:    cfg,
		log:    log.With("domain", domain),
		lookup: (&srvResolver{}).lookup,
		pools:  make(map[URL]*foundPool),
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// acquire returns the pools in the order in which one login tries them: the
// targets of _imaps._tcp, then those of _imap._tcp. They stay open until release.
func (d *discovery) acquire(ctx context.Context) (pools []*pool, release func(), err error) {
	if err := d.refresh(ctx); err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.answer != nil:
	case d.err != nil:
		return nil, nil, nowhere{failures{d.err}}
	default:
		return nil, nil, nowhere{failures{fmt.Errorf("imap: DNS has not answered about %s", d.domain)}}
	}
	var found []*foundPool
	for _, t := range append(srvOrder(d.answer.imaps, rand.IntN), srvOrder(d.answer.imap, rand.IntN)...) {
		if p := d.pools[t.url]; p != nil {
			p.users++
			found, pools = append(found, p), append(pools, p.pool)
		}
	}
	if len(found) == 0 {
		return nil, nil, fmt.Errorf("imap: DNS names no IMAP server for %s (SRV of _imaps._tcp and _imap._tcp)", d.domain)
	}
	return pools, func() { d.release(found) }, nil
}

func (d *discovery) release(found []*foundPool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range found {
		p.users--
		d.closeUnused(p)
	}
}

// closeUnused closes a pool that nobody can want any more. The caller holds mu.
func (d *discovery) closeUnused(p *foundPool) {
	if p.dropped && p.users == 0 {
		d.wg.Go(p.close)
	}
}

// refresh sees to it that there is an answer, if one can be had.
func (d *discovery) refresh(ctx context.Context) error {
	d.mu.Lock()
	if time.Now().Before(d.until) {
		d.mu.Unlock()
		return nil
	}
	if d.look == nil {
		d.look = newInquiry()
		d.wg.Go(d.ask)
	}
	look, older := d.look, d.answer != nil
	failing := d.err != nil || older && d.answer.missing != ""
	d.mu.Unlock()
	look.wait(ctx, older, failing)
	if ctx.Err() != nil {
		return fmt.Errorf("imap: wait for DNS about %s: %w", d.domain, context.Cause(ctx))
	}
	return nil
}

// ask looks into DNS once.
func (d *discovery) ask() {
	ctx, cancel := context.WithTimeoutCause(d.ctx, lookupTimeout, fmt.Errorf("after %v", lookupTimeout))
	defer cancel()
	answer, err := d.lookup(ctx, d.domain)
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.look.done)
	d.look = nil
	now := time.Now()
	if err != nil {
		if d.err == nil && d.ctx.Err() == nil {
			d.log.Warn("DNS gives no answer about the servers", "kept", len(d.pools), proto.KeyErr, err)
		}
		d.err, d.until = err, now.Add(lookupPause)
		if d.answer != nil {
			d.until = now.Add(keptPause)
		}
		return
	}
	d.log.Debug("DNS answers about the servers", "ttl", answer.ttl, "missing", answer.missing)
	if answer.missing != "" { // and stays as it was
		answer.ttl = keptPause
		if d.answer == nil || d.answer.missing == "" {
			d.log.Warn("DNS gives no answer about some of the servers", "missing", "_"+answer.missing+"._tcp")
		}
	}
	if d.answer != nil {
		switch answer.missing {
		case "imaps":
			answer.imaps = d.answer.imaps
		case "imap":
			answer.imap = d.answer.imap
		}
	}
	if d.err != nil {
		d.log.Info("DNS answers again about the servers")
	}
	d.err, d.until = nil, now.Add(answer.ttl)
	if d.answer == nil || !slices.Equal(answer.imaps, d.answer.imaps) || !slices.Equal(answer.imap, d.answer.imap) {
		d.adopt(&answer)
	} else {
		d.answer = &answer
	}
}

// adopt puts a changed answer in the place of the last. Pools of targets that stay
// are kept. The caller holds mu.
func (d *discovery) adopt(answer *srvAnswer) {
	targets := slices.Concat(answer.imaps, answer.imap)
	pools, urls := make(map[URL]*foundPool), make([]string, 0, len(targets))
	for _, t := range targets {
		p := d.pools[t.url]
		if p == nil {
			p = &foundPool{pool: newPool(t.url, d.cfg.foundIdentity(d.domain, t.url.Host), d.cfg, d.log)}
			p.strict = true
			if d.probes {
				p.probing.wanted = d.still
			}
		}
		p.others.Store(len(targets) > 1)
		pools[t.url], urls = p, append(urls, t.url.String())
	}
	for url, p := range d.pools {
		if pools[url] == nil {
			p.dropped = true
			d.closeUnused(p)
		}
	}
	if len(urls) == 0 {
		d.log.Warn("DNS names no servers")
	} else {
		d.log.Info("servers by SRV", "urls", cut(strings.Join(urls, " ")), "ttl", answer.ttl)
	}
	d.answer, d.pools = answer, pools
}

// down reports whether there are servers and none of them can be reached. Without an
// answer there are none known: that takes a login to see.
func (d *discovery) down() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.pools {
		if !p.down.Load() {
			return false
		}
	}
	return len(d.pools) > 0
}

// still is down for the probers, which see to it that DNS is asked anew as well: the
// servers may have moved, and no login asks while grace is given.
func (d *discovery) still() bool {
	d.mu.Lock()
	if d.look == nil && !time.Now().Before(d.until) && d.ctx.Err() == nil {
		d.look = newInquiry()
		d.wg.Go(d.ask)
	}
	d.mu.Unlock()
	return d.down()
}

// close ends the look under way and closes the pools. No login may be in progress.
func (d *discovery) close() {
	d.mu.Lock()
	d.cancel() // no look begins after it
	d.mu.Unlock()
	d.wg.Wait()
	for _, p := range d.pools {
		p.close()
	}
}

// foundIdentity returns whom the certificate of a target must name: the domain of
// the file. The target's own name came by DNS, where an answer can be forged, and
// counts only if it lies within that domain or srv_targets lists it (RFC 7817 §3,
// RFC 6125 §6.2.1).
func (c *Config) foundIdentity(domain, target string) identity {
	if c.TLSName != "" {
		return named(c.TLSName)
	}
	listed := slices.ContainsFunc(c.SRVTargets, func(s string) bool {
		name, err := CanonicalDomain(s)
		return err == nil && name == target
	})
	if listed || strings.HasSuffix(target, "."+domain) {
		return identity{target, []string{domain, target}}
	}
	return named(domain)
}
