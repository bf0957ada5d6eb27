package readsocket

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"imapauthd/proto"
	"imapauthd/proto/prototest"
)

// relayerFunc makes a function a Relayer.
type relayerFunc func(ctx context.Context, x *proto.Exchange) (proto.Verdict, error)

func (f relayerFunc) Relay(ctx context.Context, x *proto.Exchange) (proto.Verdict, error) {
	return f(ctx, x)
}

// setting is a Relayer that sets these challenges; the last response decides.
func setting(challenges ...string) relayerFunc {
	return func(ctx context.Context, x *proto.Exchange) (proto.Verdict, error) {
		last := []byte("right")
		for _, challenge := range challenges {
			var err error
			if last, err = x.Challenge(ctx, []byte(challenge)); err != nil {
				return proto.TempFail, err
			}
		}
		x.Claimed, x.Authcid = "bob", "bob"
		switch string(last) {
		case "right":
			return proto.Accept, nil
		case "lost":
			return proto.TempFail, errors.New("the server is gone")
		case "panic":
			panic("panic")
		case "stall":
			<-ctx.Done()
			return proto.TempFail, context.Cause(ctx)
		}
		return proto.Reject, nil
	}
}

// logBuffer collects the log. Concurrent use is safe.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// exchanges is a front-end that serves them.
type exchanges struct {
	*Frontend
	path string
	log  *logBuffer
	stop func()
}

func serveExchanges(t *testing.T, relayer proto.Relayer, timeout time.Duration) *exchanges {
	t.Helper()
	e := &exchanges{Frontend: &Frontend{MaxPassword: testMaxPassword, Relayer: relayer}, log: new(logBuffer)}
	log := slog.New(slog.NewTextHandler(e.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e.path, e.stop = prototest.Serve(t, e.Frontend, timeout, 0, log)
	return e
}

func (e *exchanges) ask(t *testing.T, line string) string {
	t.Helper()
	got, err := prototest.Exchange(e.path, true, line+"\n")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

const (
	beginLine = "mech=CRAM-MD5 rip=192.0.2.7 session=s1"
	later     = "temporarily unavailable"
)

var begunReply = regexp.MustCompile(`^exchange=([0-9a-f]{32}) challenge=([A-Za-z0-9+/=]+)$`)

// begun begins an exchange and returns its id.
func (e *exchanges) begun(t *testing.T, challenge string) string {
	t.Helper()
	got := e.ask(t, beginLine)
	m := begunReply.FindStringSubmatch(got)
	if m == nil || m[2] != b64(challenge) {
		t.Fatalf("got %q\n%s", got, e.log)
	}
	return m[1]
}

func TestExchange(t *testing.T) {
	e := serveExchanges(t, setting("<1@test> x"), time.Minute)
	tests := []struct{ resp, want, log string }{
		{b64("right"), "yes", "level=INFO msg=login frontend=readsocket authcid=bob mechanism=CRAM-MD5 rip=192.0.2.7 session=s1 verdict=accept"},
		{b64("wrong"), "no", "authcid=bob mechanism=CRAM-MD5 rip=192.0.2.7 session=s1 verdict=reject"},
		{"", "no", "verdict=reject"},
		{b64("lost"), later, "verdict=tempfail"},
		{b64("panic"), later, "err=panic"},
		{"no-base64", "no", "resp is not base64"},
	}
	ids := make(map[string]bool)
	for _, tt := range tests {
		before := len(e.log.String())
		id := e.begun(t, "<1@test> x")
		if ids[id] {
			t.Errorf("the id %s comes twice", id)
		}
		ids[id] = true
		if got := e.ask(t, "exchange="+id+" resp="+tt.resp); got != tt.want {
			t.Errorf("%q: got %q want %q", tt.resp, got, tt.want)
		}
		if said := e.log.String()[before:]; !strings.Contains(said, tt.log) || strings.Contains(said, id) {
			t.Errorf("%q: the log lacks %s, or has the id:\n%s", tt.resp, tt.log, said)
		}
		// Whatever the first answer was, there is no second one.
		if got := e.ask(t, "exchange="+id+" resp="+b64("right")); got != later {
			t.Errorf("%q, and once more: got %q", tt.resp, got)
		}
	}
	if !strings.Contains(e.log.String(), "level=WARN msg=\"request refused\" frontend=readsocket verdict=tempfail source=frontend err=\"no such exchange") {
		t.Errorf("nothing is said of the second answers:\n%s", e.log)
	}
}

// TestOwnVerdict: of many exchanges at once each has its own.
func TestOwnVerdict(t *testing.T) {
	e := serveExchanges(t, setting("<1@test>"), time.Minute)
	verdicts := map[string]string{"right": "yes", "wrong": "no", "lost": later}
	var wg sync.WaitGroup
	for range 20 {
		for said, want := range verdicts {
			id := e.begun(t, "<1@test>")
			wg.Go(func() {
				got, err := prototest.Exchange(e.path, true, "exchange="+id+" resp="+b64(said)+"\n")
				if got != want || err != nil {
					t.Errorf("%s: got %q, %v", said, got, err)
				}
			})
		}
	}
	wg.Wait()
}

// TestNoExchange is what is answered when there is none, at the begin or later.
func TestNoExchange(t *testing.T) {
	tests := []struct {
		name    string
		relayer proto.Relayer
		log     string
	}{
		{"no relayer", nil, "nothing but passwords"},
		{"accepted without a challenge", setting(), "decided without a challenge"},
		{"rejected without a challenge", relayerFunc(func(context.Context, *proto.Exchange) (proto.Verdict, error) {
			return proto.Reject, errors.New("NO")
		}), "decided without a challenge: NO"},
		{"gone", relayerFunc(func(context.Context, *proto.Exchange) (proto.Verdict, error) {
			return proto.TempFail, errors.New("refused by peer")
		}), "refused by peer"},
		{"stuck", relayerFunc(func(ctx context.Context, _ *proto.Exchange) (proto.Verdict, error) {
			<-ctx.Done()
			return proto.TempFail, context.Cause(ctx)
		}), proto.ErrDeadline.Reason},
		{"empty", setting(""), errOddChallenge.Error()},
		{"a space at the end", setting("<1@test> "), errOddChallenge.Error()},
		{"a line end", setting("<1@\ntest>"), errOddChallenge.Error()},
		{"not ASCII", setting("<1@tëst>"), errOddChallenge.Error()},
		{"long", setting(strings.Repeat("x", maxChallenge+1)), errOddChallenge.Error()},
	}
	for _, tt := range tests {
		e := serveExchanges(t, tt.relayer, 200*time.Millisecond)
		if got := e.ask(t, beginLine); got != later {
			t.Errorf("%s: got %q", tt.name, got)
		}
		if got := e.ask(t, "exchange=00000000000000000000000000000000 resp="+b64("right")); got != later {
			t.Errorf("%s: got %q for an answer", tt.name, got)
		}
		e.stop()
		if !strings.Contains(e.log.String(), tt.log) || len(e.waiting) != 0 {
			t.Errorf("%s: %d wait; the log lacks %s:\n%s", tt.name, len(e.waiting), tt.log, e.log)
		}
	}
}

// TestSecondChallenge: no verdict after one stands, whatever the relayer makes of it.
func TestSecondChallenge(t *testing.T) {
	stubborn := relayerFunc(func(ctx context.Context, x *proto.Exchange) (proto.Verdict, error) {
		x.Challenge(ctx, []byte("<1@test>"))
		x.Challenge(ctx, []byte("<2@test>"))
		x.Claimed, x.Authcid = "bob", "bob"
		return proto.Accept, nil
	})
	for _, relayer := range []proto.Relayer{setting("<1@test>", "<2@test>"), stubborn} {
		e := serveExchanges(t, relayer, time.Minute)
		id := e.begun(t, "<1@test>")
		if got := e.ask(t, "exchange="+id+" resp="+b64("right")); got != later || !strings.Contains(e.log.String(), "verdict=tempfail") ||
			!strings.Contains(e.log.String(), errChallenges.Error()) {
			t.Errorf("got %q\n%s", got, e.log)
		}
	}
}

// TestAnswerDeadline: the answer has a budget of its own.
func TestAnswerDeadline(t *testing.T) {
	e := serveExchanges(t, setting("<1@test>"), 200*time.Millisecond)
	id := e.begun(t, "<1@test>")
	if got := e.ask(t, "exchange="+id+" resp="+b64("stall")); got != later || !strings.Contains(e.log.String(), proto.ErrDeadline.Reason) {
		t.Errorf("got %q\n%s", got, e.log)
	}
}

// ended is a Relayer that tells when an exchange has ended.
func ended(inner proto.Relayer) (proto.Relayer, chan error) {
	ends := make(chan error, maxWaiting)
	return relayerFunc(func(ctx context.Context, x *proto.Exchange) (v proto.Verdict, err error) {
		defer func() { ends <- err }()
		return inner.Relay(ctx, x)
	}), ends
}

func TestExpiry(t *testing.T) {
	relayer, ends := ended(setting("<1@test>"))
	e := serveExchanges(t, relayer, time.Minute)
	e.expiry = time.Millisecond
	id := e.begun(t, "<1@test>")
	select {
	case err := <-ends:
		if !errors.Is(err, proto.ErrAborted) {
			t.Errorf("ended by %v", err)
		}
	case <-time.After(expiry / 2):
		t.Error("does not expire")
	}
	if got := e.ask(t, "exchange="+id+" resp="+b64("right")); got != later || !strings.Contains(e.log.String(), errNoExchange.Reason) {
		t.Errorf("got %q\n%s", got, e.log)
	}
}

// TestDrain: exchanges that wait for their answer do not hold up the daemon's end, and
// it waits for them.
func TestDrain(t *testing.T) {
	// An IMAP server takes its time to take leave.
	relayer, ends := ended(relayerFunc(func(ctx context.Context, x *proto.Exchange) (proto.Verdict, error) {
		_, err := x.Challenge(ctx, []byte("<1@test>"))
		<-time.After(200 * time.Millisecond)
		return proto.TempFail, err
	}))
	e := serveExchanges(t, relayer, time.Minute)
	for range 3 {
		e.begun(t, "<1@test>")
	}
	start := time.Now()
	e.stop()
	if len(ends) != 3 || len(e.waiting) != 0 || time.Since(start) > expiry/2 {
		t.Errorf("%d have ended and %d wait after %v", len(ends), len(e.waiting), time.Since(start))
	}
}

// TestManyExchanges: past the cap there is a TempFail at once; an answer makes room.
func TestManyExchanges(t *testing.T) {
	e := serveExchanges(t, setting("<1@test>"), time.Minute)
	var id string
	for range maxWaiting {
		id = e.begun(t, "<1@test>")
	}
	if got := e.ask(t, beginLine); got != later || !strings.Contains(e.log.String(), errFull.Reason) {
		t.Errorf("got %q\n%s", got, e.log)
	}
	if got := e.ask(t, "exchange="+id+" resp="+b64("right")); got != "yes" {
		t.Errorf("got %q", got)
	}
	e.begun(t, "<1@test>")
}

// TestFullListener: neither form is looked at past the cap on connections, and what
// waits is not used up by that.
func TestFullListener(t *testing.T) {
	e := &exchanges{Frontend: &Frontend{MaxPassword: testMaxPassword, Relayer: setting("<1@test>")}, log: new(logBuffer)}
	e.path, _ = prototest.Serve(t, e.Frontend, time.Minute, 1, slog.New(slog.NewTextHandler(e.log, nil)))
	id := e.begun(t, "<1@test>")
	holder, err := net.Dial("unix", e.path)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	for _, line := range []string{beginLine, "exchange=" + id + " resp=" + b64("right")} {
		if got := e.ask(t, line); got != later {
			t.Errorf("%s: got %q", line, got)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting) != 1 || e.waiting[id] == nil || !strings.Contains(e.log.String(), proto.ErrBusy.Reason) {
		t.Errorf("%d wait\n%s", len(e.waiting), e.log)
	}
}
