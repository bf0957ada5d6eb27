package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/term"

	"imapauthd/imap"
	"imapauthd/proto"
)

// demoCmd shows everything on an embedded IMAP server.
type demoCmd struct{}

// demoAccounts are what the embedded server knows. Bob's password has a TAB,
// which only the extended request can carry.
var demoAccounts = map[string]string{
	"alice": "secret",
	"bob":   "tab\there",
}

// demoStep is one question of the tour and what must come back.
type demoStep struct {
	title   string
	request string
	reply   string
	stopped bool // with the IMAP server stopped
}

var demoTour = []demoStep{
	{"alice, right password", "alice\tsecret\n", "yes", false},
	{"the same again", "alice\tsecret\n", "yes", false},
	{"alice, wrong password", "alice\twrong\n", "no", false},
	{"the same again", "alice\twrong\n", "no", false},
	{"bob, a TAB in the password (extended)", demoExtended("bob", "tab\there"), "yes", false},
	{"alice, IMAP server stopped", "alice\tsecret\n", "yes", true},
	{"carol, IMAP server stopped", "carol\tsecret\n", "temporarily unavailable", true},
}

// demoExtended writes an extended request, as Exim's ${base64:…} would.
func demoExtended(user, pass string) string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("user=%s pass=%s rip=192.0.2.1\n", b64([]byte(user)), b64([]byte(pass)))
}

// Run takes the tour through a real UNIX socket. On a terminal it then serves
// until Ctrl-C; otherwise it ends, with an error if a reply was not the expected.
func (c *demoCmd) Run(std *streams) error {
	signal.Ignore(syscall.SIGPIPE) // or "demo | head" would leave the folder behind
	ctx, restore := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer restore()
	dir, err := os.MkdirTemp("", "imapauthd-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := newDemoIMAP(dir, demoAccounts)
	if err != nil {
		return err
	}
	defer func() { server.stop() }()

	cfg, err := demoConfig(dir, server)
	if err != nil {
		return err
	}
	log, level := newLogger(cfg.Log, std.err)
	level.Set(slog.LevelError) // the tour says it better
	var source atomic.Value    // of the last verdict, a proto.Source
	d, err := startDaemon(cfg, log, func(next proto.Authenticator) proto.Authenticator {
		return proto.AuthenticatorFunc(func(ctx context.Context, req *proto.Request) (proto.Verdict, error) {
			verdict, err := next.Authenticate(ctx, req)
			source.Store(req.Trail.Source)
			return verdict, err
		})
	})
	if err != nil {
		return err
	}
	defer d.stop()

	socket := cfg.Listen[0].Socket
	fmt.Fprintf(std.out, "An IMAP server is on %s (TLS), imapauthd on %s.\nWhat a mail server asks, and what it is told:\n\n", server.addr, socket)
	if err := takeTour(ctx, std.out, socket, server, &source); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "\nTo ask by hand, as Exim's ${readsocket} does:\n\n  printf 'alice\\tsecret\\n' | nc -NU %s; echo\n\n", socket)
	if in, ok := std.in.(*os.File); !ok || !term.IsTerminal(int(in.Fd())) {
		return nil
	}
	fmt.Fprintln(std.out, "Serving, with the log below. Ctrl-C ends it.")
	level.Set(slog.LevelDebug)
	<-ctx.Done()
	return nil
}

// demoConfig is the default configuration, with the demo's addresses.
func demoConfig(dir string, server *demoIMAP) (*config, error) {
	cfg := defaultConfig()
	cfg.Listen[0].Socket = filepath.Join(dir, "readsocket.sock")
	cfg.Listen[0].Mode = 0o600
	url, err := imap.ParseURL("imaps://" + server.addr)
	if err != nil {
		return nil, err
	}
	cfg.Server[0].URL = []imap.URL{url}
	cfg.Server[0].CAFile = server.caFile
	if err := cfg.Listen[0].Validate(protocols); err != nil { // a long TMPDIR
		return nil, fmt.Errorf("demo: %w", err)
	}
	return cfg, nil
}

// takeTour asks every question in order and prints a line for each.
func takeTour(ctx context.Context, w io.Writer, socket string, server *demoIMAP, source *atomic.Value) error {
	fmt.Fprintf(w, "  %-40s %-25s %9s  %s\n", "question", "reply", "time", "verdict from")
	stopped := false
	for _, step := range demoTour {
		if ctx.Err() != nil {
			return nil
		}
		if step.stopped && !stopped {
			server.stop()
			stopped = true
		}
		source.Store(proto.SourceFrontend)
		start := time.Now()
		reply, err := demoAsk(socket, step.request)
		if err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		took := float64(time.Since(start).Microseconds()) / 1000
		fmt.Fprintf(w, "  %-40s %-25s %6.2f ms  %s\n", step.title, reply, took, source.Load())
		if reply != step.reply {
			return fmt.Errorf("demo: %s: got %q want %q", step.title, reply, step.reply)
		}
	}
	return server.start()
}

// demoAsk sends one request and reads the reply to its end.
func demoAsk(socket, request string) (string, error) {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second)) // Exim's own patience
	if _, err := io.WriteString(c, request); err != nil {
		return "", err
	}
	c.(*net.UnixConn).CloseWrite()
	reply, err := io.ReadAll(c)
	return string(reply), err
}
