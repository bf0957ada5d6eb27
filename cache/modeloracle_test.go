package cache

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"imapauthd/proto"
)

// oracle is the history of what the servers said, and the promises told as conditions
// on it. It knows nothing of how the cache is made but two bounds: an LRU of so many
// accounts on each side, and perAccount. Where these may forget it holds no more than
// perhaps: the cache may ask once more, and never answers without ground.
type oracle struct {
	start time.Time
	cfg   Config

	mu      sync.Mutex
	logins  []*login             // all there were, in the order of their beginning
	of      map[string][]*login  // those of an account
	flushes map[string]time.Time // by account: the last
	uses    []use
	broken  string // the first promise that was

	down map[string]*atomic.Bool // by server; asked under the cache's lock
}

// certainty is how sure the oracle is that something is so.
type certainty int

const (
	never certainty = iota
	perhaps
	surely
)

func (c certainty) not() certainty { return surely - c }

// login is one question to a server.
type login struct {
	question
	account      string
	key          question
	began, ended time.Time // ended is zero: in progress
	verdict      proto.Verdict
	unreachable  bool
	imap         bool      // an IMAP server's own words
	known        bool      // who asked for it
	ahead        bool      // a refresh: nobody waits for it
	fresh        certainty // accepted, and the credentials had no entry: §3.9's new password
	stored       certainty
}

// use makes an account one of the recently used.
type use struct {
	at      time.Time
	side    proto.Verdict
	account string
	sure    bool
}

func newOracle(cfg Config) *oracle {
	return &oracle{start: time.Now(), cfg: cfg, flushes: make(map[string]time.Time), of: make(map[string][]*login),
		down: map[string]*atomic.Bool{plainServer: {}, addressServer: {}}}
}

func (o *oracle) breaks(format string, args ...any) {
	if o.broken == "" {
		o.broken = fmt.Sprintf(format, args...)
	}
}

// begins is called when a server is asked. One login per key at a time.
func (o *oracle) begins(q question) *login {
	key := q.key()
	for _, l := range o.of[q.account()] {
		if l.ended.IsZero() && l.key == key && o.void(l) == never {
			o.breaks("a second login of %v, the first one began at %v", q, l.began.Sub(o.start))
		}
	}
	l := &login{question: q, account: q.account(), key: key, began: time.Now()}
	o.logins = append(o.logins, l)
	o.of[l.account] = append(o.of[l.account], l)
	return l
}

// ends is called when a server has answered.
func (o *oracle) ends(l *login, verdict proto.Verdict, trail proto.Trail) {
	void := o.void(l)
	l.imap = trail.Source == proto.SourceIMAP && verdict != proto.TempFail
	if l.imap && verdict == proto.Accept {
		l.fresh = o.has(proto.Accept, o.lifetime(proto.Accept), l.account, func(e *login) bool { return e.credentials() == l.credentials() }).not()
	}
	if l.imap && !trail.NoStore {
		l.stored = void.not()
	}
	l.verdict, l.ended = verdict, time.Now()
	if l.stored > never && o.lifetime(verdict) > 0 {
		o.used(verdict, l.account, l.stored == surely)
	}
}

// void tells whether a login stores nothing: the account was flushed, or a new password
// accepted for it, after its beginning (§3.8).
func (o *oracle) void(l *login) certainty {
	if o.flushes[l.account].After(l.began) {
		return surely
	}
	return o.superseded(l)
}

// superseded tells whether another password, which had no entry, was accepted for the
// account after the login's beginning (§3.9).
func (o *oracle) superseded(l *login) (c certainty) {
	for _, n := range o.of[l.account] {
		if n != l && n.ended.After(l.began) {
			c = max(c, n.fresh)
		}
	}
	return c
}

func (o *oracle) lifetime(side proto.Verdict) time.Duration {
	if side == proto.Accept {
		return time.Duration(o.cfg.PositiveTTL)
	}
	return time.Duration(o.cfg.NegativeTTL)
}

// has tells whether the account has an entry of that kind, marked or not, which is not
// older than most.
func (o *oracle) has(side proto.Verdict, most time.Duration, account string, which func(*login) bool) (c certainty) {
	for _, l := range o.of[account] {
		if l.verdict == side && which(l) {
			c = max(c, o.lives(l, most))
		}
	}
	return c
}

// lives tells whether what the server said in l is still an entry.
func (o *oracle) lives(l *login, most time.Duration) certainty {
	if l.stored == never || time.Since(l.ended) >= most || o.flushes[l.account].After(l.began) {
		return never
	}
	c := l.stored
	for _, n := range o.of[l.account] {
		if !n.imap || n.key != l.key || !n.ended.After(l.ended) || n.verdict == l.verdict {
			continue
		}
		if n.verdict == proto.Reject || n.stored == surely {
			return never // one NO ends a positive entry, whoever waited for it; an OK that is stored a negative one
		}
		c = perhaps
	}
	if c == surely && (o.evicted(l) || o.crowded(l)) {
		c = perhaps
	}
	return c
}

// evicted tells whether at some time since so many other accounts had been used, and
// this one had not, that it may have gone with all it had.
func (o *oracle) evicted(l *login) bool {
	size := o.cfg.Accounts
	if l.verdict == proto.Reject {
		size = o.cfg.NegativeAccounts
	}
	others := make(map[string]time.Time)
	for _, u := range o.uses {
		switch {
		case u.side != l.verdict || u.at.Before(l.ended):
		case u.account != l.account:
			others[u.account] = u.at
		case u.sure && len(others) < size: // what was used at the same instant may have been so after it
			maps.DeleteFunc(others, func(_ string, at time.Time) bool { return at.Before(u.at) })
		}
	}
	return len(others) >= size
}

// crowded tells whether the account has had so many entries since that this one may have
// gone: it was the oldest.
func (o *oracle) crowded(l *login) bool {
	others := make(map[question]bool)
	for _, n := range o.of[l.account] {
		if n.verdict == l.verdict && n.stored > never && n.key != l.key && n.ended.After(l.ended) {
			others[n.key] = true
		}
	}
	return len(others) >= perAccount
}

func (o *oracle) used(side proto.Verdict, account string, sure bool) {
	o.uses = append(o.uses, use{time.Now(), side, account, sure})
}

func (o *oracle) flushed(account string) { o.flushes[account] = time.Now() }
