package tests

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// crowdSize is how many clients say nothing.
const crowdSize = 10_000

// eximPatience is the timeout of the snippets' conditions.
const eximPatience = 10 * time.Second

// plainBinary is the daemon without the race detector, which knows 8128 goroutines at most.
var plainBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binDir, "imapauthd-plain")
	cmd := exec.Command("go", "build", "-tags", tags, "-o", path, ".")
	cmd.Dir = moduleRoot()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// serveCrowd starts a daemon for so many connections.
func serveCrowd(t *testing.T, text string) *daemon {
	t.Helper()
	path, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	socket, file := configFile(t, text)
	return startCommand(t, socket, exec.Command(path, "serve", "--config", file))
}

// connectSilent connects n clients that say nothing. They are bare descriptors: that many
// goroutines to read from them are more than the race detector knows.
func connectSilent(t *testing.T, socket string, n int) (clients []int) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < crowdSize+1000 {
		missingPeer(t, fmt.Sprintf("a limit of %d descriptors (ulimit -Hn)", crowdSize+1000))
	}
	t.Cleanup(func() {
		for _, fd := range clients {
			unix.Close(fd)
		}
	})
	for range n {
		fd, err := dialBare(socket)
		if err != nil {
			t.Fatalf("client %d: %v", len(clients), err)
		}
		clients = append(clients, fd)
	}
	return clients
}

// dialBare is dialSocket without Go's poller. Like Exim it waits where the queue is full.
func dialBare(socket string) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fd, err
	}
	most := unix.NsecToTimeval(patience.Nanoseconds())
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &most) // of connect too
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &most)
	if err = unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		unix.Close(fd)
	}
	return fd, err
}

// readBare returns what comes up to the end of the connection.
func readBare(fd int) (string, error) {
	var reply []byte
	buf := make([]byte, 64)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return string(reply), err
		}
		reply = append(reply, buf[:n]...)
	}
}

// 10,000 clients that say nothing, one such crowd after the other: there are not the
// descriptors for two.
func TestFaultCrowd(t *testing.T) {
	t.Parallel()
	t.Run("past the cap", crowdPastCap)
	t.Run("admitted", crowdAdmitted)
}

// Past the cap everybody is told so, properly, though nobody says anything; who asks
// meanwhile has a reply before Exim's patience ends.
func crowdPastCap(t *testing.T) {
	imap := startIMAP(t, verdicts(users(accounts)))
	d := serveCrowd(t, "timeout = \"3s\"\n"+serverTOML(imap.url()))
	alice := plainRequest("alice", accounts["alice"])
	if got := ask(t, d.socket, alice); got != yes {
		t.Fatalf("before: got %q", got)
	}
	files, memory := d.files(t), d.peakMemory(t)
	stop, longest := make(chan struct{}), time.Duration(0)
	var others sync.WaitGroup
	others.Go(func() {
		pace := time.NewTicker(10 * time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-stop:
				return
			case <-pace.C:
			}
			start := time.Now()
			fd, err := dialBare(d.socket)
			if err != nil {
				t.Errorf("meanwhile: %v", err)
				return
			}
			unix.Write(fd, []byte(alice))
			reply, err := readBare(fd)
			unix.Close(fd)
			if reply != yes && reply != temp || err != nil {
				t.Errorf("meanwhile: got %q, %v", reply, err)
			}
			longest = max(longest, time.Since(start))
		}
	})
	start := time.Now()
	clients := connectSilent(t, d.socket, crowdSize)
	t.Logf("connected after %v", time.Since(start))
	for i, fd := range clients {
		if reply, err := readBare(fd); reply != temp || err != nil {
			t.Fatalf("client %d: got %q, %v, want %q", i, reply, err, temp)
		}
	}
	t.Logf("all told after %v", time.Since(start))
	close(stop)
	others.Wait()
	grown := d.peakMemory(t) - memory
	t.Logf("the longest of the others: %v; memory: %d KiB more", longest, grown>>10)
	if grown > 128<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	if longest > eximPatience {
		t.Errorf("one waited %v for that", longest)
	}
	eventually(t, "a free place to be used", func() bool { return ask(t, d.socket, alice) == yes })
	eventually(t, "the daemon's files to be closed", func() bool { return d.files(t) <= files })
}

// Where there is room for all of them, they cost memory and nothing else.
func crowdAdmitted(t *testing.T) {
	imap := startIMAP(t, verdicts(users(accounts)))
	d := serveCrowd(t, "timeout = \"30s\"\n"+strings.Replace(serverTOML(imap.url(), "warm = 0"), "mode =", "max_connections = 12000\nmode =", 1))
	files, memory := d.files(t), d.peakMemory(t)
	start := time.Now()
	clients := connectSilent(t, d.socket, crowdSize)
	eventually(t, "the daemon to take them", func() bool { return d.files(t) >= files+crowdSize })
	t.Logf("connected after %v", time.Since(start))
	for user, password := range accounts {
		for want, password := range map[string]string{yes: password, no: "a wrong password"} {
			for range 2 { // by the server, and from memory
				start := time.Now()
				if got := ask(t, d.socket, plainRequest(user, password)); got != want {
					t.Errorf("%s: got %q, want %q", user, got, want)
				}
				within(t, start, quick)
			}
		}
	}
	each := (d.peakMemory(t) - memory) / crowdSize
	t.Logf("%d bytes each", each)
	if each > 64<<10 {
		t.Errorf("a silent client costs %d bytes", each)
	}
	for _, fd := range clients {
		unix.Shutdown(fd, unix.SHUT_RDWR)
	}
	eventually(t, "the daemon's files to be closed", func() bool { return d.files(t) <= files })
}
