package imap

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imapauthd/proto"
)

// cramFarm is a farm that offers CRAM-MD5, takes stepTime for a step, and lets in
// whoever answers.
func cramFarm(stepTime time.Duration) *farm {
	return &farm{
		loginTime: stepTime,
		greeting:  "* OK [CAPABILITY IMAP4rev1 AUTH=CRAM-MD5 AUTH=PLAIN] ready",
		answer: func(c net.Conn, line func() string) bool {
			io.WriteString(c, "+ PDE4OTY+\r\n")
			if line() == "*" {
				io.WriteString(c, "T1 BAD aborted\r\n")
				return true
			}
			time.Sleep(stepTime)
			io.WriteString(c, "T1 OK in\r\n")
			return true
		},
	}
}

const cramAnswer = "tim b913a602c7eda7a495b4e6e7334d3890"

// answers is a client that thinks for a while and gives its answer.
func answers(think time.Duration, text string) func(context.Context, []byte) ([]byte, error) {
	return func(ctx context.Context, _ []byte) ([]byte, error) {
		select {
		case <-time.After(think):
			return []byte(text), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// relay runs an exchange and tells how it ended.
func relay(r *Router, x *proto.Exchange) (v proto.Verdict, text string, took time.Duration) {
	start := time.Now()
	v, err := r.Relay(context.Background(), x)
	return v, fmt.Sprint(err), time.Since(start)
}

// TestThinkingTime: the client's time is none of the server's budget, which is one for
// each of its steps.
func TestThinkingTime(t *testing.T) {
	for _, tt := range []struct {
		step, dial time.Duration
		want       proto.Verdict
		took       time.Duration
	}{
		{8 * time.Second, 0, proto.Accept, 76 * time.Second},
		{8 * time.Second, 999 * time.Millisecond, proto.Accept, 76*time.Second + 999*time.Millisecond},
		{10 * time.Second, 0, proto.TempFail, 9 * time.Second},
		{6 * time.Second, 4 * time.Second, proto.TempFail, 9 * time.Second}, // a connection is part of the first
	} {
		f := cramFarm(tt.step)
		f.dialTime = tt.dial
		withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
			x := &proto.Exchange{Mechanism: "CRAM-MD5", Budget: 9 * time.Second, Challenge: answers(time.Minute, cramAnswer)}
			if v, text, took := relay(r, x); v != tt.want || took != tt.took {
				t.Errorf("%v, %v: got %v after %v: %s", tt.step, tt.dial, v, took, text)
			}
		}, f)
	}
}

// TestRelayDeadWarmConnection: one that hangs up before it asked for anything costs a
// dial, one that hangs up later the exchange.
func TestRelayDeadWarmConnection(t *testing.T) {
	for _, tt := range []struct {
		say   string
		want  proto.Verdict
		asked int
	}{
		{"", proto.Accept, 1},
		{"* BYE idle for too long\r\n", proto.Accept, 1},
		{"+ PDE4OTY+\r\n", proto.TempFail, 1},
		{"+ PDE4OTY+\r\n* BYE idle for too long\r\n", proto.TempFail, 1},
		{"T1 NO [UNAVAILABLE]\r\n", proto.TempFail, 0},
	} {
		f := cramFarm(0)
		withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
			if got := r.Mechanisms(t.Context()); len(got) != 1 || f.idle(p) != 1 {
				t.Fatalf("got %q and %d warm", got, f.idle(p))
			}
			whole, first := f.answer, true
			f.answer = func(c net.Conn, line func() string) bool {
				if first {
					first = false
					io.WriteString(c, tt.say)
					return false
				}
				return whole(c, line)
			}
			asked := 0
			x := &proto.Exchange{Mechanism: "CRAM-MD5", Challenge: func(ctx context.Context, c []byte) ([]byte, error) {
				asked++
				return answers(time.Second, cramAnswer)(ctx, c)
			}}
			if v, text, _ := relay(r, x); v != tt.want || asked != tt.asked {
				t.Errorf("%q: got %v, asked %d times: %s", tt.say, v, asked, text)
			}
		}, f)
	}
}

// TestRelayCrossTalk: of many exchanges at once each has its own challenge and its own
// verdict.
func TestRelayCrossTalk(t *testing.T) {
	f := cramFarm(0)
	var served atomic.Int64
	f.answer = func(c net.Conn, line func() string) bool {
		challenge := fmt.Sprintf("<%d@farm>", served.Add(1))
		fmt.Fprintf(c, "+ %s\r\n", base64.StdEncoding.EncodeToString([]byte(challenge)))
		answer, _ := base64.StdEncoding.DecodeString(line())
		said := "NO [AUTHENTICATIONFAILED]"
		if strings.HasPrefix(string(answer), "right"+challenge) {
			said = "OK"
		}
		fmt.Fprintf(c, "T1 %s\r\n", said)
		return true
	}
	withFarm(t, func(c *Config) { c.Connections = 100 }, func(t *testing.T, r *Router, p *pool) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for j := range 20 {
					who, want := "right", proto.Accept
					if (i+j)%3 == 0 {
						who, want = "wrong", proto.Reject
					}
					name := ""
					x := &proto.Exchange{Mechanism: "CRAM-MD5", Challenge: func(_ context.Context, challenge []byte) ([]byte, error) {
						time.Sleep(time.Duration(i*j) * time.Millisecond)
						name = who + string(challenge)
						return []byte(name + cramAnswer[3:]), nil
					}}
					v, text, _ := relay(r, x)
					if v != want || v == proto.Accept && x.Authcid != name {
						t.Errorf("%s: got %v for %q: %s", name, v, x.Authcid, text)
					}
				}
			})
		}
		wg.Wait()
		if served.Load() != 1000 {
			t.Errorf("%d exchanges", served.Load())
		}
	}, f)
}

// TestRelayFailover: only a URL that cannot be reached makes the next one's turn.
func TestRelayFailover(t *testing.T) {
	down, hangsUp, fine := &farm{down: true}, cramFarm(0), cramFarm(0)
	hangsUp.answer = func(net.Conn, func() string) bool { return false }
	x := func() *proto.Exchange {
		return &proto.Exchange{Mechanism: "CRAM-MD5", Challenge: answers(0, cramAnswer)}
	}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		if v, text, _ := relay(r, x()); v != proto.Accept {
			t.Errorf("the first is down: got %v: %s", v, text)
		}
	}, down, fine)
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		if got := r.Mechanisms(t.Context()); strings.Join(got, " ") != "CRAM-MD5" {
			t.Errorf("got %q", got)
		}
	}, down, fine)
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		if v, text, _ := relay(r, x()); v != proto.TempFail || !strings.Contains(text, "hung up") {
			t.Errorf("the first hangs up: got %v: %s", v, text)
		}
	}, hangsUp, cramFarm(0))
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		if v, text, _ := relay(r, x()); v != proto.TempFail || !strings.Contains(text, "refused") {
			t.Errorf("both are down: got %v: %s", v, text)
		}
	}, &farm{down: true}, &farm{down: true})
}

// TestSilentServer: it does not answer to what nobody waits for any more, or when it is
// asked whether it means its OK.
func TestSilentServer(t *testing.T) {
	for _, tt := range []struct {
		client func(context.Context, []byte) ([]byte, error)
		want   time.Duration
	}{
		{func(context.Context, []byte) ([]byte, error) { return nil, proto.ErrAborted }, cancelTime},
		{answers(0, cramAnswer), 9 * time.Second},
	} {
		f := cramFarm(0)
		f.answer = func(c net.Conn, line func() string) bool {
			io.WriteString(c, "+ PDE4OTY+\r\n")
			if line() != "*" {
				io.WriteString(c, "T1 OK LOGIN Ok.\r\n") // Courier's
			}
			for line() != "" {
			}
			return false
		}
		withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
			x := &proto.Exchange{Mechanism: "CRAM-MD5", Budget: 9 * time.Second, Challenge: tt.client}
			if v, text, took := relay(r, x); v != proto.TempFail || took != tt.want {
				t.Errorf("got %v after %v: %s", v, took, text)
			}
		}, f)
	}
}

// TestLongMessages are not passed on.
func TestLongMessages(t *testing.T) {
	long := strings.Repeat("x", maxMessage+1)
	f := cramFarm(0)
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		v, err := r.Relay(t.Context(), &proto.Exchange{Mechanism: "XOAUTH2", Initial: []byte(long)})
		if v != proto.Reject || err != errLongMessage || f.dials != 0 {
			t.Errorf("got %v, %v, %d dials", v, err, f.dials)
		}
		if v, text, _ := relay(r, &proto.Exchange{Mechanism: "CRAM-MD5", Challenge: answers(0, long)}); v != proto.Reject || text != errLongMessage.Reason {
			t.Errorf("got %v: %s", v, text)
		}
		fits := strings.Repeat("x", maxMessage-33) + cramAnswer[3:]
		if v, text, _ := relay(r, &proto.Exchange{Mechanism: "CRAM-MD5", Challenge: answers(0, fits)}); v != proto.Accept {
			t.Errorf("got %v: %s", v, text)
		}
	}, f)
}

// TestRelayLeft: a client that is gone, and a deadline, free the connection.
func TestRelayLeft(t *testing.T) {
	f := cramFarm(0)
	withFarm(t, func(c *Config) { c.Connections = 2 }, func(t *testing.T, r *Router, p *pool) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, proto.ErrDeadline)
		defer cancel()
		v, err := r.Relay(ctx, &proto.Exchange{Mechanism: "CRAM-MD5", Challenge: answers(time.Minute, cramAnswer)})
		if v != proto.TempFail || !errors.Is(err, proto.ErrDeadline) {
			t.Errorf("got %v, %v", v, err)
		}
		abort := func(context.Context, []byte) ([]byte, error) { return nil, proto.ErrAborted }
		v, err = r.Relay(t.Context(), &proto.Exchange{Mechanism: "CRAM-MD5", Challenge: abort})
		if v != proto.TempFail || !errors.Is(err, proto.ErrAborted) {
			t.Errorf("got %v, %v", v, err)
		}
		logIn(t, r)
	}, f)
}
