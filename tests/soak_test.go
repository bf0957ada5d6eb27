package tests

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	soakTime = flag.Duration("soak", 0, "how long TestSoak keeps the daemon busy; 0: 75s, or 15s with -short")
	soakRace = flag.Bool("soak-race", true, "TestSoak looks for data races; if not, for memory that is not given back")
)

const (
	// soakPositive and soakNegative are the lifetimes of the cache, soakLogin the time a
	// login may take: short ones, so that in a second there are hits and misses.
	soakPositive, soakNegative, soakLogin = 3 * time.Second, time.Second, 6 * time.Second
	// soakCalm is how long after an outage everything must be as before.
	soakCalm = 8 * time.Second
)

// soak is a daemon between clients of all kinds and servers that come and go.
type soak struct {
	t       *testing.T
	r       *dice
	d       *daemon
	dir     string // of the sockets
	fronts  []*frontend
	dovecot *dovecot
	users   map[string]string // of Dovecot, now; the test's goroutine alone
	truth   *truth
	over    chan struct{} // closed: no more load
	wg      sync.WaitGroup
	changes int // of passwords
	events  int // of the weather
	text    func(dir string) string
}

// A daemon under a mixed load, with servers that fail in every way they know. No reply
// is a wrong one, all along; and when all is over, it holds what it held at its start.
func TestSoak(t *testing.T) {
	t.Parallel()
	load := *soakTime
	if load == 0 {
		if load = 75 * time.Second; testing.Short() {
			load = 15 * time.Second
		}
	}
	s := newSoak(t)
	idle, _ := startSoaked(t, s.text)
	start := s.d.process(t)
	s.run()
	defer s.end()
	first := min(load/2, time.Minute) // every kind of weather, if there is time
	worst := s.weather(first)
	s.weather(load - first)
	s.end()
	s.answersAll()
	s.goneQuiet(start, worst)
	s.d.sound(t)
	s.counted(load)
	busy, never := s.d.goroutines(t), idle.goroutines(t)
	t.Logf("goroutines at the end: %v", busy)
	if fmt.Sprint(busy) != fmt.Sprint(never) {
		t.Errorf("goroutines of a daemon that never did anything: %v", never)
	}
}

func newSoak(t *testing.T) *soak {
	s := &soak{t: t, r: &dice{r: seeded(t)}, users: make(map[string]string), truth: newTruth(), over: make(chan struct{})}
	for i := range 200 {
		s.users[fmt.Sprint("user", i)] = fmt.Sprint("the password of ", i)
	}
	s.changeUsers()
	s.dovecot = startDovecot(t, dovecotOptions{users: s.users, mechanisms: "plain login cram-md5", add: "service imap-login {\n  service_count = 0\n}\n"})
	s.truth.seen()
	odd := make(map[string]string)
	for i := range 50 {
		odd[fmt.Sprintf("user%d@moody.test", i)] = fmt.Sprint("the moody password of ", i)
	}
	moody := startIMAP(t, s.moody(odd))
	s.truth.set(odd)
	s.truth.seen()
	s.text = s.file(moody.url())
	s.d, s.dir = startSoaked(t, s.text)
	s.fronts = frontendsIn(s.dir)
	return s
}

// file returns the text of a daemon's file, with sockets in dir.
func (s *soak) file(moody string) func(dir string) string {
	return func(dir string) string {
		return fmt.Sprintf("timeout = \"3s\"\nlogin_timeout = \"%v\"\n", soakLogin) + frontendsTOML(dir, s.dovecot.url(), "connections = 64") +
			fmt.Sprintf("[[server]]\nname = \"moody\"\nurl = [%q]\ndomains = [\"moody.test\"]\n", moody) +
			fmt.Sprintf("[cache]\npositive_ttl = \"%v\"\nnegative_ttl = \"%v\"\naccounts = 100\nnegative_accounts = 100\n", soakPositive, soakNegative) +
			"[log]\nlevel = \"info\"\n"
	}
}

func startSoaked(t *testing.T, text func(dir string) string) (*daemon, string) {
	t.Helper()
	dir := shortDir(t)
	_, file := configFile(t, text(dir))
	binary := daemonBinary(t)
	if !*soakRace {
		binary = filepath.Join(shortDir(t), "imapauthd")
		build := exec.Command("go", "build", "-tags", tags, "-o", binary, ".")
		build.Dir = moduleRoot()
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	cmd := exec.Command(binary, "serve", "--config", file)
	cmd.Env = append(os.Environ(), "GODEBUG=gctrace=1")
	return startCommand(t, "", cmd), dir
}

// weather brings outages, password changes and SIGHUP, one after the other, for a time,
// and returns the most that the daemon has needed.
func (s *soak) weather(length time.Duration) (worst process) {
	events := []func(){s.hang, s.change, s.restart, s.crash, s.change} // the largest crowd first
	for end := time.Now().Add(length); time.Now().Before(end); s.events++ {
		s.truth.storm()
		events[s.events%len(events)]()
		s.truth.calm()
		s.d.cmd.Process.Signal(syscall.SIGHUP)
		now := s.d.process(s.t)
		live, _ := s.d.heap()
		s.t.Logf("%v, %d MB of heap", now, live)
		worst.memory, worst.threads = max(worst.memory, now.memory), max(worst.threads, now.threads)
		s.pause(time.Until(end), soakCalm+4*time.Second)
	}
	return worst
}

// pause waits, for the shorter of two times.
func (s *soak) pause(a, b time.Duration) {
	if d := min(a, b); d > 0 {
		<-time.After(d)
	}
}

func (s *soak) restart() {
	s.dovecot.stop(s.t)
	s.pause(2*time.Second, 2*time.Second)
	s.dovecot.start(s.t)
}

// crash ends Dovecot at once, all of it.
func (s *soak) crash() {
	syscall.Kill(-s.dovecot.cmd.Process.Pid, syscall.SIGKILL)
	<-s.dovecot.done
	s.dovecot.stopped = true
	s.pause(time.Second, time.Second)
	s.dovecot.start(s.t)
}

func (s *soak) hang() {
	s.dovecot.hang(s.t)
	s.pause(5*time.Second, 5*time.Second)
	s.dovecot.resume(s.t)
}

// change gives some accounts another password, and adds one.
func (s *soak) change() {
	s.changeUsers()
	s.dovecot.setUsers(s.t, s.users)
	s.truth.seen()
}

func (s *soak) changeUsers() {
	s.changes++
	for i := range 5 {
		s.users[fmt.Sprint("changing", i)] = fmt.Sprintf("password %d of %d", s.changes, i)
	}
	s.users[fmt.Sprint("new", s.changes)] = fmt.Sprint("the new password of ", s.changes)
	s.truth.set(s.users)
}

// end stops the load.
func (s *soak) end() {
	select {
	case <-s.over:
	default:
		close(s.over)
	}
	s.wg.Wait()
}

// answersAll has every front-end answer rightly once more.
func (s *soak) answersAll() {
	for _, f := range s.fronts {
		for _, user := range []string{"user1", "changing1", "new1"} {
			if got, err := f.ask(pair{user, s.users[user]}); got != yes || err != nil {
				s.t.Errorf("when all is over: %s, %s: got %q, %v, want %q", f.name, user, got, err, yes)
			}
			if got, err := f.ask(pair{user, "a wrong password"}); got != no || err != nil {
				s.t.Errorf("when all is over: %s, %s, wrong: got %q, %v, want %q", f.name, user, got, err, no)
			}
		}
	}
}

// counted logs what was asked, and wants enough of each to prove something.
func (s *soak) counted(load time.Duration) {
	s.truth.mu.Lock()
	defer s.truth.mu.Unlock()
	s.t.Logf("replies: %v", s.truth.replies)
	for _, what := range []string{"right: yes", "wrong: no", "moody, right: yes", "moody, wrong: no"} {
		if n := s.truth.replies[what]; n < int(load.Seconds()) {
			s.t.Errorf("%q came %d times in %v", what, n, load)
		}
	}
	if s.truth.replies["right: temporarily unavailable"] == 0 {
		s.t.Error("no outage was felt")
	}
	calm := s.truth.replies["right, and calm: yes"]
	if others := s.truth.replies["right, and calm: temporarily unavailable"]; others*20 > calm {
		s.t.Errorf("while nothing was wrong right passwords were accepted %d times, and deferred %d times", calm, others)
	}
}

// sound wants a log without a panic or a race in it.
func (d *daemon) sound(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(d.out.String()) {
		if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "goroutine ") {
			t.Errorf("the log has %q", line)
		}
	}
}

// dice are randomness that goroutines share.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

// of reports true once in n times.
func (d *dice) of(n int) bool { return d.n(n) == 0 }

func (s *soak) socket(protocol string) string { return filepath.Join(s.dir, protocol) }
