package tests

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// SIGTERM: who is being served gets the verdict, then the daemon ends with
// status 0 and takes its socket along.
func TestLifecycleDrain(t *testing.T) {
	release := make(chan struct{})
	server := startIMAP(t, verdicts(func(login) string {
		<-release
		return "OK in"
	}))
	d := serve(t, server.url())
	conn, err := dialSocket(d.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, plainRequest("alice", accounts["alice"]))
	eventually(t, "the login to arrive", func() bool { return len(server.attempts()) == 1 })
	d.term()
	eventually(t, "the socket to be hidden", func() bool {
		_, err := os.Stat(d.socket)
		return os.IsNotExist(err)
	})
	close(release)
	if got, err := io.ReadAll(conn); string(got) != yes || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, yes)
	}
	d.stop()
}

// A second daemon does not take a live one's socket away; a dead one's it does.
func TestLifecycleSocket(t *testing.T) {
	server := startIMAP(t, verdicts(users(accounts)))
	first := serve(t, server.url())
	request := plainRequest("alice", accounts["alice"])
	second := exec.Command(daemonBinary(t), "serve", "--server", server.url(), "--socket", first.socket)
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), first.socket) {
		t.Errorf("a second daemon on the same socket: %v, %s", err, out)
	}
	if got := ask(t, first.socket, request); got != yes {
		t.Errorf("the first daemon after that: got %q, want %q", got, yes)
	}
	// A crash leaves the file.
	file := filepath.Join(shortDir(t), "s")
	crashed := exec.Command(daemonBinary(t), "serve", "--server", server.url(), "--socket", file)
	startGroup(t, crashed)
	eventually(t, "the socket to appear", func() bool {
		reply, err := exchange(file, request, true)
		return err == nil && reply == yes
	})
	crashed.Process.Kill()
	crashed.Wait()
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("a crash should leave the socket: %v", err)
	}
	d := startDaemon(t, file, "--server", server.url(), "--socket", file)
	if got := ask(t, d.socket, request); got != yes {
		t.Errorf("in place of a dead one: got %q, want %q", got, yes)
	}
}

// The socket has the mode that the file says, and a folder of its own if need be.
func TestLifecycleMode(t *testing.T) {
	server := startIMAP(t, verdicts(users(accounts)))
	dir := shortDir(t)
	for _, mode := range []os.FileMode{0o600, 0o660, 0o666} {
		socket := filepath.Join(dir, fmt.Sprintf("%o", mode), "s")
		file := filepath.Join(dir, "imapauthd.toml")
		text := strings.NewReplacer("SOCKET", `"`+socket+`"`, "0666", fmt.Sprintf("%04o", mode)).Replace(serverTOML(server.url()))
		writeFile(t, file, text)
		d := startDaemon(t, socket, "--config", file)
		info, err := os.Stat(socket)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != mode {
			t.Errorf("got mode %v, want %v", got, mode)
		}
		d.stop()
	}
}
