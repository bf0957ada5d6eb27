package tests

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rooted is a server of which a machine can have one only, or none beside Dovecot or
// Exim. It runs with a copy of what tests/peers.sh has unpacked for its root (chroot),
// so that the paths that are compiled into it are the test's own.
type rooted struct {
	root string
	ca   *authority // its files are in the root, in /srv
	log  output     // what its programs say, by syslog and on standard error

	running []chan struct{} // each is closed when a program of spawn has ended
}

// newRooted makes the root of the peer with that name. The folder /srv in it is the
// server's own.
func newRooted(t testing.TB, name string) *rooted {
	t.Helper()
	unpacked := needUnpacked(t, name)
	r := &rooted{root: shortDir(t)}
	// Hard links, unless it is another file system: nothing that is unpacked is
	// ever written to.
	cmd := exec.Command("sh", "-c", `cp -al "$0/." "$1" 2>/dev/null || cp -a "$0/." "$1"`, unpacked, r.root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("copy of %s: %v: %s", unpacked, err, out)
	}
	for _, dir := range []string{"dev", "etc", "tmp", "run", "srv"} {
		if err := os.Mkdir(r.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.own(t, "tmp", "srv")
	writeFile(t, r.path("etc/passwd"), "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/srv:/bin/sh\ncourier:x:65534:65534::/srv:/bin/sh\n")
	writeFile(t, r.path("etc/group"), "root:x:0:\nmail:x:8:\nnogroup:x:65534:\n")
	writeFile(t, r.path("etc/hosts"), "127.0.0.1 localhost\n")
	// Files do for devices, which a temporary file system may forbid.
	random := make([]byte, 4096)
	rand.Read(random)
	writeFile(t, r.path("dev/urandom"), string(random))
	writeFile(t, r.path("dev/null"), "")
	r.own(t, "dev/null")
	r.ca = newAuthority(t, r.path("srv"), "localhost", "127.0.0.1", "127.0.0.2")
	r.syslog(t)
	// When the test ends: r.stop, and then what shortDir does.
	t.Cleanup(func() {
		r.stop(t)
		if t.Failed() {
			t.Logf("%s said:\n%.20000s", name, r.logText(t))
		}
	})
	return r
}

// needUnpacked returns the folder that the peer is unpacked in.
func needUnpacked(t testing.TB, name string) string {
	t.Helper()
	needRoot(t, name)
	dir := filepath.Join(moduleRoot(), "tests", ".peers", name)
	if _, err := os.Stat(dir); err != nil {
		missingPeer(t, name+" (unpacked by tests/peers.sh)")
	}
	return dir
}

func (r *rooted) path(name string) string { return filepath.Join(r.root, name) }

// own gives files to the user whom the server runs as.
func (r *rooted) own(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Chown(r.path(name), 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
}

// syslog takes what the programs say to /dev/log.
func (r *rooted) syslog(t testing.TB) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: r.path("dev/log"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	openToAll(t, r.path("dev/log"))
	go func() {
		for buf := make([]byte, 64<<10); ; {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			fmt.Fprintf(&r.log, "%s\n", strings.TrimRight(string(buf[:n]), "\n\x00"))
		}
	}()
}

// command is a program of the root's.
func (r *rooted) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command("chroot", append([]string{r.root, program}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = &r.log, &r.log
	return cmd
}

// run runs a program to its end.
func (r *rooted) run(t testing.TB, stdin, program string, args ...string) {
	t.Helper()
	cmd := r.command(program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, &r.log)
	}
}

// spawn starts a program that goes on until stop, and tells when it has ended.
func (r *rooted) spawn(t testing.TB, cmd *exec.Cmd) (done chan struct{}) {
	t.Helper()
	// A file and no pipe: children hold it after their parent has ended, and Wait
	// would wait for them.
	stderr, err := os.CreateTemp(r.path("tmp"), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stderr, stderr
	startGroup(t, cmd)
	done = make(chan struct{})
	r.running = append(r.running, done)
	go func() { cmd.Wait(); close(done) }()
	return done
}

// greets waits until the server, of IMAP or SMTP, speaks at all of its addresses.
func (r *rooted) greets(t testing.TB, addrs ...string) {
	t.Helper()
	for _, addr := range addrs {
		eventually(t, "a greeting from "+addr, func() bool {
			for _, done := range r.running {
				select {
				case <-done:
					t.Fatalf("the server ended at start:\n%s", r.logText(t))
				default:
				}
			}
			return greets(addr, "* OK") || greets(addr, "220 ")
		})
	}
}

// processes returns the processes whose root is the server's, by their ids: the
// masters and all that they have started.
func (r *rooted) processes(t testing.TB) (pids []int) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/root")
	if err != nil || len(links) == 0 {
		t.Fatalf("/proc shows no processes: %v", err)
	}
	for _, link := range links {
		if root, err := os.Readlink(link); err == nil && root == r.root {
			var pid int
			fmt.Sscanf(link, "/proc/%d/", &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

// signal sends a signal to every process, and reports to how many.
func (r *rooted) signal(t testing.TB, sig syscall.Signal) int {
	t.Helper()
	pids := r.processes(t)
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
	return len(pids)
}

// hang stops all processes where they are: connections are still accepted, by the
// kernel, and nobody answers.
func (r *rooted) hang(t testing.TB) {
	t.Helper()
	eventually(t, "all processes to hang", func() bool {
		r.signal(t, syscall.SIGSTOP)
		for _, pid := range r.processes(t) {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if _, state, _ := strings.Cut(string(stat), ") "); err == nil && !strings.HasPrefix(state, "T") {
				return false
			}
		}
		return true
	})
}

func (r *rooted) resume(t testing.TB) {
	t.Helper()
	r.signal(t, syscall.SIGCONT)
}

// stop ends all processes, as a supervisor does: SIGTERM for each, and SIGKILL for
// those that do not heed it.
func (r *rooted) stop(t testing.TB) {
	t.Helper()
	r.resume(t)
	sig, patient := syscall.SIGTERM, time.Now().Add(2*time.Second)
	eventually(t, "all processes to end", func() bool {
		if time.Now().After(patient) {
			sig = syscall.SIGKILL
		}
		return r.signal(t, sig) == 0
	})
	for _, done := range r.running {
		<-done
	}
	r.running = nil
}

// logText returns all that the server's programs have said.
func (r *rooted) logText(t testing.TB) string {
	t.Helper()
	text := r.log.String()
	files, err := filepath.Glob(r.path("tmp/stderr*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(f)
		f.Close()
		text += string(said)
	}
	return text
}

// version returns the version of a Debian package of the root's, without what
// Debian adds to it.
func (r *rooted) version(t testing.TB, debianPackage string) string {
	t.Helper()
	text, err := os.ReadFile(r.path("versions"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, version, _ := strings.Cut(strings.TrimSpace(line), " "); name == debianPackage {
			version, _, _ = strings.Cut(version, "-")
			version, _, _ = strings.Cut(version, "+")
			return version
		}
	}
	t.Fatalf("no %s in:\n%s", debianPackage, text)
	return ""
}
