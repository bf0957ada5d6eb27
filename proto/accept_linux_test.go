//go:build !ordinary

package proto

import (
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// instantFrontend is lineFrontend with an Instant beside it.
type instantFrontend struct{ lineFrontend }

func (instantFrontend) Reader() func([]byte) *Request {
	var req Request
	return func(raw []byte) *Request {
		if n := len(raw) - 1; n > 0 && bytes.IndexByte(raw, '\n') == n {
			req = Request{Authcid: unsafe.String(&raw[0], n)}
			return &req
		}
		return nil
	}
}

func (instantFrontend) Reply(v Verdict) string { return v.String() }

// memory remembers what echo knows of "good" and "bad", and counts who is asked.
type memory struct{ looks, logins atomic.Int32 }

func (m *memory) Look(req *Request) Verdict {
	m.looks.Add(1)
	req.Trail.Source = SourceCache
	switch req.Authcid {
	case "good", "bad":
		v, _ := echo(context.Background(), req)
		return v
	case "boom":
		panic("in the memory")
	}
	return TempFail
}

func (m *memory) Authenticate(ctx context.Context, req *Request) (Verdict, error) {
	m.logins.Add(1)
	return echo(ctx, req)
}

// rememberer returns a rig whose connections are accepted from serve on.
func rememberer(t *testing.T, change func(*ListenConfig)) (r *rig, m *memory, serve func()) {
	t.Helper()
	m = new(memory)
	r, serve = newIdleRig(t, instantFrontend{}, m, time.Minute, change)
	return r, m, serve
}

// send writes a request, as Exim does if half.
func (r *rig) send(t *testing.T, request string, half bool) *net.UnixConn {
	t.Helper()
	c := r.dial(t)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	if half {
		c.CloseWrite()
	}
	return c
}

// TestInstant: what is there and remembered is answered without the front-end's Serve,
// and everything else by it, with every byte.
func TestInstant(t *testing.T) {
	long := strings.Repeat("x", quickRequest)
	for _, tt := range []struct {
		request, want string
		looks, logins int32
	}{
		{"good\n", "accept", 1, 0},
		{"bad\n", "reject", 1, 0},
		{"odd\n", "tempfail", 1, 1},
		{"boom\n", "tempfail", 1, 1}, // a panic, twice
		{"good\nmore", "accept", 0, 1},
		{long[1:] + "\n", "tempfail", 1, 1},
		{long + "\n", "tempfail", 0, 1},
		// What follows is seen, wherever a read may have ended.
		{long[1:] + "\n" + "more", "tempfail", 0, 1},
		{long[:4095] + "\n" + "more", "tempfail", 0, 1},
	} {
		for _, half := range []bool{true, false} {
			r, m, serve := rememberer(t, nil)
			c := r.send(t, tt.request, half)
			serve()
			reply, err := io.ReadAll(c)
			if string(reply) != tt.want || err != nil {
				t.Errorf("%.10q: got %q, %v want %q", tt.request, reply, err, tt.want)
			}
			if looks, logins := m.looks.Load(), m.logins.Load(); looks != tt.looks || logins != tt.logins {
				t.Errorf("%.10q: got %d looks, %d logins want %d, %d", tt.request, looks, logins, tt.looks, tt.logins)
			}
			c.Close()
			r.Shutdown(t.Context())
			if n := strings.Count(r.log.String(), "msg=login"); n != 1 {
				t.Errorf("%.10q: got %d lines want 1:\n%s", tt.request, n, r.log)
			}
			if line := "level=DEBUG msg=login frontend=readsocket authcid=good verdict=accept"; tt.request == "good\n" && !strings.Contains(r.log.String(), line) {
				t.Errorf("the log lacks %q:\n%s", line, r.log)
			}
		}
	}
}

// TestInstantLosesNoReply: a client that keeps its side open gets its reply and the end,
// whatever else it writes and whenever.
func TestInstantLosesNoReply(t *testing.T) {
	r, m, serve := rememberer(t, nil)
	serve()
	more := make([]byte, 100_000)
	for range 200 {
		c := r.send(t, "good\n", false)
		written := make(chan bool)
		go func() {
			c.Write(more) // or is told that nobody reads it
			close(written)
		}()
		if reply, err := io.ReadAll(c); string(reply) != "accept" || err != nil {
			t.Fatalf("got %q, %v", reply, err)
		}
		<-written
	}
	if m.looks.Load() == 0 {
		t.Error("nothing was answered at once")
	}
}

// TestInstantHasNoPlace: past the cap nobody is answered from memory, and who is, gives
// the place back.
func TestInstantHasNoPlace(t *testing.T) {
	r, m, serve := rememberer(t, func(c *ListenConfig) { c.MaxConnections = 1 })
	serve()
	silent := r.silent(t)
	for range 10 {
		if got := r.ask(t, "good\n"); got != "tempfail" {
			t.Errorf("past the cap: got %q", got)
		}
	}
	silent.Close()
	for range 10 {
		if got := r.waitFor(t, "good\n", "accept"); got != "accept" {
			t.Fatalf("after: got %q", got)
		}
	}
	for end := time.Now().Add(10 * time.Second); m.looks.Load() == 0; {
		if time.Now().After(end) {
			t.Fatal("nothing was answered at once")
		}
		r.ask(t, "good\n")
	}
}

// TestInstantAsksWho: a user who is not in allow learns nothing from memory.
func TestInstantAsksWho(t *testing.T) {
	r, m, serve := rememberer(t, func(c *ListenConfig) { c.Allow = []string{"4294967294"} })
	c := r.send(t, "good\n", true)
	serve()
	if reply, err := io.ReadAll(c); string(reply) != "tempfail" || err != nil {
		t.Errorf("got %q, %v", reply, err)
	}
	if n := m.looks.Load(); n != 0 {
		t.Errorf("got %d looks", n)
	}
}

// TestPassedSocketStays: what comes after the drain has begun is for the socket's next
// owner, and so is the socket.
func TestPassedSocketStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	owner, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	take := func() (*Server, *memory, chan error) {
		f, err := owner.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		l, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newSocket(l.(*net.UnixListener), true)
		if err != nil {
			t.Fatal(err)
		}
		cfg, m, done := DefaultListen("readsocket"), new(memory), make(chan error, 1)
		server, err := NewServer(&cfg, instantFrontend{}, m, time.Minute, discard)
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- server.Serve(&Listener{socket: s, passed: true}) }()
		return server, m, done
	}
	r := &rig{path: path}
	for range 3 {
		server, m, done := take()
		for range 20 {
			if got := r.ask(t, "good\n"); got != "accept" {
				t.Fatalf("got %q", got)
			}
		}
		if m.looks.Load() == 0 {
			t.Error("nothing was answered at once")
		}
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		waiting := r.send(t, "bad\n", true)
		next, _, ended := take()
		if reply, err := io.ReadAll(waiting); string(reply) != "reject" || err != nil {
			t.Errorf("who came between: got %q, %v", reply, err)
		}
		next.Shutdown(t.Context())
		<-ended
	}
}

// TestInstantAllocatesNothing measures the whole process over requests of which most find
// their answer at once.
func TestInstantAllocatesNothing(t *testing.T) {
	r, m, serve := rememberer(t, nil)
	r.Server.log = discard
	serve()
	const n = 2000
	addr := &unix.SockaddrUnix{Name: r.path}
	request, reply := []byte("good\n"), make([]byte, 16)
	ask := func() {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, addr); err != nil {
			t.Fatal(err)
		}
		unix.Write(fd, request)
		unix.Shutdown(fd, unix.SHUT_WR)
		if got, err := unix.Read(fd, reply); string(reply[:max(got, 0)]) != "accept" {
			t.Fatalf("got %q, %v", reply, err)
		}
	}
	ask()
	logins := m.logins.Load()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		ask()
	}
	runtime.ReadMemStats(&after)
	ordinary := uint64(m.logins.Load() - logins)
	if ordinary > n/2 {
		t.Errorf("%d of %d went the ordinary way", ordinary, n)
	}
	if got := after.Mallocs - before.Mallocs; got > n/10+100*ordinary {
		t.Errorf("got %d allocations for %d requests, %d of them the ordinary way", got, n, ordinary)
	}
}
