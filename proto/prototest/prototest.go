// Package prototest serves a front-end on a socket, for the front-ends' tests.
package prototest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"imapauthd/proto"
)

// Door accepts the password "secret", knows nothing about "unknown", takes all the time
// there is for "stalling", panics at "panic", and rejects others. It tells them by their
// length, for nobody but the cache and the IMAP login looks at a password.
var Door = proto.AuthenticatorFunc(func(ctx context.Context, req *proto.Request) (proto.Verdict, error) {
	switch req.Password.Len() {
	case len("secret"):
		return proto.Accept, nil
	case len("unknown"):
		return proto.TempFail, errors.New("who knows")
	case len("stalling"):
		<-ctx.Done()
		return proto.TempFail, context.Cause(ctx)
	case len("panic"):
		panic("panic")
	default:
		return proto.Reject, nil
	}
})

// Listen serves the front-end until the test ends, and returns the socket's path.
func Listen(t testing.TB, frontend proto.Frontend, timeout time.Duration) string {
	t.Helper()
	path, _ := Serve(t, frontend, timeout, 0, nil)
	return path
}

// Serve is Listen for a front-end that keeps its connections: it may have
// maxConnections of them (0: the default), and stop ends it before the test does.
func Serve(t testing.TB, frontend proto.Frontend, timeout time.Duration, maxConnections int, log *slog.Logger) (path string, stop func()) {
	t.Helper()
	cfg := proto.DefaultListen("readsocket") // of which only the limits matter here
	cfg.Socket = filepath.Join(t.TempDir(), "s")
	if maxConnections > 0 {
		cfg.MaxConnections = maxConnections
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	server, err := proto.NewServer(&cfg, frontend, Door, timeout, log)
	if err != nil {
		t.Fatal(err)
	}
	l, err := proto.Listen(&cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	stop = sync.OnceFunc(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return cfg.Socket, stop
}

// Exchange sends the parts one by one, and reads the reply to its end. half: half-close
// after them, as Exim does.
func Exchange(path string, half bool, parts ...string) (string, error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	for _, p := range parts {
		if _, err := io.WriteString(c, p); err != nil {
			return "", err
		}
	}
	if half {
		c.(*net.UnixConn).CloseWrite()
	}
	reply, err := io.ReadAll(c)
	return string(reply), err
}
