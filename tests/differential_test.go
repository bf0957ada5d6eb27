package tests

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	differentialPairs = flag.Int("differential", 400, "pairs of account and password that TestDifferential asks for")
	differentialSeed  = flag.Uint64("seed", 0, "what TestDifferential and TestSoak draw from; 0: something new")
)

// seeded returns a source of randomness, and logs how to have it again.
func seeded(t *testing.T) *rand.Rand {
	seed := *differentialSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -count=1 -run '^%s$' ./tests -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// differentialAdd has Dovecot take every name as it is, keep nobody's mail apart, and
// say its own verdict at a socket.
const differentialAdd = `
auth_username_chars =
auth_username_format = %s
mail_location = maildir:DIR/mail/all
service auth {
  unix_listener DIR/auth-client {
    mode = 0666
  }
}
service imap-login {
  service_count = 0
}
`

// Accounts and passwords of any bytes: on every front-end the verdict is Dovecot's own,
// but for what the front-end's package comment says that it refuses. Once with no cache,
// and once with what the cache has learnt from the first front-end.
func TestDifferential(t *testing.T) {
	for name, format := range map[string]string{"names as they are": "", "names in lower case": "%Lu"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := seeded(t)
			users := differentialUsers(r)
			d := startDovecot(t, dovecotOptions{users: passwdNames(users), add: fmt.Sprintf(differentialAdd, format)})
			pairs := drawPairs(r, users, *differentialPairs/2)
			truth := askDovecot(t, d, pairs)
			t.Run("without a cache", func(t *testing.T) {
				fronts := startFrontends(t, d.url(), "positive_ttl = \"0s\"\nnegative_ttl = \"0s\"\n")
				var all []func()
				for i, p := range pairs {
					for _, f := range fronts {
						all = append(all, func() { f.compare(t, p, truth[i]) })
					}
				}
				r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				atOnce(all)
				for _, f := range fronts {
					f.sum(t)
				}
			})
			t.Run("with a cache", func(t *testing.T) {
				fronts := startFrontends(t, d.url(), "negative_ttl = \"10m\"\n")
				var all []func()
				for i, p := range pairs {
					first := r.IntN(len(fronts))
					all = append(all, func() {
						for j := range fronts {
							fronts[(first+j)%len(fronts)].compare(t, p, truth[i])
						}
					})
				}
				atOnce(all)
			})
		})
	}
}

// atOnce does all of it, as much at a time as Dovecot bears: each NO of its takes half a
// second.
func atOnce(all []func()) {
	var wg sync.WaitGroup
	places := make(chan bool, 200)
	for _, f := range all {
		places <- true
		wg.Go(func() { defer func() { <-places }(); f() })
	}
	wg.Wait()
}

// askDovecot returns Dovecot's own verdicts, by the protocol that doveadm speaks.
func askDovecot(t *testing.T, d *dovecot, pairs []pair) []string {
	t.Helper()
	truth := make([]string, len(pairs))
	var all []func()
	for i, p := range pairs {
		all = append(all, func() {
			outcome, err := authAsk(filepath.Join(d.dir, "auth-client"), "PLAIN", p.user, p.password)
			truth[i] = authVerdict[outcome]
			if err != nil || truth[i] == temp && p.lineLength() <= dovecotLine {
				t.Errorf("Dovecot has no verdict on %q: %q, %v", p, outcome, err)
			}
			// And by doveadm itself, a process each, where an argument can carry the bytes, and
			// its own connection to Dovecot a line of them.
			if i%8 == 0 && truth[i] != temp && p.lineLength() <= dovecotLine && !strings.Contains(p.user+p.password, "\x00") {
				if said := d.doveadm(t, p.user, p.password); said != outcome {
					t.Errorf("%q: doveadm says %s, and the socket %s", p, said, outcome)
				}
			}
		})
	}
	atOnce(all)
	return truth
}

var authVerdict = map[string]string{"OK": yes, "FAIL": no, "FAIL temp": temp, "": temp}

// compare asks for one pair and judges the answer.
func (f *frontend) compare(t *testing.T, p pair, truth string) {
	got, err := f.ask(p)
	if err != nil {
		t.Errorf("%s: %q: %v", f.name, p, err)
		return
	}
	want, reason := truth, refused(f.name, p)
	if reason != "" {
		want = no
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count(want)
	if reason != "" && truth == yes {
		f.count("refused, and Dovecot would accept: " + reason)
	}
	switch {
	case got == want:
	case got == temp && truth != yes && reason == "" && p.lineLength() > dovecotLine:
		f.count("temporary: Dovecot hangs up over so long a line")
	default:
		t.Errorf("%s: %q: got %s, want %s (Dovecot %s, %q)", f.name, p, got, want, truth, reason)
	}
}

func (f *frontend) count(what string) { f.counts[what]++ }

// sum logs what has been compared, and wants enough of both verdicts to prove something.
func (f *frontend) sum(t *testing.T) {
	t.Helper()
	t.Logf("%s: %v", f.name, f.counts)
	if f.counts[yes] < 20 || f.counts[no] < 20 {
		t.Errorf("%s: %d pairs accepted, %d rejected: too few to prove anything", f.name, f.counts[yes], f.counts[no])
	}
}

// dovecotLine is the longest AUTHENTICATE PLAIN of which Dovecot is sure to say
// anything; past it, it may hang up.
const dovecotLine = 4096

func (p pair) lineLength() int {
	return len("T1 AUTHENTICATE PLAIN \r\n") + len(encode("\x00"+p.user+"\x00"+p.password))
}
