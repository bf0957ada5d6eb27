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

const (
	// lookupTimeout bounds one look into DNS: two queries at once, or a name's
	// addresses. Resolvers give a dead server 5 s before they ask the next.
	lookupTimeout = 15 * time.Second
	// lookupPatience is how long a login waits for it if there is an older answer.
	lookupPatience = time.Second
	// lookupPause is how soon DNS is asked again that gave no answer, and keptPause
	// how soon if there is an older one to go on with.
	lookupPause = time.Second
	keptPause   = 5 * time.Second
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

	ctx    context.Context // of the looks; ends with close
	cancel context.CancelFunc
	wg     sync.WaitGroup // looks, and pools that are closing

	mu     sync.Mutex
	answer *srvAnswer // protects all below; the last one, nil: none yet
	pools  map[URL]*foundPool
	err    error         // why the last look failed
	until  time.Time     // when answer or err has to be asked for again
	look   chan struct{} // closed when the look under way ends; nil: none is
	began  time.Time     // when it began
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
		return nil, nil, d.err
	default:
		return nil, nil, fmt.Errorf("imap: DNS has not answered about %s", d.domain)
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

// refresh sees to it that there is an answer, if one can be had. A look is shared by
// all logins, and waited for by those who need it.
func (d *discovery) refresh(ctx context.Context) error {
	d.mu.Lock()
	if time.Now().Before(d.until) {
		d.mu.Unlock()
		return nil
	}
	if d.look == nil {
		d.look, d.began = make(chan struct{}), time.Now()
		d.wg.Go(d.ask)
	}
	look, patience := d.look, time.Duration(0)
	switch {
	case d.answer == nil:
		patience = lookupTimeout + lookupPatience // the look ends first
	case d.err == nil && d.answer.missing == "":
		patience = lookupPatience - time.Since(d.began)
	}
	d.mu.Unlock()
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case <-look:
	case <-enough.C:
	case <-ctx.Done():
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
	close(d.look)
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
	if answer.missing != "" { // and stays as it was
		d.log.Debug("DNS gives half an answer about the servers", "missing", answer.missing)
		answer.ttl = keptPause
	}
	if d.answer != nil {
		switch answer.missing {
		case "imaps":
			answer.imaps = d.answer.imaps
		case "imap":
			answer.imap = d.answer.imap
		}
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

// close ends the look under way and closes the pools. No login may be in progress.
func (d *discovery) close() {
	d.cancel()
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
