package readsocket

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imapauthd/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// door accepts one password, and knows nothing about others that begin with "?".
var door = proto.AuthenticatorFunc(func(_ context.Context, req *proto.Request) (proto.Verdict, error) {
	switch password := req.Password.Reveal(); {
	case password == "secret":
		return proto.Accept, nil
	case strings.HasPrefix(password, "?"):
		return proto.TempFail, errors.New("who knows")
	case password == "panic":
		panic(password)
	default:
		return proto.Reject, nil
	}
})

// listen serves the front-end and returns the socket's path.
func listen(t testing.TB, next proto.Authenticator, timeout time.Duration) string {
	t.Helper()
	cfg := proto.DefaultListen()
	cfg.Socket = filepath.Join(t.TempDir(), "s")
	log := slog.New(slog.DiscardHandler)
	server, err := proto.NewServer(&cfg, &Frontend{MaxPassword: testMaxPassword}, next, timeout, log)
	if err != nil {
		t.Fatal(err)
	}
	l, err := proto.Listen(&cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return cfg.Socket
}

// exchange sends the parts one by one, and reads the reply to its end. half: half-close
// after them, as Exim does.
func exchange(path string, half bool, parts ...string) (string, error) {
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

func TestServe(t *testing.T) {
	path := listen(t, door, time.Minute)
	big := strings.Repeat("x", 1<<20)
	tests := []struct {
		name  string
		half  bool
		parts []string
		want  string
	}{
		{"right", true, []string{"bob\tsecret\n"}, "yes"},
		{"right, no half-close", false, []string{"bob\tsecret\n"}, "yes"},
		{"right, in pieces", false, []string{"bo", "b\tsec", "ret", "\n"}, "yes"},
		{"wrong", true, []string{"bob\tx\n"}, "no"},
		{"undecided", true, []string{"bob\t?\n"}, "temporarily unavailable"},
		{"panic", true, []string{"bob\tpanic\n"}, "temporarily unavailable"},
		{"extended", true, []string{"user=Ym9i pass=c2VjcmV0\n"}, "yes"},
		{"extended, unknown key", true, []string{"user=Ym9i pass=c2VjcmV0 x=y\n"}, "temporarily unavailable"},
		{"no LF", true, []string{"bob\tsecret"}, "no"},
		{"nothing", true, nil, "no"},
		{"a second line", true, []string{"bob\tsecret\nbob\tsecret\n"}, "no"},
		{"1 MiB, no LF", true, []string{big}, "no"},
		{"1 MiB after the LF", true, []string{"bob\tsecret\n" + big}, "no"},
		{"32 KiB", true, []string{"bob\t" + big[:32<<10] + "\n"}, "no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := exchange(path, tt.half, tt.parts...)
			if got != tt.want || err != nil {
				t.Errorf("got %q, %v want %q", got, err, tt.want)
			}
		})
	}
}

// TestSilence: half a line and then nothing is answered when the budget ends.
func TestSilence(t *testing.T) {
	path := listen(t, door, 50*time.Millisecond)
	for _, part := range []string{"", "bob\tsec"} {
		if got, err := exchange(path, false, part); got != "temporarily unavailable" || err != nil {
			t.Errorf("after %q: got %q, %v", part, got, err)
		}
	}
}

// BenchmarkRequest is a whole request as Exim makes it, over a UNIX socket, with
// the verdict at hand.
func BenchmarkRequest(b *testing.B) {
	path := listen(b, door, time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		if got, err := exchange(path, true, "bob\tsecret\n"); got != "yes" {
			b.Fatal(got, err)
		}
	}
}
