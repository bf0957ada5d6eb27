package tests

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// limitFiles bounds the descriptors of a process that runs (prlimit(2)), and returns the
// bound of before.
func limitFiles(t *testing.T, pid int, most uint64) (before uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	before, limit.Cur = limit.Cur, most
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	return before
}

// cpu returns the processor time that the daemon has used (proc_pid_stat(5)).
func (d *daemon) cpu(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / 100 // USER_HZ
}

// Silent clients have used up the daemon's descriptors: it neither spins nor ends, and
// who waits in the queue has a proper answer when there are some again.
func TestFaultDescriptors(t *testing.T) {
	t.Parallel()
	imap := startIMAP(t, verdicts(users(accounts)))
	d := serveConfig(t, "timeout = \"20s\"\n"+serverTOML(imap.url(), "warm = 0"))
	known, wrong, unknown := plainRequest("alice", accounts["alice"]), plainRequest("alice", "a wrong password"), plainRequest("bob", accounts["bob"])
	for request, want := range map[string]string{known: yes, wrong: no} {
		if got := ask(t, d.socket, request); got != want {
			t.Fatalf("before: got %q, want %q", got, want)
		}
	}
	settled(t, d)
	files := d.files(t)
	before := limitFiles(t, d.cmd.Process.Pid, uint64(files+8))
	silent := connectSilent(t, d.socket, 50)
	eventually(t, "the daemon to say that it cannot accept", func() bool {
		return strings.Contains(d.out.String(), "cannot accept connections")
	})

	type answer struct{ want, got string }
	const each = 20
	answers := make(chan answer, 3*each)
	for request, want := range map[string]string{known: yes, wrong: no, unknown: yes} {
		for range each {
			go func() {
				reply, err := exchange(d.socket, request, true)
				if err != nil {
					reply += fmt.Sprint(" ", err)
				}
				answers <- answer{want, reply}
			}()
		}
	}
	cpu, start := d.cpu(t), time.Now()
	eventually(t, "three seconds to pass", func() bool { return time.Since(start) > 3*time.Second })
	if used, took := d.cpu(t)-cpu, time.Since(start); used > took/10 {
		t.Errorf("the daemon used the processor for %v of %v without descriptors", used, took)
	} else {
		t.Logf("processor: %v of %v", used, took)
	}
	if n := len(answers); n > 0 {
		t.Errorf("%d were answered without a descriptor: the test proves nothing", n)
	}
	if n := countLines(d.out.String(), "cannot accept connections"); n > 2 {
		t.Errorf("the log says it %d times", n)
	}

	for _, fd := range silent {
		unix.Shutdown(fd, unix.SHUT_RDWR)
	}
	start = time.Now()
	for range 3 * each {
		// For bob a connection is needed, which may be the one that there is no room for.
		if a := <-answers; a.got != a.want && (a.want == no || a.got != temp) {
			t.Errorf("from the queue: got %q, want %q", a.got, a.want)
		}
	}
	within(t, start, 2*quick)
	limitFiles(t, d.cmd.Process.Pid, before)
	for request, want := range map[string]string{known: yes, wrong: no, unknown: yes, plainRequest("carol", accounts["carol"]): yes} {
		start := time.Now()
		if got := ask(t, d.socket, request); got != want {
			t.Errorf("after: got %q, want %q", got, want)
		}
		within(t, start, quick)
	}
	eventually(t, "the daemon's files to be closed", func() bool { return d.files(t) <= files })
}

// SIGTERM while there are no descriptors, and clients for longer than the drain lasts:
// whoever is in the queue has a reply, and the daemon does not spin.
func TestFaultTermDescriptors(t *testing.T) {
	t.Parallel()
	imap := startIMAP(t, verdicts(users(accounts)))
	socket, file := configFile(t, "timeout = \"1s\"\n"+serverTOML(imap.url(), "warm = 0"))
	d := startDoomed(t, socket, file)
	known := plainRequest("alice", accounts["alice"])
	if got := ask(t, d.socket, known); got != yes {
		t.Fatalf("before: got %q, want %q", got, yes)
	}
	settled(t, d)
	limitFiles(t, d.cmd.Process.Pid, uint64(d.files(t)+8))
	silent := connectSilent(t, d.socket, 30)
	eventually(t, "the daemon to say that it cannot accept", func() bool {
		return strings.Contains(d.out.String(), "cannot accept connections")
	})
	waiting := make([]int, 20)
	for i := range waiting {
		fd, err := dialBare(d.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		unix.Write(fd, []byte(known))
		waiting[i] = fd
	}
	cpu, start := d.cpu(t), time.Now()
	if err := d.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for _, fd := range silent {
		if reply, err := readBare(fd); reply != temp || err != nil {
			t.Errorf("silent: got %q, %v, want %q", reply, err, temp)
		}
	}
	for _, fd := range waiting {
		if reply, err := readBare(fd); reply != yes && reply != temp || err != nil {
			t.Errorf("in the queue: got %q, %v", reply, err)
		}
	}
	d.cmd.Wait()
	if text := d.out.String(); !strings.Contains(text, "were cut short") {
		t.Errorf("the drain was not cut, which proves nothing:\n%s", text)
	}
	used := d.cmd.ProcessState.UserTime() + d.cmd.ProcessState.SystemTime() - cpu
	if took := time.Since(start); used > took/5 {
		t.Errorf("the daemon used the processor for %v of %v", used, took)
	} else {
		t.Logf("processor: %v of %v", used, took)
	}
}

// Descriptors for the clients and none for the IMAP server: no verdict, at once, for who
// is not remembered; and no trace of it when there are some again.
func TestFaultLastDescriptor(t *testing.T) {
	t.Parallel()
	imap := startIMAP(t, verdicts(users(accounts)))
	d := serveConfig(t, serverTOML(imap.url(), "warm = 0"))
	known, unknown := plainRequest("alice", accounts["alice"]), plainRequest("bob", accounts["bob"])
	if got := ask(t, d.socket, known); got != yes {
		t.Fatalf("before: got %q", got)
	}
	settled(t, d)
	files := d.files(t)
	const each = 5
	conns := make([]*net.UnixConn, 2*each)
	for i := range conns {
		var err error
		if conns[i], err = dialSocket(d.socket); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
	}
	eventually(t, "the daemon to take them", func() bool { return d.files(t) == files+len(conns) })
	before := limitFiles(t, d.cmd.Process.Pid, 0)
	start := time.Now()
	for i, conn := range conns {
		request, want := known, yes
		if i >= each {
			request, want = unknown, temp
		}
		io.WriteString(conn, request)
		if got, err := io.ReadAll(conn); string(got) != want || err != nil {
			t.Errorf("meanwhile: %q: got %q, %v, want %q", request, got, err, want)
		}
	}
	within(t, start, quick)
	limitFiles(t, d.cmd.Process.Pid, before)
	start = time.Now()
	if got := ask(t, d.socket, unknown); got != yes {
		t.Errorf("after: got %q, want %q", got, yes)
	}
	within(t, start, quick)
}

// settled waits until the daemon has closed what it has asked for.
func settled(t *testing.T, d *daemon) {
	t.Helper()
	last, since := d.files(t), time.Now()
	eventually(t, "the daemon's files to be as they stay", func() bool {
		if n := d.files(t); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	})
}
