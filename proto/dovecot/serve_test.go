package dovecot

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"imapauthd/proto"
	"imapauthd/proto/prototest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const hello = "VERSION\t1\t2\nCPID\t815\n"

// plainLine is an AUTH with all it takes.
func plainLine(id int, name, password string) string {
	return fmt.Sprintf("AUTH\t%d\tPLAIN\tservice=smtp\tresp=%s\n", id, base("\x00"+name+"\x00"+password))
}

// relayed is a frontend with a relay.
func relayed(aborted chan error) *Frontend {
	return &Frontend{MaxPassword: 200, Relayer: fakeRelayer{aborted}, Relayable: offering("CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-256", "XOAUTH2")}
}

// base is base64.
func base(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// connect is dial, with the handshakes of both sides.
func connect(t testing.TB, path string) *peer {
	t.Helper()
	p := dial(t, path)
	p.handshake(t)
	p.say(t, hello)
	return p
}

// TestExpiry: an exchange whose client says nothing ends, and the others do not.
func TestExpiry(t *testing.T) {
	aborted := make(chan error, 1)
	f := relayed(aborted)
	f.expiry = 20 * time.Millisecond
	p := connect(t, prototest.Listen(t, f, time.Minute))
	p.say(t, "AUTH\t1\tCRAM-MD5\n")
	p.expect(t, "CONT\t1\t"+base("<1@test>"))
	if err := <-aborted; err != proto.ErrAborted {
		t.Errorf("got %v", err)
	}
	p.say(t, "CONT\t1\t"+base("alice secret")+"\n")
	p.expect(t, "FAIL\t1\treason=Authentication request timed out")
	p.say(t, plainLine(1, "alice", "secret")) // the id is free
	p.expect(t, "OK\t1\tuser=alice")
}

// TestSilentOnesDoNotCount: a TempFail ends the connection though there is an exchange
// whose client has been silent for long. Postfix would tell its client 535 otherwise.
func TestSilentOnesDoNotCount(t *testing.T) {
	f := relayed(nil)
	f.silence = time.Nanosecond
	p := connect(t, prototest.Listen(t, f, time.Minute))
	p.say(t, "AUTH\t1\tCRAM-MD5\n")
	p.expect(t, "CONT\t1\t"+base("<1@test>"))
	p.say(t, plainLine(2, "alice", "unknown"))
	p.expect(t, "EOF")
}

// TestCancelEndsTheRelay: also where it waits for the client.
func TestCancelEndsTheRelay(t *testing.T) {
	aborted := make(chan error, 1)
	path := prototest.Listen(t, relayed(aborted), time.Minute)
	for name, end := range map[string]func(p *peer){
		"CANCEL":   func(p *peer) { p.say(t, "CANCEL\t1\n") },
		"hang up":  func(p *peer) { p.Close() },
		"tempfail": func(p *peer) { p.say(t, "AUTH\t2\tPLAIN\n") }, // the id before it is broken below
		"broken":   func(p *peer) { p.say(t, "AUTH\t1\tPLAIN\n") },
	} {
		p := connect(t, path)
		p.say(t, "AUTH\t1\tCRAM-MD5\n")
		p.expect(t, "CONT\t1\t"+base("<1@test>"))
		end(p)
		if name == "tempfail" {
			p.expect(t, "CONT\t2\t")
			p.say(t, "CANCEL\tx\n")
		}
		if err := <-aborted; err != proto.ErrAborted {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestGone: there is no challenge to a client that has said it says no more.
func TestGone(t *testing.T) {
	seen, asked := make(chan error, 1), make(chan error)
	f := relayed(nil)
	f.Relayer = relayerFunc(func(ctx context.Context, x *proto.Exchange) (proto.Verdict, error) {
		if x.Mechanism == "SCRAM-SHA-256" {
			<-seen
			_, err := x.Challenge(ctx, nil)
			asked <- err
			return proto.TempFail, err
		}
		_, err := x.Challenge(ctx, nil)
		seen <- err
		return proto.TempFail, err
	})
	p := connect(t, prototest.Listen(t, f, time.Minute))
	p.say(t, "AUTH\t1\tSCRAM-SHA-256\nAUTH\t2\tCRAM-MD5\n")
	p.expect(t, "CONT\t2\t")
	p.Conn.(*net.UnixConn).CloseWrite()
	if err := <-asked; err != proto.ErrAborted {
		t.Errorf("got %v", err)
	}
	p.expect(t, "EOF")
}

// TestBudget: an IMAP server that says nothing, asked directly or by a relay.
func TestBudget(t *testing.T) {
	var log logBuffer
	path, stop := prototest.Serve(t, relayed(nil), 20*time.Millisecond, 0, log.logger())
	p := connect(t, path)
	p.say(t, plainLine(1, "alice", "stalling"))
	p.expect(t, "EOF")
	p = connect(t, path)
	p.say(t, "AUTH\t1\tDIGEST-MD5\trip=192.0.2.7\tsession=a-1\n")
	p.expect(t, "EOF")
	p = connect(t, path)
	p.say(t, "AUTH\t1\tXOAUTH2\trip=192.0.2.7\tsession=a-1\tresp="+base("alice secret")+"\n")
	p.expect(t, "OK\t1\tuser=alice")
	p.Close()
	stop() // so that all has been logged
	for _, want := range []string{
		`level=WARN msg=login frontend=readsocket authcid=alice verdict=tempfail`,
		`level=WARN msg=login frontend=readsocket authcid="" mechanism=DIGEST-MD5 rip=192.0.2.7 session=a-1 verdict=tempfail source="" server=`,
		`err="no verdict within the time limit"`,
		`level=INFO msg=login frontend=readsocket authcid=alice mechanism=XOAUTH2 rip=192.0.2.7 session=a-1 verdict=accept source=imap`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, &log)
		}
	}
}

// TestLogOfRefusals: what the administrator has to mend is in the log, and no more than
// one line of what a mail client can cause.
func TestLogOfRefusals(t *testing.T) {
	var log logBuffer
	f := relayed(nil)
	f.RequireSecured = true
	path, stop := prototest.Serve(t, f, time.Minute, 0, log.logger())
	for _, line := range []string{
		"AUTH\t1\tPLAIN\tsecured\trip=localhost\n", "AUTH\t1\tFOO\n", plainLine(1, "alice", "secret"), "AUTH\t1\tPLAIN\tsecured\tresp=!\n",
		"AUTH\t1\tPLAIN\tsecured\tresp=AAAA\n", "AUTH\t0\tPLAIN\n",
	} {
		for range 3 {
			p := connect(t, path)
			p.say(t, line)
			p.Close()
		}
	}
	stop()
	for _, want := range []string{
		`level=WARN msg="request refused" frontend=readsocket verdict=tempfail source=frontend err="rip or lip is not an address`,
		`verdict=tempfail source=frontend err="the client asks for a mechanism that was not announced`,
		`verdict=reject source=frontend err="a mechanism that hands over the password, without TLS (require_secured)`,
		`verdict=reject source=frontend err="a response is not base64`,
		`verdict=reject source=frontend err="a response is not that of PLAIN`,
		`verdict=tempfail source=frontend err="the client breaks the protocol: AUTH without an id or a mechanism`,
	} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("the log has %d lines with %s:\n%s", n, want, &log)
		}
	}
	for _, secret := range []string{"secret", base("\x00alice\x00secret")} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has a password:\n%s", &log)
		}
	}
}

// TestTooLong: a line that a mail client made too long costs its exchange only.
func TestTooLong(t *testing.T) {
	p := connect(t, prototest.Listen(t, relayed(nil), time.Minute))
	long := strings.Repeat("A", maxLine)
	p.say(t, "AUTH\t1\tCRAM-MD5\n")
	p.expect(t, "CONT\t1\t"+base("<1@test>"))
	p.say(t, "AUTH\t2\tPLAIN\tresp="+long+"\n")
	p.expect(t, "FAIL\t2")
	p.say(t, "AUTH\t3\tPLAIN\n")
	p.expect(t, "CONT\t3\t")
	p.say(t, "CONT\t3\t"+long+long+"\n")
	p.expect(t, "FAIL\t3")
	p.say(t, "AUTH\t3\tPLAIN\n") // is free again
	p.expect(t, "CONT\t3\t")
	p.say(t, "CONT\t1\t"+base("alice secret")+"\n")
	p.expect(t, "OK\t1\tuser=alice")
	p.say(t, long+"\n") // whose?
	p.expect(t, "EOF")
}

// TestLongest: what fits a line of SMTP fits here.
func TestLongest(t *testing.T) {
	f := relayed(nil)
	f.MaxPassword = maxLine
	p := connect(t, prototest.Listen(t, f, time.Minute))
	token := "alice " + strings.Repeat("x", 9000) // 12 KB of base64
	p.say(t, "AUTH\t1\tXOAUTH2\tservice=smtp\tresp="+base(token)+"\n")
	p.expect(t, "FAIL\t1\tuser=alice")
	p.say(t, plainLine(2, "alice", strings.Repeat("x", 9000)))
	p.expect(t, "FAIL\t2\tuser=alice")
}

// TestMaxExchanges: one more than the cap is told so, the others are not harmed.
func TestMaxExchanges(t *testing.T) {
	p := connect(t, prototest.Listen(t, relayed(nil), time.Minute))
	for id := 1; id <= maxExchanges; id++ {
		p.say(t, fmt.Sprintf("AUTH\t%d\tLOGIN\n", id))
		p.expect(t, fmt.Sprintf("CONT\t%d\t%s", id, base("Username:")))
	}
	p.say(t, "AUTH\t1000\tLOGIN\n")
	p.expect(t, "FAIL\t1000\tcode=temp_fail")
	p.say(t, "CANCEL\t7\n")
	p.say(t, plainLine(7, "alice", "secret"))
	p.expect(t, "OK\t7\tuser=alice")
}

// TestPastTheCap: a connection too many has its handshake and a proper end, and Postfix,
// which keeps connections, makes another when it needs one.
func TestPastTheCap(t *testing.T) {
	path, _ := prototest.Serve(t, relayed(nil), time.Minute, 1, nil)
	first := connect(t, path)
	second := connect(t, path)
	second.say(t, plainLine(1, "alice", "secret"))
	second.expect(t, "EOF")
	third := connect(t, path)
	third.say(t, "AUTH\t1\tCRAM-MD5\nAUTH\t2\tCRAM-MD5\n"+plainLine(3, "alice", "secret"))
	third.expect(t, "EOF")
	fourth := connect(t, path)
	fourth.expect(t, "EOF") // within its second
	first.say(t, plainLine(1, "alice", "secret"))
	first.expect(t, "OK\t1\tuser=alice")
}

// TestHangup: at the end of a connection all replies arrive, though requests have come
// that nobody read; and the client cannot write to it any more, which is what makes
// Postfix connect anew.
func TestHangup(t *testing.T) {
	path := prototest.Listen(t, relayed(nil), time.Minute)
	for range 50 {
		p := connect(t, path)
		p.say(t, plainLine(1, "alice", "x"))
		p.expect(t, "FAIL\t1\tuser=alice")
		io.WriteString(p, plainLine(2, "alice", "unknown")+strings.Repeat("CANCEL\t7\n", 10000))
		p.expect(t, "EOF")
		if _, err := io.WriteString(p, plainLine(3, "alice", "secret")); !errors.Is(err, syscall.EPIPE) {
			t.Fatalf("the write after it: got %v", err)
		}
	}
}

// TestDrain: the daemon's end ends an idle connection at once, and others when they are
// done.
func TestDrain(t *testing.T) {
	path, stop := prototest.Serve(t, relayed(nil), time.Minute, 0, nil)
	idle, busy, fresh := connect(t, path), connect(t, path), dial(t, path)
	idle.say(t, plainLine(1, "alice", "secret"))
	idle.expect(t, "OK\t1\tuser=alice")
	busy.say(t, "AUTH\t1\tCRAM-MD5\nAUTH\t2\tCRAM-MD5\n")
	for range 2 {
		busy.line()
	}
	fresh.handshake(t)
	stopped := make(chan bool)
	go func() { stop(); close(stopped) }()
	idle.expect(t, "EOF")
	fresh.say(t, hello+plainLine(1, "alice", "secret"))
	fresh.expect(t, "OK\t1\tuser=alice")
	fresh.expect(t, "EOF")
	busy.say(t, "CONT\t1\t"+base("alice secret")+"\n")
	busy.expect(t, "OK\t1\tuser=alice")
	busy.say(t, "CONT\t2\t"+base("bob x")+"\n")
	busy.expect(t, "FAIL\t2\tuser=bob")
	busy.expect(t, "EOF")
	<-stopped
}

// TestDrainSilence: clients that think hold up the daemon's end for a moment only.
func TestDrainSilence(t *testing.T) {
	f := relayed(nil)
	f.silence = 10 * time.Millisecond
	path, stop := prototest.Serve(t, f, time.Minute, 0, nil)
	p := connect(t, path)
	p.say(t, "AUTH\t1\tCRAM-MD5\n")
	p.line()
	p.say(t, "AUTH\t2\tLOGIN\n")
	p.line()
	stopped := make(chan bool)
	go func() { stop(); close(stopped) }()
	p.expect(t, "EOF")
	<-stopped
}

// TestDeafClient: one that does not read is given up, and its exchanges with it.
func TestDeafClient(t *testing.T) {
	path := prototest.Listen(t, relayed(nil), time.Minute)
	p := connect(t, path)
	flood := strings.Repeat("CONT\t1\tAAAA\n", 1000)
	for {
		if _, err := io.WriteString(p, flood); err != nil {
			if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %v", err)
			}
			break
		}
	}
	p = connect(t, path)
	p.say(t, plainLine(1, "alice", "secret"))
	p.expect(t, "OK\t1\tuser=alice")
}

// TestOfferInAnOutage: mail servers go on seeing what they saw before it.
func TestOfferInAnOutage(t *testing.T) {
	var now []string
	f := relayed(nil)
	f.Relayable = func(context.Context) []string { return now }
	for _, tt := range []struct {
		now  []string
		want string
	}{
		{nil, "PLAIN LOGIN"},
		{[]string{"CRAM-MD5"}, "PLAIN LOGIN CRAM-MD5"},
		{nil, "PLAIN LOGIN CRAM-MD5"},
		{[]string{"XOAUTH2"}, "PLAIN LOGIN XOAUTH2"},
		{[]string{}, "PLAIN LOGIN"},
		{nil, "PLAIN LOGIN"},
	} {
		now = tt.now
		if got := strings.Join(f.offer(t.Context(), false), " "); got != tt.want {
			t.Errorf("%q: got %s want %s", now, got, tt.want)
		}
		now = []string{"NTLM"} // which a refused connection does not ask for
		if got := strings.Join(f.offer(t.Context(), true), " "); got != tt.want {
			t.Errorf("%q, refused: got %s want %s", now, got, tt.want)
		}
	}
}

// TestOfferIsBounded: an IMAP server that does not answer costs two seconds, and a
// listener that would not use the answer does not ask.
func TestOfferIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := relayed(nil)
		f.Relayable = func(ctx context.Context) []string { <-ctx.Done(); return nil }
		start := time.Now()
		if got := f.offer(t.Context(), false); strings.Join(got, " ") != "PLAIN LOGIN" || time.Since(start) != askTime {
			t.Errorf("got %q after %v", got, time.Since(start))
		}
		start = time.Now()
		f.offer(t.Context(), true)
		f.Mechanisms = []string{"PLAIN"}
		f.offer(t.Context(), false)
		if time.Since(start) != 0 {
			t.Error("somebody was asked")
		}
	})
}

// logBuffer is a log.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
