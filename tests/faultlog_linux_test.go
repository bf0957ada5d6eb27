package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startLogging starts a daemon whose log is a file, and returns how to end it. At the
// debug level each request has a line.
func startLogging(t *testing.T, log *os.File, imap *imapServer) (socket string, cmd *exec.Cmd, end func()) {
	t.Helper()
	socket, file := configFile(t, serverTOML(imap.url()))
	cmd = exec.Command(daemonBinary(t), "serve", "--config", file)
	cmd.Stderr = log
	startGroup(t, cmd)
	eventually(t, "imapauthd to listen", func() bool {
		conn, err := dialSocket(socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return socket, cmd, func() {
		cmd.Process.Signal(syscall.SIGTERM)
		watchdog := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer watchdog.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	}
}

// Nothing can be written to the log: everybody is answered all the same.
func TestFaultLogFull(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	socket, _, end := startLogging(t, full, startIMAP(t, verdicts(users(accounts))))
	askManyLogged(t, socket, "x")
	end()
}

// The disk is full in the middle of a line, and then it is not: what is logged from then
// on are whole lines, and one of them says how many are missing.
func TestFaultLogRoom(t *testing.T) {
	t.Parallel()
	log, err := os.OpenFile(filepath.Join(shortDir(t), "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	socket, cmd, end := startLogging(t, log, startIMAP(t, verdicts(users(accounts))))
	askManyLogged(t, socket, "before")
	limit := func(most uint64) {
		bound := unix.Rlimit{Cur: most, Max: unix.RLIM_INFINITY}
		if err := unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_FSIZE, &bound, nil); err != nil {
			t.Fatal(err)
		}
	}
	written := func() int64 {
		fi, err := log.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return fi.Size()
	}
	room := written() + 1000 // not a number of whole lines
	limit(uint64(room))
	askManyLogged(t, socket, "meanwhile")
	eventually(t, "the disk to be full", func() bool { return written() == room })
	limit(unix.RLIM_INFINITY)
	askManyLogged(t, socket, "after")
	end()
	text, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if n := strings.Count(line, "time="); n > 1 {
			t.Errorf("line %d is more than one: %s", i, line)
		}
		if n, err := fmt.Sscanf(line, "imapauthd: %d log lines were", &lost); n == 1 && err == nil {
			t.Log(line)
		}
	}
	for _, phase := range []string{"before", "after"} {
		if n := countLines(string(text), "authcid="+phase); n != loggedRequests {
			t.Errorf("%s: %d lines, want %d", phase, n, loggedRequests)
		}
	}
	if n := countLines(string(text), "authcid=meanwhile", "verdict=reject"); lost == 0 || lost > 3*loggedRequests+1 || lost+n < loggedRequests {
		t.Errorf("%d lines are said to be lost, and %d requests are there", lost, n)
	}
}

const loggedRequests = 40

// askManyLogged has each of its requests logged, and answered.
func askManyLogged(t *testing.T, socket, user string) {
	t.Helper()
	for i := range loggedRequests {
		if got := ask(t, socket, plainRequest(fmt.Sprint(user, i), "a wrong password")); got != no {
			t.Errorf("request %d: got %q, want %q", i, got, no)
		}
	}
	start := time.Now()
	if got := ask(t, socket, plainRequest("alice", accounts["alice"])); got != yes {
		t.Errorf("got %q, want %q", got, yes)
	}
	within(t, start, quick)
}
