package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"imapauthd/proto"
)

// modelServer is the IMAP servers, whose truth the steps set. It folds the account's
// case, and tells the oracle what it was asked and what it said.
type modelServer struct {
	*oracle
	right   map[string][]string // account → passwords; protected by oracle.mu, like the rest
	banned  map[string]bool     // "account address"
	conduct map[string]conduct  // by server
	takes   map[question]time.Duration
}

func newModelServer(o *oracle) *modelServer {
	return &modelServer{o, map[string][]string{}, map[string]bool{}, map[string]conduct{}, map[question]time.Duration{}}
}

func (m *modelServer) truth(q question) proto.Verdict {
	if q.server == addressServer && m.banned[q.account()+" "+q.addr.String()] {
		return proto.Reject
	}
	if slices.Contains(m.right[q.account()], q.password) {
		return proto.Accept
	}
	return proto.Reject
}

func (m *modelServer) Authenticate(ctx context.Context, req *proto.Request) (proto.Verdict, error) {
	q := question{req.Server, req.Authcid, req.Authzid, req.Password.Reveal(), req.Client.Addr()}
	m.mu.Lock()
	conduct, takes := m.conduct[q.server], m.takes[q.key()]
	verdict := m.truth(q)
	l := m.begins(q)
	m.mu.Unlock()

	early := takes%2 == 0 // some servers look the password up at once, others after their delay
	var err error
	switch conduct {
	case slow:
		takes *= 1000
	case hung:
		takes = 2 * testLogin
	}
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		err = context.Cause(ctx)
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	if took := time.Since(l.began); err != nil && took != testLogin {
		m.breaks("the login of %v was ended after %v", q, took)
	}
	if !early {
		verdict = m.truth(q)
	}
	req.Trail.Source = proto.SourceIMAP
	switch {
	case err != nil:
	case conduct == failing, conduct == panicking:
		err = errors.New("not now")
	case conduct == unreachable, conduct == down:
		err, l.unreachable = fmt.Errorf("dial: %w", proto.ErrUnreachable), true
	case conduct == unstorable:
		req.Trail.NoStore = true
	case conduct == refusing:
		verdict, req.Trail.Source = proto.Reject, proto.SourceRouter
	}
	if err != nil {
		verdict = proto.TempFail
	}
	m.ends(l, verdict, req.Trail)
	if conduct == panicking {
		panic(err)
	}
	return verdict, err
}

// apply does what a step does to the servers. The caller holds mu.
func (m *modelServer) apply(s step) {
	for account, passwords := range s.change {
		m.right[account] = strings.Fields(passwords)
	}
	if s.ban != "" {
		m.banned[s.ban] = !m.banned[s.ban]
	}
	if s.server != "" {
		m.conduct[s.server] = s.conduct
		m.down[s.server].Store(s.conduct == down || s.conduct == doubted)
	}
	for _, a := range s.ask {
		m.takes[a.key()] = a.takes
	}
}
