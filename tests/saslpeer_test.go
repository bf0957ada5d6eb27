package tests

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// saslauthd is the original: saslauthd -a rimap in a folder of the test's own.
type saslauthd struct {
	socket string
	pid    int // of the first of its processes, and their group
	out    *output
	kill   func() // ends all of its processes at once
}

// startSaslauthd runs it for an IMAP server on the loopback. Options such as "-r" and
// "-n", "5" are its own.
func startSaslauthd(t testing.TB, dir string, imapPort int, options ...string) *saslauthd {
	t.Helper()
	s := &saslauthd{socket: filepath.Join(dir, "mux"), out: &output{}}
	// -d keeps it in the foreground.
	args := append([]string{"-d", "-a", "rimap", "-O", fmt.Sprint("127.0.0.1/", imapPort), "-m", dir}, options...)
	cmd := exec.Command(needPeer(t, "saslauthd", "sasl2-bin"), args...)
	cmd.Stdout, cmd.Stderr = s.out, s.out
	startGroup(t, cmd)
	s.pid = cmd.Process.Pid
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	s.kill = func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("saslauthd said:\n%.20000s", s.out)
		}
	})
	eventually(t, "saslauthd to listen", func() bool {
		select {
		case <-done:
			t.Fatalf("saslauthd ended at start:\n%s", s.out)
		default:
		}
		return strings.Contains(s.out.String(), "listening on socket")
	})
	return s
}

// counted is strings as saslauthd's clients write them (PROTOCOLS §1).
func counted(fields ...string) string {
	var b []byte
	for _, f := range fields {
		b = binary.BigEndian.AppendUint16(b, uint16(len(f)))
		b = append(b, f...)
	}
	return string(b)
}

// testsaslauthd asks a socket by the program that comes with saslauthd, and returns
// what it prints and its exit status.
func testsaslauthd(t testing.TB, socket, login, password string, more ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(needPeer(t, "testsaslauthd", "sasl2-bin"), append([]string{"-f", socket, "-u", login, "-p", password}, more...)...)
	out, _ := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), cmd.ProcessState.ExitCode()
}
