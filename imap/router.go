// Package imap asks IMAP servers. Its Router is the Authenticator at the end of
// the stack: it picks the server by the account's domain, takes a connection from
// that server's pool, logs in, and turns the answer into a verdict by one table. It is
// the Relayer too: exchanges whose messages a mail client makes go the same way.
//
// imapclient is the IMAP client. What it lacks for this task (deadlines, bounds,
// disbelief) lies beneath it in preamble.go and guard.go.
package imap

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"imapauthd/proto"
)

// Router is the Authenticator. It is safe for concurrent use.
type Router struct {
	byName   map[string]*server
	exact    map[string]*server // by domain, canonical
	below    map[string]*server // by the domain behind "*."
	fallback *server            // nil: accounts of other domains are refused
	log      *slog.Logger
}

var _ proto.Authenticator = (*Router)(nil)

// NewRouter returns a Router over the servers, whose tables have been validated.
// No connection is made before the first request.
func NewRouter(cfgs []Config, log *slog.Logger) (*Router, error) {
	r := &Router{
		byName: make(map[string]*server),
		exact:  make(map[string]*server),
		below:  make(map[string]*server),
		log:    log,
	}
	for _, cfg := range cfgs {
		s, err := newServer(cfg, log)
		if err != nil {
			return nil, err
		}
		r.byName[cfg.Name] = s
		if len(cfg.Domains) == 0 && !cfg.ByName {
			r.fallback = s
		}
		for _, d := range cfg.Domains {
			table := r.exact
			if rest, ok := strings.CutPrefix(d, "*."); ok {
				table, d = r.below, rest
			}
			canonical, err := CanonicalDomain(d)
			if err != nil {
				return nil, fmt.Errorf("imap: server %s: domain %q: %w", cfg.Name, d, err)
			}
			table[canonical] = s
		}
	}
	return r, nil
}

// pick returns the server for a request, or why there is none.
func (r *Router) pick(req *proto.Request) (*server, *proto.Refusal) {
	if req.Server != "" {
		if s := r.byName[req.Server]; s != nil {
			return s, nil
		}
		return nil, &proto.Refusal{Verdict: proto.TempFail, Reason: fmt.Sprintf("no server is named %.64q", req.Server)}
	}
	if len(r.exact)+len(r.below) > 0 {
		if s := r.byDomain(req.Authcid); s != nil {
			return s, nil
		}
	}
	if r.fallback == nil {
		return nil, errNoRoute
	}
	return r.fallback, nil
}

var errNoRoute = &proto.Refusal{Verdict: proto.Reject, Reason: "no server for the account's domain"}

// byDomain returns the server that claims the account's domain most closely.
func (r *Router) byDomain(authcid string) *server {
	_, domain := splitAuthcid(authcid)
	if domain == "" {
		return nil
	}
	domain, err := CanonicalDomain(domain)
	if err != nil {
		return nil
	}
	if s := r.exact[domain]; s != nil {
		return s
	}
	for {
		_, parent, ok := strings.Cut(domain, ".")
		if !ok {
			return nil
		}
		if s := r.below[parent]; s != nil {
			return s
		}
		domain = parent
	}
}

// Route tells where a request goes, for the cache's key.
func (r *Router) Route(req *proto.Request) (proto.Route, bool) {
	s, refusal := r.pick(req)
	if refusal != nil {
		return proto.Route{}, false
	}
	return proto.Route{Server: s.cfg.Name, PerAddress: s.cfg.PerAddress}, true
}

// Probe has servers that cannot be reached dialled twice a second and more until they
// can. To be called before the first request.
func (r *Router) Probe() {
	for _, s := range r.byName {
		s.probe()
	}
}

// Down reports whether the request's server cannot be reached: every URL's last dial, TLS
// and greeting included, failed. It neither blocks nor allocates.
func (r *Router) Down(req *proto.Request) bool {
	s, refusal := r.pick(req)
	return refusal == nil && s.down(req)
}

// Authenticate logs in at the account's server. A verdict with the source imap is
// that server's; every other one is ours.
func (r *Router) Authenticate(ctx context.Context, req *proto.Request) (proto.Verdict, error) {
	s, refusal := r.pick(req)
	if refusal != nil {
		req.Trail.Source = proto.SourceRouter
		return refusal.Verdict, refusal
	}
	req.Trail.Server = s.cfg.Name
	return s.authenticate(ctx, req)
}

// Close closes all connections. No Authenticate may be in progress.
func (r *Router) Close() {
	for _, s := range r.byName {
		s.close()
	}
}
