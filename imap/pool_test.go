package imap

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"imapauthd/proto"
)

// farm is a server in memory, on synthetic time.
type farm struct {
	dialTime, loginTime time.Duration
	down                bool // dials are refused
	short               bool // there is no descriptor for them
	hang                bool // they are not answered
	mute                bool // no greeting
	bye                 bool // for a greeting
	byeEvery            int  // so many connections; 0: none

	greeting string                                    // empty: with AUTH=PLAIN
	answer   func(c net.Conn, line func() string) bool // to a command, up to its end; false: hang up

	mu                        sync.Mutex
	conns                     map[net.Conn]bool // protects all below; the server's ends
	open, most, dials, logins int
	tries                     int // dials, refused ones too
	trying, mostTrying        int // under way, at once
	crowd                     int // at most, these and the open ones
	unused                    int // closed without a login
}

// pipe seems to be a UNIX socket, where clear text is allowed.
type pipe struct{ net.Conn }

// Write fails as a socket does when the other end is gone.
func (p pipe) Write(b []byte) (int, error) {
	n, err := p.Conn.Write(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = &net.OpError{Op: "write", Net: "unix", Err: syscall.EPIPE}
	}
	return n, err
}

func (pipe) RemoteAddr() net.Addr { return &net.UnixAddr{Name: "farm", Net: "unix"} }

func (f *farm) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	f.trying++
	f.mostTrying, f.crowd = max(f.mostTrying, f.trying), max(f.crowd, f.open+f.trying)
	err := f.wait(ctx)
	f.trying--
	if err == nil && f.down {
		err = errors.New("refused")
	}
	if err == nil && f.short {
		err = &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
	}
	if err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	if f.conns == nil {
		f.conns = make(map[net.Conn]bool)
	}
	f.conns[theirs] = true
	f.dials++
	f.open++
	f.most = max(f.most, f.open)
	go f.serve(theirs)
	return pipe{ours}, nil
}

// wait is as long as a dial takes. The caller holds mu, and has it again then.
func (f *farm) wait(ctx context.Context) error {
	takes := f.dialTime
	if f.hang {
		takes = time.Hour
	}
	f.mu.Unlock()
	defer f.mu.Lock()
	select {
	case <-time.After(takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// breaks makes dials be refused, or hang, or neither.
func (f *farm) breaks(down, hang bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down, f.hang = down, hang
}

func (f *farm) serve(c net.Conn) {
	used := false
	defer func() {
		defer c.Close() // when it no longer counts
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.conns, c)
		f.open--
		if !used {
			f.unused++
		}
	}()
	f.mu.Lock()
	mute := f.mute
	f.mu.Unlock()
	f.mu.Lock()
	bye := f.bye || f.byeEvery > 0 && f.dials%f.byeEvery == 0
	f.mu.Unlock()
	if bye {
		io.WriteString(c, "* BYE full\r\n")
		return
	}
	if !mute {
		f.mu.Lock()
		greeting := cmp.Or(f.greeting, "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready")
		f.mu.Unlock()
		io.WriteString(c, greeting+"\r\n")
	}
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		words := strings.Fields(line)
		if err != nil || words[1] == "LOGOUT" {
			return
		}
		used = true
		time.Sleep(f.loginTime)
		f.mu.Lock()
		f.logins++
		f.mu.Unlock()
		if f.answer != nil && words[1] == "AUTHENTICATE" {
			if !f.answer(c, func() string { line, _ := in.ReadString('\n'); return strings.TrimSpace(line) }) {
				return
			}
			continue
		}
		fmt.Fprintf(c, "%s OK in\r\n", words[0])
	}
}

// kill closes the server's end of every connection.
func (f *farm) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		c.Close()
	}
}

func (f *farm) idle(p *pool) int {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// withFarm runs test on synthetic time, with a router over one URL for each farm.
func withFarm(t *testing.T, change func(*Config), test func(t *testing.T, r *Router, p *pool), farms ...*farm) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter(t, "unix:///farm", func(c *Config) {
			for range farms[1:] {
				c.URL = append(c.URL, c.URL[0])
			}
			if change != nil {
				change(c)
			}
		})
		pools := r.fallback.pools
		for i, f := range farms {
			pools[i].dialer = f.dial
		}
		test(t, r, pools[0])
		r.Close()
		time.Sleep(time.Minute) // the server's side may be in a login
		synctest.Wait()
		for _, f := range farms {
			if f.open != 0 {
				t.Errorf("%d connections are still open", f.open)
			}
		}
		for _, p := range pools {
			if p.open != 0 || p.dialing != 0 || len(p.idle) != 0 {
				t.Errorf("the pool still counts %d open, %d dialling, %d idle", p.open, p.dialing, len(p.idle))
			}
		}
	})
}

func logIn(t *testing.T, r *Router) time.Duration {
	t.Helper()
	start := time.Now()
	v, text := login(t, r)
	took := time.Since(start)
	if v != proto.Accept {
		t.Errorf("got %v: %s", v, text)
	}
	synctest.Wait() // so that the test may look at the counters
	return took
}

// TestConnectionsBound: never more than connections, and everybody is answered.
func TestConnectionsBound(t *testing.T) {
	f := &farm{dialTime: 40 * time.Millisecond, loginTime: 10 * time.Millisecond}
	withFarm(t, func(c *Config) { c.Connections = 16 }, func(t *testing.T, r *Router, p *pool) {
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if v, text := login(t, r); v != proto.Accept {
					t.Errorf("got %v: %s", v, text)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if f.most != 16 || f.logins != 1000 {
			t.Errorf("got %d connections at most and %d logins want 16 and 1000", f.most, f.logins)
		}
	}, f)
}

// TestBusy: past the bound on waiting logins the answer comes at once.
func TestBusy(t *testing.T) {
	f := &farm{loginTime: time.Second}
	withFarm(t, func(c *Config) { c.Connections = 1 }, func(t *testing.T, r *Router, p *pool) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range maxWaiting + 1 {
			wg.Go(func() { r.Authenticate(ctx, &proto.Request{Authcid: "a", Password: proto.NewPassword("b")}) })
		}
		synctest.Wait()
		start := time.Now()
		_, err := p.get(ctx, false)
		if !errors.Is(err, errBusy) || time.Since(start) != 0 {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		cancel()
		wg.Wait()
	}, f)
}

// TestDeadWarmConnection: a server's restart costs its next caller a dial, not the
// verdict.
func TestDeadWarmConnection(t *testing.T) {
	f := &farm{dialTime: 10 * time.Millisecond}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		for range 10 {
			logIn(t, r)
		}
		time.Sleep(time.Second)
		if f.idle(p) == 0 {
			t.Fatal("nothing is warm")
		}
		f.kill()
		for range 10 {
			logIn(t, r)
		}
	}, f)
}

// TestRoomForAFreshOne: who refuses the warm connections gets a slot of theirs.
func TestRoomForAFreshOne(t *testing.T) {
	f := &farm{}
	withFarm(t, func(c *Config) { c.Connections = 1 }, func(t *testing.T, r *Router, p *pool) {
		conn, err := p.get(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		p.mu.Lock()
		p.place(conn)
		p.mu.Unlock()
		fresh, err := p.get(t.Context(), true)
		if err != nil || fresh == conn || f.most != 1 {
			t.Errorf("got %v, %v, with %d open", fresh, err, f.most)
		}
		p.release(fresh)
	}, f)
}

// TestLeftBehind: a connection that was given to a caller at the moment it left.
func TestLeftBehind(t *testing.T) {
	f := &farm{}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		conn, err := p.get(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		w := &waiter{make(chan dialled, 1)}
		w.got <- dialled{conn: conn}
		p.leave(w)
		if f.idle(p) != 1 {
			t.Error("the connection is lost")
		}
	}, f)
}

// TestServerDown: the error comes with the refusal, and nothing dials on in a loop.
func TestServerDown(t *testing.T) {
	f := &farm{dialTime: time.Millisecond}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		for range 10 {
			logIn(t, r)
		}
		time.Sleep(time.Second) // what is dialled ahead has come
		synctest.Wait()
		f.down = true
		f.kill()
		before := f.tries
		for range 3 {
			v, text := login(t, r)
			if v != proto.TempFail || !strings.Contains(text, "refused") {
				t.Errorf("got %v: %s", v, text)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := f.tries - before; n > 10 {
			t.Errorf("three logins and an hour of outage made %d dials", n)
		}
		f.down = false
		if took := logIn(t, r); took != time.Millisecond {
			t.Errorf("after the outage: took %v", took)
		}
	}, f)
}

// TestHungServer: it takes connections and says nothing.
func TestHungServer(t *testing.T) {
	f := &farm{mute: true}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		start := time.Now()
		v, text := login(t, r)
		if took := time.Since(start); v != proto.TempFail || took != dialTimeout {
			t.Errorf("got %v after %v: %s", v, took, text)
		}
	}, f)
}

// boom is a connection that panics when it is read.
type boom struct{ net.Conn }

func (boom) Read([]byte) (int, error) { panic("boom") }

// TestPanicInADial ends that dial only: its connection is closed, its slot free.
func TestPanicInADial(t *testing.T) {
	f := &farm{}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		p.dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := f.dial(ctx, network, address)
			return boom{c}, err
		}
		if v, text := login(t, r); v != proto.TempFail || !strings.Contains(text, errPanic.Error()) {
			t.Errorf("got %v: %s", v, text)
		}
		p.dialer = f.dial
		logIn(t, r)
	}, f)
}

// TestCallerLeaves: what a caller no longer waits for is kept for the next.
func TestCallerLeaves(t *testing.T) {
	f := &farm{dialTime: time.Second}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, proto.ErrDeadline)
		defer cancel()
		if _, err := p.get(ctx, false); !errors.Is(err, proto.ErrDeadline) {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Second)
		if took := logIn(t, r); took != 0 || f.dials != 1 {
			t.Errorf("took %v, %d dials", took, f.dials)
		}
	}, f)
}
