package tests

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// route is a [[server]] table.
type route struct {
	name, url string
	domains   []string
	more      string // lines
}

// routesTOML is serverTOML for several servers.
func routesTOML(routes ...route) string {
	var text strings.Builder
	text.WriteString("[[listen]]\nprotocol = \"readsocket\"\nsocket = SOCKET\nmode = \"0666\"\n")
	for _, r := range routes {
		quoted := make([]string, len(r.domains))
		for i, d := range r.domains {
			quoted[i] = strconv.Quote(d)
		}
		fmt.Fprintf(&text, "[[server]]\nname = %q\nurl = [%q]\ndomains = [%s]\n%s\n", r.name, r.url, strings.Join(quoted, ", "), r.more)
	}
	return text.String()
}

// Two domains on two Dovecots, one of which is down in each way that there is: its
// accounts get 435 whatever their password, the others their verdict, undelayed, even
// while forty logins wait for the one that is down. Nobody has to help it back.
func TestDomainsOutage(t *testing.T) {
	const budget = 3 * time.Second
	up := startDovecot(t, dovecotOptions{users: map[string]string{"alice@up.example": accounts["alice"]}})
	down := startDovecot(t, dovecotOptions{users: map[string]string{"bob@down.example": accounts["bob"]}})
	d := serveConfig(t, fmt.Sprintf("timeout = %q\n", budget)+routesTOML(
		route{name: "up", url: up.url(), domains: []string{"up.example"}},
		route{name: "down", url: down.url(), domains: []string{"down.example"}},
	)+"[cache]\npositive_ttl = \"0s\"\nnegative_ttl = \"0s\"\n")
	d.hides(accounts["alice"])
	d.hides(accounts["bob"])
	e := startExim(t, snippet("extended.conf"), d.socket)
	expect := func(t *testing.T, c *smtpClient, user, password string, want int, most time.Duration) {
		t.Helper()
		start := time.Now()
		if got := c.plain("", user, password); got.code != want {
			t.Errorf("%s, %q: got %v, want %d", user, password, got, want)
		}
		within(t, start, most)
		c.goesOn()
	}
	// As quick as ever is far below the budget; a NO takes Dovecot half a second.
	const undelayed = budget / 2
	expect(t, e.dial(t), "alice@up.example", accounts["alice"], authAccepted, undelayed)
	expect(t, e.dial(t), "bob@down.example", accounts["bob"], authAccepted, undelayed)

	for _, outage := range []struct {
		name       string
		begin, end func(t *testing.T)
		silent     bool // the logins wait until their budget is spent
	}{
		{"stopped", func(t *testing.T) { down.stop(t) }, func(t *testing.T) { down.start(t) }, false},
		{"hung", func(t *testing.T) { down.hang(t) }, func(t *testing.T) { down.resume(t) }, true},
		{"black hole", func(t *testing.T) { down.stop(t); blackHole(t, down.port) }, func(t *testing.T) { down.start(t) }, true},
	} {
		t.Run(outage.name, func(t *testing.T) {
			t.Run("down", func(t *testing.T) {
				outage.begin(t)
				for _, password := range []string{accounts["bob"], "a wrong password"} {
					t.Run(password, func(t *testing.T) {
						t.Parallel()
						expect(t, e.dial(t), "bob@down.example", password, authTempFail, budget+undelayed)
					})
				}
				t.Run("others", func(t *testing.T) {
					t.Parallel()
					right, wrong := e.dial(t), e.dial(t)
					answered := crowd(t, d.socket, 40, "down.example")
					expect(t, right, "alice@up.example", accounts["alice"], authAccepted, undelayed)
					expect(t, wrong, "alice@up.example", "a wrong password", authRejected, undelayed)
					if n := answered(); n > 0 && outage.silent {
						t.Errorf("%d of 40 logins at the silent server were answered meanwhile: nothing is proved", n)
					}
				})
			})
			outage.end(t)
			start := time.Now()
			eventually(t, "the other server to be asked again", func() bool {
				c := e.dial(t)
				defer c.goesOn()
				return c.plain("", "bob@down.example", accounts["bob"]).code == authAccepted
			})
			within(t, start, 10*time.Second)
			t.Logf("asked again %v after it was back", time.Since(start))
		})
	}
}

// crowd sends n logins of different accounts at one time and returns when they are
// with the daemon. All must be told that nothing was decided, by the end of the test.
// It returns a function that tells how many have been.
func crowd(t *testing.T, socket string, n int, domain string) (answered func() int) {
	t.Helper()
	var sent, done sync.WaitGroup
	var count atomic.Int64
	t.Cleanup(done.Wait)
	for i := range n {
		sent.Add(1)
		done.Go(func() {
			conn, err := dialSocket(socket)
			if err == nil {
				defer conn.Close()
				_, err = io.WriteString(conn, extendedRequest(fmt.Sprintf("user%d@%s", i, domain), "a wrong password"))
			}
			sent.Done()
			if err == nil {
				err = conn.CloseWrite()
			}
			if err != nil && !errors.Is(err, syscall.ENOTCONN) {
				t.Error(err)
				return
			}
			reply, err := io.ReadAll(conn)
			if string(reply) != temp || err != nil {
				t.Errorf("got %q, %v, want %q", reply, err, temp)
			}
			count.Add(1)
		})
	}
	sent.Wait()
	return func() int { return int(count.Load()) }
}

// blackHole lets nobody through to a port, until the end of the test: the queue of
// its listener is full, so the kernel drops what would connect.
func blackHole(t *testing.T, port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	addr := &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
		syscall.Bind(fd, addr),
		syscall.Listen(fd, 0),
	); err != nil {
		t.Fatal(err)
	}
	for {
		conn, err := net.DialTimeout("tcp", loopback(port), 200*time.Millisecond)
		if err != nil {
			return // no answer any more
		}
		t.Cleanup(func() { conn.Close() })
	}
}
