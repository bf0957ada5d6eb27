package imap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"imapauthd/proto"
)

// server is one configured IMAP server: its URLs, each with a pool, or the domains
// whose servers are found by SRV.
type server struct {
	cfg   Config
	judge judge
	pools []*pool
	found map[string]*discovery // by canonical domain; nil: there are URLs
	log   *slog.Logger

	asking      chan struct{} // holds whoever asks for the mechanisms
	unannounced sync.Once     // and says which one is not relayed
}

func newServer(cfg Config, log *slog.Logger) (*server, error) {
	j, err := cfg.judge()
	if err != nil {
		return nil, fmt.Errorf("imap: server %s: tempfail_text: %w", cfg.Name, err)
	}
	s := &server{cfg: cfg, judge: j, log: log.With(proto.KeyServer, cfg.Name), asking: make(chan struct{}, 1)}
	if cfg.discovers() {
		s.found = make(map[string]*discovery)
		for _, d := range cfg.Domains {
			domain, err := CanonicalDomain(d)
			if err != nil {
				return nil, fmt.Errorf("imap: server %s: domain %q: %w", cfg.Name, d, err)
			}
			s.found[domain] = newDiscovery(domain, &s.cfg, s.log)
		}
		return s, nil
	}
	for _, u := range cfg.URL {
		p := newPool(u, cfg.identity(u), &s.cfg, s.log)
		if _, err := p.tls.config(); err != nil {
			return nil, fmt.Errorf("imap: server %s: %w", cfg.Name, err)
		}
		p.others.Store(len(cfg.URL) > 1)
		s.pools = append(s.pools, p)
	}
	return s, nil
}

// order returns the pools in the order of the file, those last that were not to be
// reached of late: an outage of the first URL costs one slow login, not each one.
// Among these the one goes first that was the quickest to fail, which leaves time for
// the next.
func order(pools []*pool) []*pool {
	if len(pools) == 1 {
		return pools
	}
	type sickPool struct {
		*pool
		took time.Duration
	}
	ready := make([]*pool, 0, len(pools))
	var sick []sickPool
	for _, p := range pools {
		if is, took := p.sick(); is {
			sick = append(sick, sickPool{p, took})
		} else {
			ready = append(ready, p)
		}
	}
	slices.SortStableFunc(sick, func(a, b sickPool) int { return cmp.Compare(a.took, b.took) })
	for _, p := range sick {
		ready = append(ready, p.pool)
	}
	return ready
}

// acquire returns the pools for a request, which stay open until release.
func (s *server) acquire(ctx context.Context, req *proto.Request) (pools []*pool, release func(), err error) {
	if s.found == nil {
		return s.pools, func() {}, nil
	}
	if d := s.discovery(req.Authcid); d != nil {
		return d.acquire(ctx)
	}
	return nil, nil, errNoRoute
}

// discovery returns where the servers of an account are found. An account without a
// listed domain, which a request that names the server may have, belongs to the only
// domain there is, or to none.
func (s *server) discovery(authcid string) *discovery {
	_, domain := splitAuthcid(authcid)
	if name, err := CanonicalDomain(domain); err == nil {
		return s.found[name]
	}
	if domain == "" && len(s.found) == 1 {
		for _, d := range s.found {
			return d
		}
	}
	return nil
}

// authenticate asks the URLs in order. Only one that could not be reached makes
// the next one's turn: where credentials were sent, that server's word stands,
// even if it is none.
func (s *server) authenticate(ctx context.Context, req *proto.Request) (proto.Verdict, error) {
	user, refusal := expand(s.cfg.Username, req.Authcid)
	if refusal != nil {
		req.Trail.Source = proto.SourceRouter
		return refusal.Verdict, refusal
	}
	req.Trail.Source = proto.SourceIMAP
	cred := credentials{authcid: user, password: req.Password, auth: s.cfg.Auth, saslIR: s.cfg.SASLIR}
	if req.Authzid != req.Authcid {
		cred.authzid = req.Authzid
	}
	if s.cfg.ClientIP {
		cred.id = idCommand(req)
	}
	pools, release, err := s.acquire(ctx, req)
	if err == errNoRoute {
		req.Trail.Source = proto.SourceRouter
		return proto.Reject, err
	} else if err != nil {
		return proto.TempFail, err
	}
	defer release()
	got, err := inOrder(ctx, pools, func(p *pool) (answer, error) {
		got, err := p.login(ctx, &cred)
		if err == nil && s.askAgain(req, got) {
			got = s.askWithout(ctx, p, cred, got)
		}
		return got, err
	})
	if err != nil {
		return proto.TempFail, err
	}
	r := s.judge.rule(got.status)
	req.Trail.NoStore = r.noStore
	if r.verdict == proto.Accept {
		return proto.Accept, nil
	}
	return r.verdict, got.shown
}

// inOrder asks one pool after the other, until one has an answer, or was reached and
// has none. If none could be reached, the error wraps proto.ErrUnreachable.
func inOrder(ctx context.Context, pools []*pool, ask func(*pool) (answer, error)) (answer, error) {
	var failed failures
	for _, p := range order(pools) {
		got, err := ask(p)
		if err == nil {
			return got, nil
		}
		failed = append(failed, err)
		var u *unreachable
		if !errors.As(err, &u) || ctx.Err() != nil {
			return answer{}, failed
		}
	}
	return answer{}, nowhere{failed}
}

// nowhere says that there was no server to ask.
type nowhere struct{ failures }

func (nowhere) Is(target error) bool { return target == proto.ErrUnreachable }

// probe has all servers of the account probed while none of them can be reached.
func (s *server) probe() {
	for _, p := range s.pools {
		p.probing.wanted = func() bool { return down(s.pools) }
	}
	for _, d := range s.found {
		d.probes = true
	}
}

// down reports whether none of the request's servers can be reached.
func (s *server) down(req *proto.Request) bool {
	if s.found == nil {
		return down(s.pools)
	}
	d := s.discovery(req.Authcid)
	return d != nil && d.down()
}

func down(pools []*pool) bool {
	for _, p := range pools {
		if !p.down.Load() {
			return false
		}
	}
	return len(pools) > 0
}

// askAgain reports whether an answer is a limit that was reached because the server
// was told the mail client's address: Dovecot counts a login from there among the
// user's mail readers, and somebody with ten of them open could not send. Without
// the address the login counts as the relay's own. Where the verdict depends on the
// address that would be another question.
func (s *server) askAgain(req *proto.Request, got answer) bool {
	return got.told && req.Client.Addr().IsValid() && !s.cfg.PerAddress && limited(got.status)
}

// askWithout asks once more, over another connection and without the address. Where
// that has no answer the limit stands.
func (s *server) askWithout(ctx context.Context, p *pool, cred credentials, limit answer) answer {
	p.log.Debug("at the limit of the client's address, asking again without it", "code", limit.shown.Code)
	cred.id = nil
	got, err := p.login(ctx, &cred)
	if err != nil {
		p.log.Debug("no answer without the address", proto.KeyErr, err)
		return limit
	}
	return got
}

var (
	errEmptyPart = &proto.Refusal{Verdict: proto.Reject, Reason: "the account has nothing to put for a placeholder of username"}
	errTwoAts    = &proto.Refusal{Verdict: proto.Reject, Reason: "the account's local part contains an @, which could make it another domain's"}
)

// expand returns the account as the server is told it. It is refused if a
// placeholder is empty: "@example.com" has no local part, "bob" no domain. So is
// "eve@other.example@example.com" where {local} stands: the server would be told an
// account of a domain that this one was not picked for.
func expand(template, authcid string) (string, *proto.Refusal) {
	if template == "{user}" {
		return authcid, nil
	}
	local, domain := splitAuthcid(authcid)
	switch {
	case local == "" && strings.Contains(template, "{local}"), domain == "" && strings.Contains(template, "{domain}"):
		return "", errEmptyPart
	case strings.Contains(local, "@") && strings.Contains(template, "{local}"):
		return "", errTwoAts
	}
	return strings.NewReplacer("{user}", authcid, "{local}", local, "{domain}", domain).Replace(template), nil
}

func (s *server) close() {
	for _, p := range s.pools {
		p.close()
	}
	for _, d := range s.found {
		d.close()
	}
}
