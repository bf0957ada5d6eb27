//go:build linux

package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// coldClients are how many log in at a time; each has an account and an address of its
// own. Passwords are kept in plain by Dovecot, so that hashing them is in no figure.
var coldClients = []int{1, 8, 32}

func coldUser(client int) (user, password string) {
	return fmt.Sprintf("cold%02d", client), fmt.Sprintf("correct-horse-%02d", client)
}

func coldAddress(client int) string { return fmt.Sprint("198.51.100.", client+1) }

// coldPlace is where the peers find the IMAP server: in clear or under TLS, near or
// far.
type coldPlace struct {
	port    int
	tls     bool
	ca      *authority
	clients int // at most
}

// coldPeer asks an IMAP server whether a password is right.
type coldPeer struct {
	name  string
	login func(client int) (time.Duration, error)
	cpu   func(*testing.T) time.Duration // of all its processes so far
	log   string                         // imapauthd's file; else empty
}

// coldStarts are the peers, in the order of the table. clear and tls say what each can.
var coldStarts = []struct {
	name       string
	clear, tls bool
	start      func(*testing.T, *coldPeer, coldPlace)
}{
	{"saslauthd -a rimap", true, false, startColdSaslauthd},
	{"Perl recipe", true, true, startColdPerl},
	{"Python recipe", false, true, startColdPython},
	{ours, true, true, startColdWarm},
	{ours + ", 16 connections", true, true, startColdDefault},
}

// startColdSaslauthd runs the original as Debian does, with five processes, but for the
// cache (-c).
func startColdSaslauthd(t *testing.T, p *coldPeer, at coldPlace) {
	s := startSaslauthd(t, shortDir(t), at.port)
	p.cpu = func(t *testing.T) time.Duration { return groupCPU(t, s.pid) }
	p.login = timed(func(client int) error {
		user, password := coldUser(client)
		return expectExchange(s.socket, counted(user, password, "smtp", ""), counted("OK remote authentication successful"), false)
	})
}

// startColdWarm runs imapauthd with as many warm connections as there are clients.
func startColdWarm(t *testing.T, p *coldPeer, at coldPlace) {
	startColdDaemon(t, p, at, "connections = 128\nwarm = 32\n")
}

// startColdDefault runs it with the defaults of its file.
func startColdDefault(t *testing.T, p *coldPeer, at coldPlace) {
	startColdDaemon(t, p, at, "")
}

// startColdDaemon runs imapauthd without a cache. Its log says which logins found a warm
// connection, and goes to a file; so it works a little more than it would otherwise.
func startColdDaemon(t *testing.T, p *coldPeer, at coldPlace, more string) {
	scheme := "imap"
	if at.tls {
		scheme = "imaps"
	}
	dir := shortDir(t)
	socket, file := filepath.Join(dir, "s"), filepath.Join(dir, "imapauthd.toml")
	writeFile(t, file, fmt.Sprintf("[[listen]]\nsocket = %q\n[[server]]\nurl = [\"%s://%s\"]\nca_file = %q\n%s[cache]\npositive_ttl = \"0s\"\nnegative_ttl = \"0s\"\n[log]\nlevel = \"debug\"\n",
		socket, scheme, loopback(at.port), at.ca.caFile, more))
	p.log = filepath.Join(dir, "log")
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(benchBinary(t), "serve", "--config", file)
	cmd.Stdout, cmd.Stderr = log, log
	startGroup(t, cmd)
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() { endDaemon(t, cmd, done, p.log) })
	eventually(t, "imapauthd to listen", func() bool {
		said, err := os.ReadFile(p.log)
		return err == nil && readyLine.Match(said)
	})
	p.cpu = func(t *testing.T) time.Duration { return groupCPU(t, cmd.Process.Pid) }
	p.login = timed(func(client int) error {
		user, password := coldUser(client)
		return expectExchange(socket, fmt.Sprintf("user=%s pass=%s rip=%s\n", encode(user), encode(password), coldAddress(client)), yes, true)
	})
}

// expectExchange asks a socket, whose reply is known.
func expectExchange(socket, request, want string, halfClose bool) error {
	got, err := exchange(socket, request, halfClose)
	if err == nil && got != want {
		err = fmt.Errorf("got %q, want %q", got, want)
	}
	return err
}

// endDaemon ends a daemon that logs to a file.
func endDaemon(t *testing.T, cmd *exec.Cmd, done <-chan struct{}, log string) {
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-done:
	case <-time.After(patience):
		cmd.Process.Kill()
		t.Errorf("imapauthd still ran %v after SIGTERM", patience)
	}
	if t.Failed() {
		said, _ := os.ReadFile(log)
		t.Logf("imapauthd said at last:\n%s", said[max(0, len(said)-5000):])
	}
}
