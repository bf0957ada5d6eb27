//go:build linux

package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// The servers, as the tables call them.
const (
	cFloor      = "floor, C"
	goFloor     = "floor, Go"
	saslOld     = "saslauthd -c"
	ours        = "imapauthd"
	oursForSASL = "imapauthd, protocol saslauthd"
)

// benchBinary returns the path of an imapauthd to be measured, which is one without the
// race detector; the smoke test is content with that of the other tests.
func benchBinary(t *testing.T) string {
	t.Helper()
	if !*benchFull {
		return daemonBinary(t)
	}
	path, err := buildPlain()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildPlain = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binDir, "imapauthd-plain")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir = moduleRoot()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// startSession starts a server in a session of its own, as systemd would and as
// saslauthd does by itself: by its sessions Linux divides a busy machine
// (sched_autogroup_enabled), and all servers must get the same share.
func startSession(t testing.TB, cmd *exec.Cmd) (group int) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(reaper, cmd.Process.Pid)
	return cmd.Process.Pid
}

// startFloor starts a server that answers "yes" to everything.
func startFloor(t *testing.T, tool string, options ...string) (socket string, group int) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "s")
	cmd := exec.Command(benchTool(t, tool), append(append([]string{socket}, options...), yes)...)
	cmd.Stderr = os.Stderr
	group = startSession(t, cmd)
	t.Cleanup(func() {
		syscall.Kill(-group, syscall.SIGKILL)
		cmd.Wait()
	})
	eventually(t, tool+" to listen", func() bool {
		reply, err := exchange(socket, "?\n", true)
		return err == nil && reply == yes
	})
	return socket, group
}

// startCachingSaslauthd runs saslauthd as Debian does, with its cache and its 5
// processes, and nothing told by any of them: in the background.
func startCachingSaslauthd(t *testing.T, imapPort int) (socket string, group int) {
	t.Helper()
	dir := shortDir(t)
	cmd := exec.Command(needPeer(t, "saslauthd", "sasl2-bin"), "-c", "-a", "rimap", "-O", fmt.Sprint("127.0.0.1/", imapPort), "-m", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("saslauthd: %v\n%s", err, out)
	}
	eventually(t, "saslauthd to say who it is", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "saslauthd.pid"))
		group, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return group > 1
	})
	fmt.Fprintln(reaper, group)
	t.Cleanup(func() { syscall.Kill(-group, syscall.SIGKILL) })
	socket = filepath.Join(dir, "mux")
	eventually(t, "saslauthd to listen", func() bool {
		conn, err := dialSocket(socket)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	return socket, group
}
