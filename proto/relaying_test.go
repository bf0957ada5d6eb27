package proto

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// relayerFunc makes a function a Relayer.
type relayerFunc func(ctx context.Context, x *Exchange) (Verdict, error)

func (f relayerFunc) Relay(ctx context.Context, x *Exchange) (Verdict, error) { return f(ctx, x) }

// relayConn is a connection without a client, and its log.
func relayConn(t *testing.T) (*Conn, *logBuffer) {
	t.Helper()
	out := new(logBuffer)
	cfg := DefaultListen("dovecot")
	s, err := NewServer(&cfg, nil, nil, time.Second, slog.New(slog.NewTextHandler(out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return &Conn{server: s, next: s.next, budget: s.timeout}, out
}

func TestRelay(t *testing.T) {
	challenge := func(ctx context.Context, x *Exchange) error {
		_, err := x.Challenge(ctx, nil)
		return err
	}
	tests := []struct {
		name  string
		relay relayerFunc
		want  Verdict
		log   string // empty: no line, at info
	}{
		{"accept", func(_ context.Context, x *Exchange) (Verdict, error) {
			x.Claimed, x.Authcid, x.Trail = "alice", "alice", Trail{Source: SourceIMAP, Server: "default"}
			return Accept, nil
		}, Accept, "level=INFO msg=login frontend=dovecot authcid=alice mechanism=X verdict=accept source=imap server=default elapsed="},
		{"reject", func(_ context.Context, x *Exchange) (Verdict, error) {
			x.Claimed, x.Authcid = "alice", "alice"
			return Reject, errors.New("NO")
		}, Reject, "level=INFO msg=login frontend=dovecot authcid=alice mechanism=X verdict=reject"},
		{"tempfail", func(context.Context, *Exchange) (Verdict, error) { return TempFail, errors.New("gone") }, TempFail, "level=WARN msg=login"},
		{"panic", func(context.Context, *Exchange) (Verdict, error) { panic("x") }, TempFail, "err=panic"},
		{"no name", func(context.Context, *Exchange) (Verdict, error) { return Accept, nil }, TempFail, "name could not be read"},
		{"control character", func(_ context.Context, x *Exchange) (Verdict, error) { x.Authcid = "al\nice"; return Accept, nil }, Reject, "a control character"},
		{"stuck", func(ctx context.Context, _ *Exchange) (Verdict, error) {
			<-ctx.Done()
			return TempFail, context.Cause(ctx)
		}, TempFail, ErrDeadline.Reason},
		{"slow client", func(ctx context.Context, x *Exchange) (Verdict, error) { // the client's time does not count
			for range 3 {
				if err := challenge(ctx, x); err != nil || ctx.Err() != nil {
					return TempFail, err
				}
				time.Sleep(x.Budget - 1)
			}
			x.Claimed, x.Authcid = "alice", "alice"
			return Accept, ctx.Err()
		}, Accept, "verdict=accept"},
		{"stuck after a challenge", func(ctx context.Context, x *Exchange) (Verdict, error) {
			if err := challenge(ctx, x); err != nil {
				return TempFail, err
			}
			<-ctx.Done()
			return TempFail, context.Cause(ctx)
		}, TempFail, ErrDeadline.Reason},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, out := relayConn(t)
				x := &Exchange{Mechanism: "X", Challenge: func(context.Context, []byte) ([]byte, error) {
					time.Sleep(time.Hour)
					return nil, nil
				}}
				if got := c.Relay(t.Context(), time.Now(), tt.relay, x); got != tt.want {
					t.Errorf("got %v want %v", got, tt.want)
				}
				if !strings.Contains(out.String(), tt.log) || strings.Count(out.String(), "msg=login") != 1 {
					t.Errorf("the log lacks %s:\n%s", tt.log, out)
				}
			})
		})
	}
}

// TestRelayAborted: once the client has given up there is no verdict, whatever the IMAP
// server says to that, and nothing to log at the usual level.
func TestRelayAborted(t *testing.T) {
	for _, verdict := range []Verdict{TempFail, Accept, Reject} {
		c, out := relayConn(t)
		x := &Exchange{Mechanism: "X", Challenge: func(context.Context, []byte) ([]byte, error) { return nil, ErrAborted }}
		got := c.Relay(t.Context(), time.Now(), relayerFunc(func(ctx context.Context, x *Exchange) (Verdict, error) {
			x.Claimed, x.Authcid = "alice", "alice"
			x.Challenge(ctx, nil)
			return verdict, errors.New("the server's answer")
		}), x)
		if got != TempFail || out.String() != "" {
			t.Errorf("got %v, log %s", got, out)
		}
	}
}

// TestRelayRefused: a connection past the cap, or of a stranger, asks nobody.
func TestRelayRefused(t *testing.T) {
	for _, refusal := range []*Refusal{ErrBusy, ErrDenied} {
		c, _ := relayConn(t)
		if c.Refused() {
			t.Error("refused before it is")
		}
		c.refuse(refusal)
		got := c.Relay(t.Context(), time.Now(), relayerFunc(func(context.Context, *Exchange) (Verdict, error) {
			t.Error("the relayer was asked")
			return Accept, nil
		}), &Exchange{Mechanism: "X"})
		if got != TempFail || !c.Refused() {
			t.Errorf("got %v", got)
		}
	}
}

func TestRelayable(t *testing.T) {
	for _, name := range []string{"PLAIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2", "KERBEROS_V4", "ABCDEFGHIJKLMNOPQRST"} {
		if !Relayable(name) {
			t.Errorf("%s is not relayable", name)
		}
	}
	for _, name := range []string{"", "plain", "A B", "A\tB", "ABCDEFGHIJKLMNOPQRSTU", "SCRAM-SHA-1-PLUS", "GSSAPI", "GSS-SPNEGO", "GS2-KRB5", "EXTERNAL", "ANONYMOUS"} {
		if Relayable(name) {
			t.Errorf("%s is relayable", name)
		}
	}
}
