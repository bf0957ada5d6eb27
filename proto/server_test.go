package proto

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// lineFrontend asks about the account named in the first line, and answers with
// the verdict's name.
type lineFrontend struct{}

func (lineFrontend) Serve(ctx context.Context, c *Conn) {
	verdict := TempFail
	defer func() { c.Finish(verdict.String()) }()
	start := time.Now()
	ctx, end := c.Begin(ctx)
	defer end()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		verdict = c.Refuse(ErrDeadline)
		return
	}
	if line == "panic\n" {
		panic("in the front-end")
	}
	verdict = c.Decide(ctx, start, &Request{Authcid: strings.TrimSpace(line)})
}

// rig is a server on a socket of its own.
type rig struct {
	*Server
	path string
	log  *logBuffer
	done chan error
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newRig(t *testing.T, next Authenticator, timeout time.Duration, change func(*ListenConfig)) *rig {
	t.Helper()
	r, serve := newIdleRig(t, lineFrontend{}, next, timeout, change)
	serve()
	return r
}

// newIdleRig listens, and accepts from serve on.
func newIdleRig(t *testing.T, frontend Frontend, next Authenticator, timeout time.Duration, change func(*ListenConfig)) (r *rig, serve func()) {
	t.Helper()
	cfg := DefaultListen("readsocket")
	cfg.Socket = filepath.Join(t.TempDir(), "s")
	if change != nil {
		change(&cfg)
	}
	r = &rig{path: cfg.Socket, log: new(logBuffer), done: make(chan error, 1)}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if r.Server, err = NewServer(&cfg, frontend, next, timeout, log); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(&cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := r.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-r.done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return r, func() { go func() { r.done <- r.Serve(l) }() }
}

func (r *rig) dial(t *testing.T) *net.UnixConn {
	t.Helper()
	c, err := net.Dial("unix", r.path)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second)) // so that a failing test ends
	t.Cleanup(func() { c.Close() })
	return c.(*net.UnixConn)
}

// ask writes and reads all of the reply. A reset is an error.
func (r *rig) ask(t *testing.T, request string) string {
	t.Helper()
	c := r.dial(t)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Close() // or the server reads on for its linger time
	return string(reply)
}

var echo = AuthenticatorFunc(func(_ context.Context, req *Request) (Verdict, error) {
	switch req.Authcid {
	case "good":
		return Accept, nil
	case "bad":
		return Reject, nil
	case "boom":
		panic("in the authenticator")
	default:
		return TempFail, errors.New("who knows")
	}
})

func TestVerdictsAndPanics(t *testing.T) {
	r := newRig(t, echo, time.Minute, nil)
	for request, want := range map[string]string{
		"good\n": "accept", "bad\n": "reject", "odd\n": "tempfail", "boom\n": "tempfail", "panic\n": "tempfail",
	} {
		if got := r.ask(t, request); got != want {
			t.Errorf("%q: got %q want %q", request, got, want)
		}
	}
	if got := r.ask(t, "good\n"); got != "accept" {
		t.Errorf("after the panics: got %q", got)
	}
	r.Shutdown(t.Context()) // so that all has been logged
	for _, want := range []string{"in the authenticator", "in the front-end", "verdict=accept", `err="who knows"`} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, r.log)
		}
	}
}

// TestReplyIsNeverLost: bytes that were not read must not reset the connection.
func TestReplyIsNeverLost(t *testing.T) {
	r := newRig(t, echo, time.Minute, nil)
	for range 50 {
		if got := r.ask(t, "good\n"+strings.Repeat("x", 100_000)); got != "accept" {
			t.Fatalf("got %q", got)
		}
	}
}

func TestBudget(t *testing.T) {
	stuck := AuthenticatorFunc(func(ctx context.Context, _ *Request) (Verdict, error) {
		<-ctx.Done()
		return TempFail, context.Cause(ctx)
	})
	r := newRig(t, stuck, 50*time.Millisecond, nil)
	if got := r.ask(t, "half a line"); got != "tempfail" {
		t.Errorf("half a line: got %q", got)
	}
	if got := r.ask(t, "line\n"); got != "tempfail" {
		t.Errorf("a stuck login: got %q", got)
	}
	if !strings.Contains(r.log.String(), ErrDeadline.Reason) {
		t.Errorf("the log does not name the deadline:\n%s", r.log)
	}
}

// TestPastTheCap: with the only place taken by a silent client, the next is told
// TempFail, properly and without a reset, and the place is free again afterwards.
func TestPastTheCap(t *testing.T) {
	r := newRig(t, echo, time.Minute, func(c *ListenConfig) { c.MaxConnections = 1 })
	silent := r.silent(t)
	if got := r.ask(t, "good\n"); got != "tempfail" {
		t.Errorf("past the cap: got %q", got)
	}
	if got := r.ask(t, "half a line"); got != "tempfail" {
		t.Errorf("half a line past the cap: got %q", got)
	}
	silent.Close()
	if got := r.waitFor(t, "good\n", "accept"); got != "accept" {
		t.Errorf("after: got %q", got)
	}
}

// silent dials, says nothing, and has a place.
func (r *rig) silent(t *testing.T) *net.UnixConn {
	t.Helper()
	c := r.dial(t)
	for end := time.Now().Add(10 * time.Second); len(r.slots) == 0 && time.Now().Before(end); {
		runtime.Gosched()
	}
	return c
}

// waitFor asks until the reply is want, for another connection may still be
// about to be taken, or freed.
func (r *rig) waitFor(t *testing.T, request, want string) (got string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if got = r.ask(t, request); got == want {
			break
		}
	}
	return got
}

func TestAllow(t *testing.T) {
	r := newRig(t, echo, time.Minute, func(c *ListenConfig) { c.Allow = []string{"4294967294"} })
	if got := r.ask(t, "good\n"); got != "tempfail" {
		t.Errorf("a stranger: got %q", got)
	}
	if got := r.ask(t, "good\n"); got != "tempfail" {
		t.Errorf("a stranger: got %q", got)
	}
	if n := strings.Count(r.log.String(), "level=WARN"); n > 2 { // the socket's own warning is one
		t.Errorf("got %d warnings: the log can be flooded\n%s", n, r.log)
	}
}

func TestShutdownDrains(t *testing.T) {
	asked, answer := make(chan bool), make(chan bool)
	r := newRig(t, AuthenticatorFunc(func(context.Context, *Request) (Verdict, error) {
		asked <- true
		<-answer
		return Accept, nil
	}), time.Minute, nil)
	c := r.dial(t)
	io.WriteString(c, "good\n")
	<-asked
	stopped := make(chan error)
	go func() { stopped <- r.Shutdown(t.Context()) }()
	if err := <-r.done; err != nil { // no longer accepting
		t.Error(err)
	}
	r.done <- nil
	if _, err := net.Dial("unix", r.path); err == nil {
		t.Error("the socket still takes connections")
	}
	select {
	case err := <-stopped:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	answer <- true
	if reply, err := io.ReadAll(c); string(reply) != "accept" {
		t.Errorf("got %q, %v", reply, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestShutdownTakesTheQueue: what was queued when the socket's file went away is
// answered, however long the accept loop was held up by then.
func TestShutdownTakesTheQueue(t *testing.T) {
	r := newRig(t, echo, time.Second, func(c *ListenConfig) { c.MaxConnections = 1 })
	for range 1 + refusals { // takes every place, so that the loop stands still
		r.dial(t)
	}
	var wg sync.WaitGroup
	for range 100 {
		c := r.dial(t)
		if _, err := io.WriteString(c, "good\n"); err != nil {
			t.Fatal(err)
		}
		c.CloseWrite()
		wg.Go(func() {
			if reply, err := io.ReadAll(c); err != nil || len(reply) == 0 {
				t.Errorf("got %q, %v", reply, err)
			}
		})
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// TestStrangersTakeNoPlace: users who are not in allow cannot keep others out: they
// have no places, and past their own few nobody waits for them.
func TestStrangersTakeNoPlace(t *testing.T) {
	r := newRig(t, echo, time.Minute, func(c *ListenConfig) { c.MaxConnections, c.Allow = 1, []string{"4294967294"} })
	for range strangers {
		r.dial(t)
	}
	for len(r.strangers) < strangers {
		runtime.Gosched()
	}
	if n := len(r.slots) + len(r.refused); n != 0 {
		t.Errorf("strangers hold %d places", n)
	}
	// The accept loop goes on: one more is closed, with no word and no wait.
	if reply, err := io.ReadAll(r.dial(t)); len(reply) > 0 || err != nil {
		t.Errorf("one stranger more: got %q, %v", reply, err)
	}
}

// TestShutdownCuts: past the grace, what is in progress is answered TempFail.
func TestShutdownCuts(t *testing.T) {
	asked := make(chan bool)
	r := newRig(t, AuthenticatorFunc(func(ctx context.Context, _ *Request) (Verdict, error) {
		asked <- true
		<-ctx.Done()
		return TempFail, context.Cause(ctx)
	}), time.Minute, nil)
	c := r.dial(t)
	io.WriteString(c, "good\n")
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if reply, err := io.ReadAll(c); string(reply) != "tempfail" {
		t.Errorf("got %q, %v", reply, err)
	}
}

// TestLongNamesAreCut: a mail client does not choose how long a log line is.
func TestLongNamesAreCut(t *testing.T) {
	r := newRig(t, echo, time.Minute, nil)
	r.ask(t, strings.Repeat("ä", 8000)+"\n")
	r.Shutdown(t.Context())
	log := r.log.String()
	if !strings.Contains(log, "authcid="+strings.Repeat("ä", maxName/2)+"…") || len(log) > 2000 {
		t.Errorf("the log has %d bytes: %.2000s", len(log), log)
	}
}

func TestLimitedCounts(t *testing.T) {
	var out logBuffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	var l Limited
	for range 5 {
		l.Log(log, slog.LevelInfo, "a", "first")
		l.Log(log, slog.LevelInfo, "b", "second") // is not hidden by the first
	}
	l.kinds["a"].last = l.kinds["a"].last.Add(-logEvery)
	l.Log(log, slog.LevelInfo, "a", "first")
	if got := strings.Count(out.String(), "\n"); got != 3 || !strings.Contains(out.String(), "msg=first more=4") {
		t.Errorf("got %s", out.String())
	}
	for i := range 2 * maxKinds {
		l.Log(log, slog.LevelInfo, strings.Repeat("x", i), "many")
	}
	if len(l.kinds) > maxKinds+1 {
		t.Errorf("got %d kinds", len(l.kinds))
	}
}
