package tests

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// binDir is where imapauthd is built.
var binDir string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	// The race detector has a process sleep for a second at its end, for the sake of
	// races that are being reported; there are hundreds of daemons here.
	os.Setenv("GORACE", "atexit_sleep_ms=100 "+os.Getenv("GORACE"))
	var err error
	if binDir, err = os.MkdirTemp("", "imapauthd-bin"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(binDir)
	end, err := startReaper()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer end()
	return m.Run()
}

// reaper takes the process groups that tests start, a number a line.
var reaper io.Writer

// startReaper runs a shell that outlives the tests if they end without clean-up (a
// panic, the timeout, Ctrl-C) and then ends what they started.
func startReaper() (end func(), err error) {
	cmd := exec.Command("sh", "-c", `while read -r line; do
		[ "$line" = done ] && exit
		groups="$groups -$line"
	done
	kill -s KILL -- $groups 2>/dev/null`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	reaper = in
	end = func() {
		fmt.Fprintln(in, "done")
		cmd.Wait()
	}
	return end, cmd.Start()
}

// startGroup starts a command as a process group of its own, known to the reaper.
func startGroup(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(reaper, cmd.Process.Pid)
}

// build makes imapauthd with the race detector and the tests' own build tags, once, when
// the first test needs it.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binDir, "imapauthd")
	cmd := exec.Command("go", "build", "-race", "-tags", tags, "-o", path, ".")
	cmd.Dir = moduleRoot()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// daemonBinary returns the path of the built imapauthd.
func daemonBinary(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// moduleRoot returns the folder of go.mod: tests run in the folder of their own
// package, one below it.
func moduleRoot() string {
	dir, err := filepath.Abs("..")
	if err != nil {
		panic(err)
	}
	return dir
}

// snippet returns the path of a shipped Exim file.
func snippet(name string) string {
	return filepath.Join(moduleRoot(), "exim-snippets", name)
}

// needPeer returns the path of a program that the test talks to. Without the
// program the test is skipped by the program's name, or fails if the environment
// requires every peer.
func needPeer(t testing.TB, program, debianPackage string) string {
	t.Helper()
	// Debian keeps daemons where an ordinary user's PATH does not look.
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path
		}
	}
	missingPeer(t, program+" (Debian package "+debianPackage+")")
	return ""
}

// needRoot skips the test of a peer that starts as root only.
func needRoot(t testing.TB, program string) {
	t.Helper()
	if os.Geteuid() != 0 {
		missingPeer(t, program+" (needs root here)")
	}
}

func missingPeer(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("IMAPAUTHD_PEERS") == "require" {
		t.Fatalf("missing peer: %s", what)
	}
	t.Skipf("missing peer: %s", what)
}
