package proto

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

var discard = slog.New(slog.DiscardHandler)

func listenAt(path string) (*Listener, error) {
	c := DefaultListen("readsocket")
	c.Socket = path
	return Listen(&c, discard)
}

func mustListen(t *testing.T, path string) *Listener {
	t.Helper()
	l, err := listenAt(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestListenMakesFolderModeAndGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "s")
	c := DefaultListen("readsocket")
	c.Socket, c.Mode = path, 0o620
	if os.Getuid() == 0 {
		c.Group = "12345"
	}
	l, err := Listen(&c, discard)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fi.Mode().Perm(); got != 0o620 {
		t.Errorf("got mode %o want 620", got)
	}
	if gid := fi.Sys().(*syscall.Stat_t).Gid; os.Getuid() == 0 && gid != 12345 {
		t.Errorf("got group %d want 12345", gid)
	}
	l.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

// TestBoundWithoutMode: between bind and chmod nobody may connect.
func TestBoundWithoutMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := bindPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fi.Mode().Perm(); got != 0 {
		t.Errorf("got mode %o want 0", got)
	}
}

func TestLeftoverIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	mustListen(t, path)
	if c, err := net.Dial("unix", path); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}

func TestLiveSocketIsNotRobbed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	mustListen(t, path)
	if _, err := listenAt(path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v want EADDRINUSE", err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the first listener is gone: %v", err)
	}
	c.Close()
}

// TestFullBacklogIsAlive: a daemon too busy to accept refuses connections with
// EAGAIN, and must not be robbed for it.
func TestFullBacklogIsAlive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := net.Dial("unix", path)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if _, err := listenAt(path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v want EADDRINUSE", err)
	}
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt(path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v want EADDRINUSE", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("the file was harmed")
	}
	if _, err := listenAt(filepath.Dir(path)); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a folder: got %v want EISDIR", err)
	}
}

// TestRaceForOneSocket: of many daemons that find the same leftover, one wins.
func TestRaceForOneSocket(t *testing.T) {
	for range 30 {
		path := filepath.Join(t.TempDir(), "s")
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		dead.SetUnlinkOnClose(false)
		dead.Close()
		var wg sync.WaitGroup
		won := make(chan *Listener, 8)
		for range 8 {
			wg.Go(func() {
				if l, err := listenAt(path); err == nil {
					won <- l
				}
			})
		}
		wg.Wait()
		close(won)
		n := 0
		for l := range won {
			n++
			l.Close()
		}
		if n != 1 {
			t.Fatalf("%d daemons believe that they have the socket", n)
		}
	}
}

// TestCloseLeavesASuccessor: a file that another has put in our place stays.
func TestCloseLeavesASuccessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first := mustListen(t, path)
	os.Remove(path)
	mustListen(t, path)
	first.Close()
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the successor's socket is gone: %v", err)
	} else {
		c.Close()
	}
}
