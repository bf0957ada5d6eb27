package imap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// minTTL is how soon DNS may be asked about a domain again, whatever TTL it
	// gives, 0 included: guesses at passwords must not become DNS queries.
	minTTL = time.Second
	// maxTTL bounds what a mistaken or forged TTL can pin: a server that moved is
	// found within the hour.
	maxTTL = time.Hour
	// maxSRVTargets bounds the servers of one service. Large providers list one or
	// two; the rest, last in priority, is dropped.
	maxSRVTargets = 32
)

// srvTarget is one server that DNS names for a domain.
type srvTarget struct {
	url      URL    // imaps://host:port or imap://host:port; Host in lower case, no dot at the end
	priority uint16 // RFC 2782: lower first
	weight   uint16
}

// srvAnswer is what DNS says of one domain.
type srvAnswer struct {
	// imaps and imap are the targets of _imaps._tcp and _imap._tcp (RFC 6186 §3.2),
	// sorted, so that equal answers compare equal. Either may be empty.
	imaps, imap []srvTarget
	// ttl is how long the answer holds: the least TTL of what was answered, within
	// minTTL and maxTTL; minTTL if one of the two services got no answer.
	ttl time.Duration
	// missing is the service that got no answer: "imaps", "imap" or, mostly, none.
	missing string
}

// srvResolver asks the system's resolver as Go reads it: /etc/resolv.conf, its
// timeouts and retries, TCP after a truncated answer, and no answer believed that
// does not fit the query. It keeps nothing. Concurrent use is safe.
type srvResolver struct {
	// dial replaces the dialling of DNS servers in tests.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// lookup asks for _imaps._tcp and _imap._tcp of a canonical domain, both at once,
// bounded by ctx. That a domain has no such record, or the target "." (RFC 6186
// §3.4), is no error but an empty list. It is an error if DNS gave no answer, or
// gave none for one service and nothing for the other.
func (r *srvResolver) lookup(ctx context.Context, domain string) (srvAnswer, error) {
	var imaps, imap srvRecords
	var wg sync.WaitGroup
	wg.Go(func() { imaps = r.service(ctx, "imaps", domain) })
	wg.Go(func() { imap = r.service(ctx, "imap", domain) })
	wg.Wait()
	a := srvAnswer{imaps: imaps.targets, imap: imap.targets, ttl: minTTL}
	if imaps.err != nil || imap.err != nil {
		if len(a.imaps)+len(a.imap) == 0 {
			return srvAnswer{}, fmt.Errorf("imap: SRV of %s: %w", domain, failures(slices.DeleteFunc([]error{imaps.err, imap.err}, func(err error) bool { return err == nil })))
		}
		a.missing = "imap"
		if imaps.err != nil {
			a.missing = "imaps"
		}
		return a, nil
	}
	if ttls := append(imaps.ttls, imap.ttls...); len(ttls) > 0 {
		a.ttl = min(max(slices.Min(ttls), minTTL), maxTTL)
	}
	return a, nil
}

// srvRecords is what DNS says of one service.
type srvRecords struct {
	targets []srvTarget
	ttls    []time.Duration
	err     error
}

// service asks for the service whose name is also the scheme of its URLs.
func (r *srvResolver) service(ctx context.Context, scheme, domain string) srvRecords {
	tap := dnsTap{dial: r.dial}
	resolver := net.Resolver{PreferGo: true, Dial: tap.dialContext(ctx)}
	_, records, err := resolver.LookupSRV(ctx, "", "", "_"+scheme+"._tcp."+domain+".")
	dnsErr, _ := errors.AsType[*net.DNSError](err)
	switch {
	case err == nil || dnsErr != nil && dnsErr.IsNotFound:
	case records != nil: // some held names that are none, and were left out
	case ctx.Err() != nil:
		return srvRecords{err: fmt.Errorf("%w: %w", err, context.Cause(ctx))}
	default:
		return srvRecords{err: err}
	}
	return srvRecords{targets: srvTargets(scheme, records), ttls: messageTTLs(tap.message())}
}

// srvTargets returns the targets that can be dialled, sorted, each once.
func srvTargets(scheme string, records []*net.SRV) []srvTarget {
	var all []srvTarget
	for _, r := range records {
		host := strings.ToLower(strings.TrimSuffix(r.Target, "."))
		if r.Port == 0 || !isHostName(host) {
			continue
		}
		all = append(all, srvTarget{URL{Scheme: scheme, Host: host, Port: r.Port}, r.Priority, r.Weight})
	}
	slices.SortFunc(all, func(a, b srvTarget) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(b.weight, a.weight),
			cmp.Compare(a.url.Host, b.url.Host), cmp.Compare(a.url.Port, b.url.Port))
	})
	seen := make(map[URL]bool)
	all = slices.DeleteFunc(all, func(t srvTarget) bool {
		again := seen[t.url]
		seen[t.url] = true
		return again
	})
	return all[:min(len(all), maxSRVTargets)]
}

// isHostName reports whether a target can be the name of a host: not empty (the
// "." of RFC 2782), only what net.Resolver lets through, and with a letter at the
// start of its last label, so that nothing takes it for an address (RFC 1123 §2.1).
func isHostName(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && 'a' <= last[0] && last[0] <= 'z'
}
