package tests

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// held is a server that answers when it is let.
func held(t *testing.T) (server *imapServer, release func()) {
	t.Helper()
	gate := make(chan struct{})
	release = sync.OnceFunc(func() { close(gate) })
	server = startIMAP(t, verdicts(func(l login) string {
		<-gate
		if l.password == accounts["alice"] {
			return "OK in"
		}
		return "NO [AUTHENTICATIONFAILED] no"
	}))
	t.Cleanup(release)
	return server, release
}

// SIGTERM with requests in flight on a listener of each kind: every one has its verdict,
// none has two, and then the daemon ends.
func TestFaultTerm(t *testing.T) {
	t.Parallel()
	const each = 40
	server, release := held(t)
	sockets := newThreeSockets(t, server.url())
	d := sockets.start(t)
	var asking sync.WaitGroup
	for protocol, ask := range threeWays {
		asking.Go(func() {
			all, want := flightsOf(protocol, each)
			for i, got := range ask(sockets.socket(protocol), all) {
				if got != want[i] {
					t.Errorf("%s, %d: got %q, want %q", protocol, i, got, want[i])
				}
			}
		})
	}
	// And some whose connection is there and whose request comes later.
	late := make([]*net.UnixConn, 5)
	for i := range late {
		var err error
		if late[i], err = dialSocket(sockets.socket("readsocket")); err != nil {
			t.Fatal(err)
		}
		defer late[i].Close()
	}
	eventually(t, "the logins to arrive", func() bool { return len(server.attempts()) == each*len(threeWays) })
	d.term()
	for protocol := range threeWays {
		eventually(t, "the sockets to be hidden", func() bool {
			_, err := os.Stat(sockets.socket(protocol))
			return os.IsNotExist(err)
		})
	}
	for i, conn := range late {
		io.WriteString(conn, plainRequest(fmt.Sprint("late", i), accounts["alice"]))
	}
	eventually(t, "the late ones to arrive", func() bool { return len(server.attempts()) == each*len(threeWays)+len(late) })
	release()
	asking.Wait()
	for i, conn := range late {
		if got, err := io.ReadAll(conn); string(got) != yes || err != nil {
			t.Errorf("late %d: got %q, %v, want %q", i, got, err, yes)
		}
	}
	d.stop()
	text := d.out.String()
	accepted, rejected := countLines(text, "msg=login", "verdict=accept"), countLines(text, "msg=login", "verdict=reject")
	if right := each/2*len(threeWays) + len(late); accepted != right || rejected != each/2*len(threeWays) {
		t.Errorf("the log has %d accepted and %d rejected, want %d and %d", accepted, rejected, right, each/2*len(threeWays))
	}
}

// startDoomed starts a daemon that is not to end well.
func startDoomed(t *testing.T, socket, file string) *daemon {
	t.Helper()
	d := &daemon{socket: socket, out: &output{}, cmd: exec.Command(daemonBinary(t), "serve", "--config", file)}
	d.cmd.Stderr = d.out
	startGroup(t, d.cmd)
	eventually(t, "imapauthd to listen", func() bool { return readyLine.MatchString(d.out.String()) })
	return d
}

// SIGKILL with requests in flight, and a start right behind it: nobody had a verdict that
// there was not, and the sockets that are left over are taken over at once.
func TestFaultKill(t *testing.T) {
	t.Parallel()
	server, release := held(t)
	sockets := newThreeSockets(t, server.url())
	const each, rounds = 10, 3
	var ended atomic.Int32
	for round := range rounds {
		d := startDoomed(t, sockets.socket("readsocket"), sockets.file)
		var asking sync.WaitGroup
		for protocol, ask := range threeWays {
			asking.Go(func() {
				all, _ := flightsOf(fmt.Sprint(protocol, "-", round, "-"), each)
				for i, got := range ask(sockets.socket(protocol), all) {
					ended.Add(1)
					if strings.HasPrefix(got, yes) || strings.HasPrefix(got, no) {
						t.Errorf("%s, %d: got %q of a daemon that was killed", protocol, i, got)
					}
				}
			})
		}
		eventually(t, "the logins to arrive", func() bool { return len(server.attempts()) == (round+1)*each*len(threeWays) })
		d.cmd.Process.Kill()
		d.cmd.Wait()
		start := time.Now()
		asking.Wait()
		within(t, start, quick)
		for protocol := range threeWays {
			if _, err := net.Dial("unix", sockets.socket(protocol)); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s: the socket of a dead daemon: %v", protocol, err)
			}
		}
	}
	if got := ended.Load(); got != rounds*each*int32(len(threeWays)) {
		t.Errorf("%d were told anything, or nothing", got)
	}
	release()
	sockets.start(t)
	start := time.Now()
	for protocol, ask := range threeWays {
		all, want := flightsOf(protocol, each)
		for i, got := range ask(sockets.socket(protocol), all) {
			if got != want[i] {
				t.Errorf("%s, %d, after: got %q, want %q", protocol, i, got, want[i])
			}
		}
	}
	within(t, start, quick)
}
