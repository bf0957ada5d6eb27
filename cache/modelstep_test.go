package cache

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"imapauthd/proto"
)

// question is what a request asks, of the fields that count for the verdict.
type question struct {
	server, authcid, authzid, password string
	addr                               netip.Addr
}

// There are two servers, and the verdicts of one depend on the address.
const plainServer, addressServer = "plain", "byaddr"

func modelRoute(req *proto.Request) (proto.Route, bool) {
	return proto.Route{Server: req.Server, PerAddress: req.Server == addressServer}, true
}

// key is all that must be equal for one verdict to answer both.
func (q question) key() question {
	if q.server == addressServer {
		return q
	}
	return q.credentials()
}

func (q question) credentials() question { q.addr = netip.Addr{}; return q }

func (q question) account() string { return q.server + "/" + strings.ToLower(q.authcid) }

func (q question) request() *proto.Request {
	return &proto.Request{
		Server: q.server, Authcid: q.authcid, Authzid: q.authzid, Password: proto.NewPassword(q.password),
		Client: netip.AddrPortFrom(q.addr, 0),
	}
}

func (q question) String() string {
	s := fmt.Sprintf("%s %s:%s", q.server, q.authcid, q.password)
	if q.authzid != "" {
		s += " as " + q.authzid
	}
	if q.addr.IsValid() {
		s += " from " + q.addr.String()
	}
	return s
}

// asking is a question, how long the server takes for it if it is asked, and how long
// the caller waits. No two events of a sequence come at the same nanosecond but those
// of one step, so what a step meets does not hang on the scheduler.
type asking struct {
	question
	takes, budget time.Duration
}

// conduct is how a server behaves.
type conduct string

const (
	answering   conduct = "answers"
	failing     conduct = "fails every login"
	slow        conduct = "is slow"             // seconds: callers leave, and some logins end at their timeout
	hung        conduct = "hangs"               // until the login's timeout
	unstorable  conduct = "answers ambiguously" // Trail.NoStore
	refusing    conduct = "is refused by the router"
	panicking   conduct = "makes us panic"
	unreachable conduct = "cannot be reached, which its logins tell"
	down        conduct = "cannot be reached, as is known"
	doubted     conduct = "answers over connections of before"
)

var troubles = []conduct{failing, slow, slow, slow, hung, unstorable, refusing, panicking, unreachable, unreachable, down, down, down, doubted}

// step is one line of a sequence: it passes time, then does one thing. It refers to no
// other step, so that any of them can be left out.
type step struct {
	after time.Duration
	// One of these:
	ask      []asking          // at the same time
	look     *question         // Look only
	lookToo  bool              // Look before the one that is asked
	change   map[string]string // account → its right passwords, with blanks between
	ban      string            // "account address": it accepts from there no longer, or again
	server   string            // behaves like conduct now
	conduct  conduct
	flush    *question // its account
	flushAll bool
	expiry   int           // > 0: that verdict from the end, for which ask is asked when this part of its life is over
	fraction float64       // of its life
	off      time.Duration // from there
}

func (s step) String() string {
	switch {
	case s.expiry > 0:
		return fmt.Sprintf("wait for %g of the life of verdict %d from the end, and %v", s.fraction, s.expiry, s.off)
	case s.ask != nil:
		var all []string
		for _, a := range s.ask {
			all = append(all, fmt.Sprintf("%v (takes %v, waits %v)", a.question, a.takes, a.budget))
		}
		text := "ask "
		if s.lookToo {
			text = "look and ask "
		}
		return text + strings.Join(all, "\n                      and ")
	case s.look != nil:
		return fmt.Sprint("look ", *s.look)
	case s.change != nil:
		return fmt.Sprint("right passwords now ", s.change)
	case s.ban != "":
		return "ban or unban " + s.ban
	case s.server != "":
		return fmt.Sprint(s.server, " ", s.conduct)
	case s.flush != nil:
		return fmt.Sprintf("flush %s %s", s.flush.server, s.flush.authcid)
	case s.flushAll:
		return "flush all"
	default:
		return "nothing but time passes"
	}
}

// sequence is a cache's configuration and what happens to it.
type sequence struct {
	cfg   Config
	steps []step
}

// author makes up a sequence. Each has a few of everything and its own taste, for what
// is rare in the mean of all is frequent in some.
type author struct {
	*rand.Rand
	cfg              Config
	names, passwords []string
	addrs            []netip.Addr
	servers          []string
	right            map[string][]string // by account
	asked            []question
	hurry            bool // what is rare comes before the entries expire
	guesses          int  // of ten new questions
}

func newSequence(seed uint64) sequence {
	a := &author{Rand: rand.New(rand.NewPCG(seed, 7)), right: make(map[string][]string)}
	a.hurry, a.guesses = a.IntN(2) == 0, a.IntN(8)
	a.names = []string{"bob", "boba", "eve", "dan", "kim"}[:1+a.IntN(5)]
	a.passwords = []string{"x", "ax", "y", "aax"}
	for i := range a.IntN(12) {
		a.passwords = append(a.passwords, fmt.Sprint("p", i))
	}
	a.addrs = []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1"), netip.IPv6Unspecified()}
	a.addrs = a.addrs[:1+a.IntN(4)]
	a.servers = []string{plainServer, addressServer}[a.IntN(2):]
	sizes := []int{1, 2, 2, 3, 100_000, 100_000}
	a.cfg = Config{
		PositiveTTL:      proto.Duration(testPositive),
		NegativeTTL:      proto.Duration(testNegative),
		Accounts:         sizes[a.IntN(len(sizes))],
		NegativeAccounts: sizes[a.IntN(len(sizes))],
	}
	a.cfg.Grace = proto.Duration(pick(a, []time.Duration{0, 5 * time.Minute, time.Hour}))
	switch a.IntN(40) {
	case 0:
		a.cfg.PositiveTTL = 0
	case 1:
		a.cfg.NegativeTTL = 0
	}
	q := sequence{cfg: a.cfg}
	for range 1 + a.IntN(4) {
		q.steps = append(q.steps, a.change())
	}
	trouble, flushes, waits := a.IntN(8), a.IntN(6), a.IntN(12)
	for range 10 + a.IntN(40) {
		if a.IntN(10) == 0 {
			q.steps = append(q.steps, a.story()...)
		}
		var s step
		switch n := a.IntN(50 + trouble + flushes + waits); {
		case n < 36:
			s = a.ask()
		case n < 42:
			q := a.question()
			s.look = &q
		case n < 46:
			s = a.change()
		case n < 47:
			s.ban = fmt.Sprint(a.question().account(), " ", pick(a, a.addrs))
		case n < 50+trouble:
			s.server, s.conduct = pick(a, a.servers), answering
			if trouble > 0 && a.IntN(2) == 0 {
				s.conduct = pick(a, troubles)
			}
		case n < 50+trouble+flushes:
			q := a.question()
			s.flush = &q
			if s.flushAll = a.IntN(3) == 0; s.flushAll {
				s.flush = nil
			}
		default:
			s = a.expiry(5)
		}
		s.after = a.pause()
		q.steps = append(q.steps, s)
	}
	return q
}

func pick[T any](a *author, from []T) T { return from[a.IntN(len(from))] }

// about returns some time up to d, to the nanosecond.
func (a *author) about(d time.Duration) time.Duration { return 1 + time.Duration(a.Int64N(int64(d))) }

func (a *author) pause() time.Duration {
	n := 12
	if a.hurry {
		n = 9
	}
	switch a.IntN(n) {
	case 0, 1, 2, 3:
		return a.about(time.Microsecond)
	case 4, 5, 6, 7:
		return a.about(100 * time.Millisecond)
	case 8, 9:
		return a.about(10 * time.Second)
	case 10:
		return a.about(testNegative)
	default:
		return a.about(testPositive / 3)
	}
}

func (a *author) change() step {
	s := step{after: a.about(time.Microsecond), change: make(map[string]string)}
	account := pick(a, a.servers) + "/" + pick(a, a.names)
	var right []string
	for range 1 + a.IntN(3) { // more than one: app passwords
		right = append(right, pick(a, a.passwords))
	}
	if kept := a.right[account]; len(kept) > 0 && a.IntN(3) == 0 {
		right = append(right, kept[0])
	}
	a.right[account] = right
	s.change[account] = strings.Join(right, " ")
	return s
}

func (a *author) ask() step {
	var s step
	pool := []question{a.question()}
	n := 1
	switch a.IntN(16) {
	case 0, 1, 2, 3:
		pool = append(pool, a.question(), a.question())
		n = 2 + a.IntN(8)
	case 4: // all passwords of one account: more than it can have entries
		n = len(a.passwords)
		pool = make([]question, n)
		for i, q := 0, a.question(); i < n; i++ {
			q.password = a.passwords[i]
			pool[i] = q
		}
	}
	for range n {
		q := pick(a, pool)
		s.ask = append(s.ask, a.asking(q))
		a.asked = append(a.asked, q)
	}
	s.lookToo = n == 1 && a.IntN(3) == 0
	return s
}

func (a *author) asking(q question) asking {
	takes := 50 * time.Millisecond
	if a.IntN(5) == 0 {
		takes = 15 * time.Second
	}
	return asking{q, a.about(takes), 9*time.Second + a.about(time.Millisecond)}
}

// question is one asked before, or nearly, or another, mostly a right one.
func (a *author) question() question {
	var q question
	how := a.IntN(12)
	if len(a.asked) > 0 && how < 9 {
		q = a.asked[len(a.asked)-1-a.IntN(min(len(a.asked), 12))]
	}
	switch {
	case q.server == "" || how == 0:
		q = question{pick(a, a.servers), pick(a, a.names), "", pick(a, a.passwords), pick(a, a.addrs)}
		if right := a.right[q.account()]; len(right) > 0 && a.IntN(10) >= a.guesses {
			q.password = pick(a, right)
		}
		q.respell(a)
	case how == 1:
		q.respell(a)
	case how == 2:
		q.addr, q.server = pick(a, a.addrs), pick(a, a.servers)
	case how == 3:
		if right := a.right[q.account()]; len(right) > 0 {
			q.password = pick(a, right)
		}
	case how == 4 && q.authzid != "": // a byte wanders from field to field
		q.authzid, q.password = "", q.authzid+q.password
	case how == 4 && q.password[0] == 'a':
		q.authzid, q.password = "a", q.password[1:]
	}
	return q
}

func (q *question) respell(a *author) {
	switch a.IntN(6) {
	case 0:
		q.authcid = strings.ToUpper(q.authcid)
	case 1:
		q.authcid = strings.ToUpper(q.authcid[:1]) + q.authcid[1:]
	case 2:
		q.authzid = "a"
	case 3:
		q.authcid, q.authzid = strings.ToLower(q.authcid), ""
	}
}
