package proto

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
)

// Listener is a listening UNIX socket, and the file that Close removes.
type Listener struct {
	*socket
	path   string // empty for a passed socket, whose file is systemd's
	file   os.FileInfo
	passed bool
}

// passed holds the sockets that systemd handed over, by name. They can be taken
// once: the environment that names them is cleared.
var passed = sync.OnceValues(activation.ListenersWithNames)

// Listen opens the socket that cfg names. A file left over by a dead daemon is
// replaced; one that somebody listens on is an error wrapping syscall.EADDRINUSE.
// The folder is made if it can be. Mode and group are in force before anyone
// can connect.
func Listen(cfg *ListenConfig, log *slog.Logger) (*Listener, error) {
	if name, ok := strings.CutPrefix(cfg.Socket, systemdPrefix); ok {
		return takePassed(name)
	}
	if err := os.MkdirAll(filepath.Dir(cfg.Socket), 0o755); err != nil {
		return nil, fmt.Errorf("proto: make the socket's folder: %w", err)
	}
	unlock, err := lockFolder(filepath.Dir(cfg.Socket))
	if err != nil {
		return nil, fmt.Errorf("proto: listen on %s: %w", cfg.Socket, err)
	}
	defer unlock()
	if err := clearLeftover(cfg.Socket); err != nil {
		return nil, fmt.Errorf("proto: listen on %s: %w", cfg.Socket, err)
	}
	l, err := bindPrivate(cfg.Socket)
	if err != nil {
		return nil, fmt.Errorf("proto: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err := open(cfg); err != nil {
		l.Close()
		os.Remove(cfg.Socket)
		return nil, fmt.Errorf("proto: listen on %s: %w", cfg.Socket, err)
	}
	file, err := os.Lstat(cfg.Socket)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("proto: listen on %s: %w", cfg.Socket, err)
	}
	if cfg.Group == "" && cfg.Mode&0o002 == 0 {
		log.Warn("only this daemon's own user and group may connect: set group to the mail server's, e.g. \"Debian-exim\" (\"sasl\" for saslauthd's clients)",
			"socket", cfg.Socket, "mode", fmt.Sprintf("%04o", uint32(cfg.Mode)))
	}
	s, err := newSocket(l, false)
	if err != nil {
		os.Remove(cfg.Socket)
		return nil, fmt.Errorf("proto: listen on %s: %w", cfg.Socket, err)
	}
	return &Listener{socket: s, path: cfg.Socket, file: file}, nil
}

// takePassed returns the socket that systemd passed under name.
func takePassed(name string) (*Listener, error) {
	all, err := passed()
	if err != nil {
		return nil, fmt.Errorf("proto: passed sockets: %w", err)
	}
	if len(all[name]) != 1 {
		return nil, fmt.Errorf("proto: systemd passed %d sockets named %q, need one (FileDescriptorName= in the socket unit)", len(all[name]), name)
	}
	l, ok := all[name][0].(*net.UnixListener)
	if !ok {
		return nil, fmt.Errorf("proto: the passed socket %q is no UNIX stream socket", name)
	}
	l.SetUnlinkOnClose(false)
	s, err := newSocket(l, true)
	if err != nil {
		return nil, fmt.Errorf("proto: the passed socket %q: %w", name, err)
	}
	return &Listener{socket: s, passed: true}, nil
}

// lockFolder keeps two daemons from looking at one leftover file at once, each
// finding it dead, and the second robbing the first. The lock ends with unlock
// or with the process.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	// Anyone who may read the folder may hold the lock: do not wait for ever.
	for range 40 {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return func() { f.Close() }, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	f.Close()
	return nil, fmt.Errorf("the folder's lock is held by another process: %w", err)
}

// clearLeftover removes the socket file of a daemon that is gone. Only a refused
// connection proves that: a full backlog (EAGAIN) is a live daemon's.
func clearLeftover(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.IsDir() {
		return fmt.Errorf("it is a folder: write the path of a socket in it: %w", syscall.EISDIR)
	}
	if fi.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("the file is there and is no socket: remove it or choose another path: %w", syscall.EADDRINUSE)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("another process listens there: %w", syscall.EADDRINUSE)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, os.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("cannot tell whether another process listens there (%w): %w", err, syscall.EADDRINUSE)
	}
}

// open gives the socket its group, then its mode, which lets clients in.
func open(cfg *ListenConfig) error {
	if cfg.Group != "" {
		gid, err := lookupGroup(cfg.Group)
		if err != nil {
			return err
		}
		if err := os.Lchown(cfg.Socket, -1, gid); errors.Is(err, syscall.EPERM) {
			return fmt.Errorf("%w: this daemon's user is not in the group %s (systemd: SupplementaryGroups=)", err, cfg.Group)
		} else if err != nil {
			return err
		}
	}
	return os.Chmod(cfg.Socket, os.FileMode(cfg.Mode))
}

// Close stops listening and removes the file, unless another has taken its place.
func (l *Listener) Close() error {
	l.unlink()
	return l.socket.Close()
}

// unlink hides the socket from new clients; those already queued stay.
func (l *Listener) unlink() {
	if l.path == "" {
		return
	}
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
		os.Remove(l.path)
	}
	l.path = ""
}
