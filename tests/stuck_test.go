package tests

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A log that nobody reads (a stopped terminal, a stuck logger) keeps nobody from an
// answer, and the daemon from its end neither.
func TestStuckLog(t *testing.T) {
	imap := startIMAP(t, verdicts(users(accounts)))
	socket := filepath.Join(shortDir(t), "s")
	cmd := exec.Command(daemonBinary(t), "serve", "--server", imap.url(), "--socket", socket)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stderr = w
	startGroup(t, cmd)
	w.Close()
	for log := bufio.NewScanner(r); log.Scan() && !readyLine.MatchString(log.Text()); {
	}
	// Nobody reads from here on; a pipe holds 64 KiB, these lines are thrice that.
	for i := range 1000 {
		if got := ask(t, socket, plainRequest(fmt.Sprint("nobody", i), "a wrong password")); got != no {
			t.Fatalf("request %d: got %q, want %q", i, got, no)
		}
	}
	if got := ask(t, socket, plainRequest("alice", accounts["alice"])); got != yes {
		t.Errorf("got %q, want %q", got, yes)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	case <-time.After(patience):
		cmd.Process.Kill()
		t.Errorf("still there %v after SIGTERM", patience)
	}
}

// SIGHUP, which makes other daemons read their files anew, ends nothing here.
func TestHangup(t *testing.T) {
	imap := startIMAP(t, verdicts(users(accounts)))
	d := serve(t, imap.url())
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log to say so", func() bool { return strings.Contains(d.out.String(), "SIGHUP has no effect") })
	if got := ask(t, d.socket, plainRequest("alice", accounts["alice"])); got != yes {
		t.Errorf("got %q, want %q", got, yes)
	}
}
