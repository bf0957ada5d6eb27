package tests

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hostile servers, each on every connection that it gets. What they read is
// looked through for credentials where none should have come.
var hostile = []struct {
	name  string
	given bool // the credentials are theirs by right: they asked for them as servers do
	serve func(net.Conn, *bufio.Reader)
}{
	{"greets with 200 MB of one line", false, func(c net.Conn, r *bufio.Reader) { io.WriteString(c, "* OK "); pour(c, "x") }},
	{"greets with 200 MB of lines", false, func(c net.Conn, r *bufio.Reader) { pour(c, "* OK still starting\r\n") }},
	{"answers with 200 MB of lines", true, func(c net.Conn, r *bufio.Reader) {
		fmt.Fprint(c, hostileGreeting)
		r.ReadString('\n')
		pour(c, "* OK still looking\r\n")
	}},
	{"answers with 200 MB of one line", true, func(c net.Conn, r *bufio.Reader) {
		fmt.Fprint(c, hostileGreeting)
		line, _ := r.ReadString('\n')
		io.WriteString(c, line[:strings.IndexByte(line+" ", ' ')]+" OK ")
		pour(c, "x")
	}},
	{"continues for ever", true, func(c net.Conn, r *bufio.Reader) {
		fmt.Fprint(c, hostileGreeting)
		r.ReadString('\n')
		pour(c, "+ \r\n")
	}},
	{"sends noise", false, func(c net.Conn, r *bufio.Reader) { pour(c, "\x00\xff\x16\x03\x01\r\x80") }},
	{"greets with a byte a second", false, func(c net.Conn, r *bufio.Reader) { drip(c, hostileGreeting) }},
	{"answers with a byte a second", true, func(c net.Conn, r *bufio.Reader) {
		fmt.Fprint(c, hostileGreeting)
		r.ReadString('\n')
		drip(c, "T1 OK you are in, and very welcome\r\n")
	}},
	{"resets at once", false, func(c net.Conn, r *bufio.Reader) { reset(c) }},
	{"resets at the greeting", false, func(c net.Conn, r *bufio.Reader) { io.WriteString(c, "* OK [CAPA"); reset(c) }},
	{"resets at the login", true, func(c net.Conn, r *bufio.Reader) {
		fmt.Fprint(c, hostileGreeting)
		r.ReadString('\n')
		reset(c)
	}},
	{"says OK before it is asked", false, func(c net.Conn, r *bufio.Reader) {
		fmt.Fprint(c, hostileGreeting, "T1 OK in\r\nT2 OK in\r\n")
		io.Copy(io.Discard, r)
	}},
	{"greets as logged in", false, func(c net.Conn, r *bufio.Reader) {
		io.WriteString(c, "* PREAUTH [CAPABILITY IMAP4rev1] welcome\r\n")
		io.Copy(io.Discard, r)
	}},
	{"never greets", false, func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) }},
	{"says BYE to the login, then OK", true, func(c net.Conn, r *bufio.Reader) {
		fmt.Fprint(c, hostileGreeting)
		r.ReadString('\n')
		io.WriteString(c, "* BYE no\r\nT1 OK in\r\n")
	}},
}

const hostileGreeting = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n"

// pour writes 200 MB, as far as anyone reads them.
func pour(c net.Conn, what string) {
	block := bytes.Repeat([]byte(what), 1+(1<<16)/len(what))
	for sent := 0; sent < 200<<20; {
		n, err := c.Write(block)
		if err != nil {
			return
		}
		sent += n
	}
}

// drip writes a byte a second, until the other end hangs up.
func drip(c net.Conn, what string) {
	for _, b := range []byte(what) {
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
		c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 1<<10)); err != nil && !os.IsTimeout(err) {
			return
		}
	}
}

func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// tattler keeps what passes through a connection to be read.
type tattler struct {
	net.Conn
	mu   sync.Mutex
	read bytes.Buffer
}

func (c *tattler) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read.Write(p[:n])
	return n, err
}

// Hostile servers, all at once behind one daemon: each gets "temporarily
// unavailable" within the budget, a good one among them is not held up, no
// credentials go where they were not asked for, and memory and descriptors are as
// before.
func TestHostileServers(t *testing.T) {
	const password, secret = "correct horse", "\x00horse\x00correct horse"
	good := startIMAP(t, verdicts(users(map[string]string{"alice": password})))
	table := "timeout = \"3s\"\nlogin_timeout = \"5s\"\n" + serverTOML(good.url())
	var asked atomic.Int64
	for i, h := range hostile {
		server := startIMAP(t, func(s *imapSession) {
			c := &tattler{Conn: s.conn}
			defer func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				if strings.Contains(c.read.String(), encode(secret)) {
					asked.Add(1)
					if !h.given {
						t.Errorf("%s: it has got the password", h.name)
					}
				}
			}()
			// Tests of resets need the connection itself.
			if strings.HasPrefix(h.name, "resets") {
				h.serve(s.conn, s.r)
				return
			}
			h.serve(c, bufio.NewReader(c))
		})
		table += fmt.Sprintf("[[server]]\nname = \"h%d\"\nurl = [%q]\ndomains = [\"h%d.test\"]\n", i, server.url(), i)
	}
	d := serveConfig(t, table)
	d.hides(password)
	ask(t, d.socket, "alice\t"+password+"\n")
	files, memory := d.files(t), d.peakMemory(t)

	var wg sync.WaitGroup
	for i, h := range hostile {
		for range 3 {
			wg.Go(func() {
				start := time.Now()
				request := fmt.Sprintf("user=%s pass=%s server=h%d\n", encode("horse"), encode(password), i)
				if got := ask(t, d.socket, request); got != temp {
					t.Errorf("%s: got %q, want %q", h.name, got, temp)
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("%s: took %v", h.name, took)
				}
			})
		}
	}
	for i := range 20 {
		start := time.Now()
		// Never from the cache: a wrong password each time, and a right one.
		if got := ask(t, d.socket, fmt.Sprintf("alice\twrong%d\n", i)); got != no {
			t.Errorf("the good server: got %q", got)
		}
		within(t, start, 2*time.Second)
	}
	wg.Wait()
	if asked.Load() == 0 {
		t.Error("no server at all has seen the password: the test looks for the wrong bytes")
	}
	// 45 times 200 MB were on their way. The race detector's own share is within this.
	if grown := d.peakMemory(t) - memory; grown > 64<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	eventually(t, "the daemon's files to be closed", func() bool { return d.files(t) <= files+4 }) // warm ones
}

// files returns how many files the daemon has open.
func (d *daemon) files(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid), "fd"))
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	return len(entries)
}

// peakMemory returns the most memory that the daemon has used, in bytes (VmHWM, in
// proc_pid_status(5)).
func (d *daemon) peakMemory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid), "status"))
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
