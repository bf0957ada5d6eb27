package tests

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

// These tests prove the harness alone, with no imapauthd in sight: what libsasl2
// 2.1.28 sends, and what Postfix makes of all that a saslauthd can do.

// muxFields reads a request: login, password, service and realm.
func muxFields(conn net.Conn) (fields []string, err error) {
	for range 4 {
		var length uint16
		if err := binary.Read(conn, binary.BigEndian, &length); err != nil {
			return nil, err
		}
		field := make([]byte, length)
		if _, err := io.ReadFull(conn, field); err != nil {
			return nil, err
		}
		fields = append(fields, string(field))
	}
	return fields, nil
}

// muxAnswers returns an answer that reads the request, writes these bytes and closes.
func muxAnswers(wire string) func(*net.UnixConn) {
	return func(conn *net.UnixConn) {
		defer conn.Close()
		if _, err := muxFields(conn); err == nil {
			io.WriteString(conn, wire)
		}
	}
}

func TestHarnessPostfixRequests(t *testing.T) {
	t.Parallel()
	p := startPostfix(t)
	requests := make(chan []string, 1)
	p.asks(t, standIn(t, func(conn *net.UnixConn) {
		defer conn.Close()
		fields, _ := muxFields(conn)
		io.WriteString(conn, counted("OK"))
		// One write and no half-close: whatever else it says, says it before its end.
		rest, _ := io.ReadAll(conn)
		requests <- append(fields, string(rest))
	}))
	for _, tt := range []struct {
		port         int
		user         string
		login, realm string
	}{
		{p.port, "alice", "alice", ""},
		{p.port, "alice@example.test", "alice", "example.test"},
		{p.port, "alice@one@example.test", "alice@one", "example.test"}, // at the last one
		{p.port, "alice@", "alice", ""},
		{p.port, "ALICE@Example.Test", "ALICE", "Example.Test"},
		{p.domainPort, "alice", "alice", "local.test"},
		{p.domainPort, "alice@example.test", "alice", "example.test"},
	} {
		for name, authenticate := range mechanisms {
			c := p.dialPort(t, tt.port)
			if got := authenticate(c, tt.user, `p ' " \ $ w`); got != postfixAccepted {
				t.Errorf("%s %s: got %v", name, tt.user, got)
			}
			want := []string{tt.login, `p ' " \ $ w`, "smtp", tt.realm, ""}
			if got := <-requests; fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
				t.Errorf("%s %s at %d: sent %q, want %q", name, tt.user, tt.port, got, want)
			}
			p.end(t, c)
		}
	}
}

func TestHarnessPostfixReplies(t *testing.T) {
	t.Parallel()
	p := startPostfix(t)
	for _, tt := range []struct {
		name   string
		answer func(*net.UnixConn)
		want   reply
		causes []string // in the log, if it is a temporary failure
	}{
		// The prefix decides.
		{"OK", muxAnswers(counted("OK")), postfixAccepted, nil},
		{"OK and more", muxAnswers(counted("OK remote authentication successful")), postfixAccepted, nil},
		{"OKAY", muxAnswers(counted("OKAY")), postfixAccepted, nil},
		{"OK, held open", func(conn *net.UnixConn) {
			muxFields(conn)
			io.WriteString(conn, counted("OK"))
			io.Copy(io.Discard, conn)
			conn.Close()
		}, postfixAccepted, nil},
		{"NO", muxAnswers(counted("NO")), postfixRejected, nil},
		{"NO and more", muxAnswers(counted("NO [ALERT] Couldn't contact remote authentication server")), postfixRejected, nil},
		{"ok", muxAnswers(counted("ok")), postfixRejected, nil},
		{"neither", muxAnswers(counted("temporarily unavailable")), postfixRejected, nil},
		{"long", muxAnswers(counted("NO " + strings.Repeat("x", 2000))), postfixRejected, nil},
		// No answer.
		{"closed after the request", muxAnswers(""), postfixTempFail, []string{"size read failed"}},
		{"half-closed after the request", func(conn *net.UnixConn) {
			muxFields(conn)
			conn.CloseWrite()
			io.Copy(io.Discard, conn)
			conn.Close()
		}, postfixTempFail, []string{"size read failed"}},
		{"closed at accept", func(conn *net.UnixConn) { conn.Close() }, postfixTempFail, []string{"write failed", "size read failed"}},
		{"reset", func(conn *net.UnixConn) {
			conn.Read(make([]byte, 1))
			conn.Close()
		}, postfixTempFail, []string{"size read failed"}},
		{"reset after OK", func(conn *net.UnixConn) {
			conn.Read(make([]byte, 1))
			io.WriteString(conn, counted("OK"))
			conn.Close()
		}, postfixAccepted, nil},
		// Half an answer.
		{"half a length", muxAnswers("\x00"), postfixTempFail, []string{"size read failed"}},
		{"length 0", muxAnswers(counted("")), postfixTempFail, []string{"bad response from saslauthd"}},
		{"length 1", muxAnswers(counted("N")), postfixTempFail, []string{"bad response from saslauthd"}},
		{"length without text", muxAnswers("\x00\x02"), postfixTempFail, []string{"read failed"}},
		{"half a text", muxAnswers("\x00\x02O"), postfixTempFail, []string{"read failed"}},
		{"OK cut short", muxAnswers("\x00\x10OK remote"), postfixTempFail, []string{"read failed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.asks(t, standIn(t, tt.answer))
			p.judge(t, "alice", "correct horse", tt.want, tt.causes...)
		})
	}
}

// libsasl2 2.1.28 does not close its socket if there is no reply, so that an outage
// costs smtpd a descriptor for each login, until it ends. A reply that is too short
// costs nothing, with the same outcome.
func TestHarnessPostfixDescriptors(t *testing.T) {
	t.Parallel()
	p := startPostfix(t)
	for _, tt := range []struct {
		name, wire string
		lost       int // descriptors for each login
	}{
		{"closed after the request", "", 1},
		{"half a length", "\x00", 1},
		{"length 0", counted(""), 0},
		{"half a text", "\x00\x02O", 0},
		{"NO", counted("NO"), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.asks(t, standIn(t, muxAnswers(tt.wire)))
			c := p.dial(t)
			ask := func() { c.plain("", tt.name, "correct horse") }
			ask()
			pid := p.smtpd(t, "sasl_username="+tt.name)
			const logins = 8 // smtpd slows a client down after 10 errors
			before := descriptors(t, pid)
			for range logins {
				ask()
			}
			if lost := descriptors(t, pid) - before; lost != logins*tt.lost {
				t.Errorf("%d logins cost %d descriptors, want %d each", logins, lost, tt.lost)
			}
			p.end(t, c)
		})
	}
}

// smtpd returns the number of the process that has logged a line with these words.
func (p *postfix) smtpd(t *testing.T, words string) (pid int) {
	t.Helper()
	eventually(t, words+" in the log", func() bool {
		for line := range strings.Lines(p.log.String()) {
			if _, rest, ok := strings.Cut(line, "postfix/smtpd["); ok && strings.Contains(line, words) {
				fmt.Sscanf(rest, "%d]", &pid)
			}
		}
		return pid != 0
	})
	return pid
}

// descriptors returns how many a process has open.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// What happens where there is no saslauthd at all.
func TestHarnessPostfixSocket(t *testing.T) {
	t.Parallel()
	p := startPostfix(t)
	p.asksNobody(t)
	p.judge(t, "alice", "p w", postfixTempFail, "cannot connect to saslauthd server: No such file or directory")

	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.mux, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p.mux, 0o600); err != nil {
		t.Fatal(err)
	}
	p.judge(t, "alice", "p w", postfixTempFail, "cannot connect to saslauthd server: Permission denied")

	openToAll(t, p.mux)
	l.SetUnlinkOnClose(false)
	l.Close()
	p.judge(t, "alice", "p w", postfixTempFail, "cannot connect to saslauthd server: Connection refused")
}

// What imapauthd takes the place of: with the IMAP server stopped, saslauthd says NO,
// and Postfix tells the mail client that the password is wrong.
func TestHarnessPostfixSaslauthd(t *testing.T) {
	t.Parallel()
	p := startPostfix(t)
	imap := startDovecot(t, dovecotOptions{users: map[string]string{"alice@example.test": "correct horse"}, failureDelay: "0s"})
	s := startSaslauthd(t, shortDir(t), imap.port, "-r")
	p.asks(t, s.socket)
	judge := func(password, text string, want reply) {
		t.Helper()
		if got := ask(t, s.socket, counted("alice", password, "smtp", "example.test")); got != counted(text) {
			t.Errorf("got %q, want %q", got, counted(text))
		}
		p.judge(t, "alice@example.test", password, want)
	}
	judge("correct horse", "OK remote authentication successful", postfixAccepted)
	judge("a wrong password", "NO remote server rejected your credentials", postfixRejected)
	imap.stop(t)
	judge("correct horse", "NO [ALERT] Couldn't contact remote authentication server", postfixRejected)
}
