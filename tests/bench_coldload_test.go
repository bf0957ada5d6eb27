//go:build linux

package tests

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// coldPace is how logins come.
type coldPace struct {
	clients int
	every   time.Duration // from one login of a client to its next; 0: as soon as it is answered
}

// load has clients log in, through a time that is not measured and one that is. A login
// that is under way when the time is up counts, and its time too.
//
// The generator is this process: a login takes milliseconds, of which it spends some
// microseconds; the distance to the server is in its share of the machine too.
func (p *coldPeer) load(t *testing.T, imap *dovecot, pace coldPace, warm, run time.Duration) benchFigures {
	t.Helper()
	p.logIn(t, pace, warm)
	logged := len(p.logged(t))
	peer, server, own, start := p.cpu(t), groupCPU(t, imap.cmd.Process.Pid), ownCPU(t), time.Now()
	took, wrong := p.logIn(t, pace, run)
	elapsed, worked := time.Since(start), ownCPU(t)-own
	n := time.Duration(len(took))
	if n == 0 {
		t.Fatalf("%s, %d clients: no login in %v", p.name, pace.clients, run)
	}
	quantile := func(q float64) time.Duration { return took[min(len(took)-1, int(q*float64(len(took))))] }
	f := benchFigures{
		Rate: float64(n) / elapsed.Seconds(),
		P50:  quantile(0.5), P90: quantile(0.9), P99: quantile(0.99), P999: quantile(0.999), Max: took[n-1],
		CPU:     (p.cpu(t) - peer) / n,
		Server:  (groupCPU(t, imap.cmd.Process.Pid) - server) / n,
		LoadCPU: float64(worked) / float64(elapsed) / float64(runtime.NumCPU()),
		Wrong:   wrong,
	}
	if p.log != "" {
		said := p.logged(t)[logged:]
		f.Warm = float64(countLines(said, "msg=answered", "warm=true")) / float64(max(1, countLines(said, "msg=answered")))
	}
	return f
}

// logIn returns how long each login took, sorted, and how many were not accepted.
func (p *coldPeer) logIn(t *testing.T, pace coldPace, d time.Duration) (took []time.Duration, wrong int) {
	t.Helper()
	var mu sync.Mutex // protects both results
	var clients sync.WaitGroup
	start := time.Now()
	for i := range pace.clients {
		clients.Go(func() {
			for next := start; next.Sub(start) < d; {
				<-time.After(time.Until(next))
				began := time.Now()
				one, err := p.login(i)
				next = time.Now()
				if pace.every > 0 {
					next = began.Add(pace.every)
				}
				mu.Lock()
				took = append(took, one)
				if err != nil {
					wrong++
					t.Logf("%s, client %d of %d: %v", p.name, i, pace.clients, err)
				}
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	slices.Sort(took)
	return took, wrong
}

// timed is the login of a peer that is asked from outside.
func timed(ask func(client int) error) func(int) (time.Duration, error) {
	return func(client int) (time.Duration, error) {
		start := time.Now()
		err := ask(client)
		return time.Since(start), err
	}
}

// logged is what imapauthd has logged so far.
func (p *coldPeer) logged(t *testing.T) string {
	t.Helper()
	if p.log == "" {
		return ""
	}
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ownCPU is what this process has worked.
func ownCPU(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
