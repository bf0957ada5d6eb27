package tests

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// imapServer is a scripted IMAP server, which may be as odd as a test needs it. It
// counts its connections.
type imapServer struct {
	port int

	conns gauge

	mu    sync.Mutex // protects asked
	asked []login
}

// login is one attempt, as it arrived.
type login struct{ authzid, authcid, password string }

// imapSession is one connection to it.
type imapSession struct {
	server *imapServer
	conn   net.Conn
	r      *bufio.Reader
}

// startIMAP serves every connection with handle, which returns when it is done.
func startIMAP(t *testing.T, handle func(*imapSession)) *imapServer {
	t.Helper()
	s := &imapServer{}
	s.port = s.conns.listen(t, func(conn net.Conn) { handle(&imapSession{s, conn, bufio.NewReader(conn)}) })
	return s
}

func (s *imapServer) url() string { return "imap://" + loopback(s.port) }

// attempts returns the logins so far.
func (s *imapServer) attempts() []login {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]login(nil), s.asked...)
}

// line reads a line without its end; ok is false when the client is gone.
func (s *imapSession) line() (line string, ok bool) {
	line, err := s.r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err == nil
}

func (s *imapSession) send(format string, args ...any) {
	fmt.Fprintf(s.conn, format+"\r\n", args...)
}

// hold waits until the client hangs up.
func (s *imapSession) hold() { io.Copy(io.Discard, s.r) }

// verdicts serves AUTHENTICATE PLAIN as any server does. answer gives what follows
// the tag, such as "OK in"; it may take its time.
func verdicts(answer func(login) string) func(*imapSession) {
	return func(s *imapSession) {
		s.send("* OK [CAPABILITY IMAP4rev1 SASL-IR ID AUTH=PLAIN] ready")
		for {
			line, ok := s.line()
			if !ok {
				return
			}
			tag, command, _ := strings.Cut(line, " ")
			switch verb, rest, _ := strings.Cut(command, " "); strings.ToUpper(verb) {
			case "ID":
				s.send("* ID NIL\r\n%s OK ID", tag)
			case "CAPABILITY":
				s.send("* CAPABILITY IMAP4rev1 SASL-IR ID AUTH=PLAIN\r\n%s OK done", tag)
			case "LOGOUT":
				s.send("* BYE bye\r\n%s OK out", tag)
				return
			case "AUTHENTICATE":
				response := strings.TrimPrefix(rest, "PLAIN ")
				s.send("%s %s", tag, answer(s.server.note(response)))
			default:
				s.send("%s BAD what", tag)
			}
		}
	}
}

// note takes down an attempt (RFC 4616 §2).
func (s *imapServer) note(response string) login {
	text, _ := base64.StdEncoding.DecodeString(response)
	parts := append(strings.SplitN(string(text), "\x00", 3), "", "")
	l := login{parts[0], parts[1], parts[2]}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, l)
	return l
}

// users is the answer of a server that knows names and passwords.
func users(passwords map[string]string) func(login) string {
	return func(l login) string {
		if want, known := passwords[l.authcid]; known && want == l.password {
			return "OK in"
		}
		return "NO [AUTHENTICATIONFAILED] no"
	}
}

// dialogue plays a text of C: and S: lines, with the connection closed or, after a
// last line "hold", held. "TAG" stands for the tag of the last command. A client
// that says something else fails the test.
func dialogue(t *testing.T, text string) func(*imapSession) {
	return func(s *imapSession) {
		tag := ""
		for want := range strings.Lines(text) {
			want = strings.TrimSpace(want)
			side, words, _ := strings.Cut(want, ": ")
			switch side {
			case "S":
				s.send("%s", strings.ReplaceAll(words, "TAG", tag))
			case "half": // a line without its end
				io.WriteString(s.conn, strings.ReplaceAll(words, "TAG", tag))
			case "C":
				line, ok := s.line()
				if !ok {
					return // dialled ahead, and not needed
				}
				if verb, _, _ := strings.Cut(words, " "); verb == "TAG" {
					tag, _, _ = strings.Cut(line, " ")
				}
				if got := strings.Replace(line, tag+" ", "TAG ", 1); got != words {
					t.Errorf("the client said %q, want %q", got, words)
					return
				}
			case "hold":
				s.hold()
			default:
				t.Errorf("a dialogue has no such line: %q", want)
			}
		}
	}
}

// hungPort accepts nothing and answers nothing: the kernel alone completes its
// connections.
func hungPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// within fails the test if it took longer than d since start.
func within(t *testing.T, start time.Time, d time.Duration) {
	t.Helper()
	if took := time.Since(start); took > d {
		t.Errorf("took %v, want at most %v", took, d)
	}
}
