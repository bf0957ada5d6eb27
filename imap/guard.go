package imap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// guard is the net.Conn under imapclient for the time of one login, or with turns of
// one exchange for somebody else. The library
// believes what it reads and waits as long as it takes; the guard gives it a
// made-up greeting and after that only what one login can have as an answer:
//
//   - the caller's deadline, not the library's, which ends with no timeout at all
//     (emersion/go-imap#742);
//   - whole lines, bounded in length and number;
//   - nothing while no command is out, and no answer before the credentials are;
//   - the ID command in the same write as the login, its answer swallowed
//     (emersion/go-imap#677: the library's ID takes fixed fields only);
//   - an empty SASL response as an empty line, not "=", and an empty challenge
//     as "=", which the library can take (emersion/go-imap#760).
//
// After the login's answer the library reads the end of the stream and lets go; the
// connection itself stays open for whoever owns it.
type guard struct {
	conn  *warmConn
	in    *lineReader
	turns *turns // nil: a login, whose messages are all known

	line []byte // the library's line in the making; Write only

	mu       sync.Mutex
	password string // protects all below; for what must not be shown
	feed     []byte // what Read returns next
	ahead    []byte // the ID command, until it is sent
	tag      string // of the login, once it is out
	sasl     bool   // it is AUTHENTICATE, not LOGIN
	owed     int    // responses that the mechanism has left
	literal  int    // bytes of a literal that the library has yet to write
	waits    bool   // the server must ask for that literal first
	sent     bool   // the credentials are out, whole
	answer   status // the tagged answer
	done     bool   // it came
	err      error  // why the guard closed the connection
}

// idTag marks the ID command; the library's own tags begin with T.
const idTag = "I1"

// maxWrite bounds what the library may write: LOGIN or AUTHENTICATE with the
// longest request there is, in base64.
const maxWrite = 64 << 10

// Violations: each closes the connection and is no verdict.
var (
	errGarbage  = errors.New("the server sent something that is not IMAP's")
	errEarly    = errors.New("the server answered before it had the credentials")
	errAsksMore = errors.New("the server asks for more than the mechanism has")
	errLiteral  = errors.New("the server sent a literal before a login")
	errMisuse   = errors.New("imapclient sent something that is no login")
)

// newGuard guards one login over conn. id is the ID command with its tag and line
// end, or nil. saslIR says whether the library may send an initial response.
func newGuard(conn *warmConn, id []byte, saslIR bool, password string) *guard {
	greeting := "* OK [CAPABILITY IMAP4rev1] ready\r\n"
	if saslIR {
		greeting = "* OK [CAPABILITY IMAP4rev1 SASL-IR] ready\r\n"
	}
	return &guard{conn: conn, in: newLineReader(conn.raw), password: password, feed: []byte(greeting), ahead: id}
}

// bind sets ctx's deadline on the connection, until the function it returns is
// called.
func (g *guard) bind(ctx context.Context) (release func()) {
	stop := context.AfterFunc(ctx, func() { g.conn.base.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// Read gives the library its next bytes.
func (g *guard) Read(p []byte) (int, error) {
	for {
		g.mu.Lock()
		if n := copy(p, g.feed); n > 0 {
			g.feed = g.feed[n:]
			g.mu.Unlock()
			return n, nil
		}
		done, err := g.done, g.err
		g.mu.Unlock()
		if done || err != nil {
			return 0, io.EOF
		}
		line, err := g.in.next()
		g.mu.Lock()
		if err == nil {
			err = g.filter(line)
		}
		g.mu.Unlock()
		if err != nil {
			g.fail(err)
		}
	}
}

// filter decides what one line of the server is. The caller holds mu.
func (g *guard) filter(line []byte) error {
	if len(line) > 0 && line[0] == '+' {
		if g.turns != nil {
			return g.passOn(line)
		}
		return g.challenge()
	}
	s, ok := parseStatus(line)
	switch {
	case ok && s.tag == "*" && s.typ == "BYE":
		return s.err(g.password)
	case bytes.HasPrefix(line, []byte("* ")):
		if literalAtEnd.Match(line) {
			return errLiteral // what follows could read like an answer
		}
		return nil // capabilities, ID, notices: nothing that a login needs
	case !ok:
		return errGarbage
	case s.tag == idTag && g.tag != "":
		return nil // whatever it says, it is not the login's answer
	case s.tag != g.tag || g.tag == "" || s.typ == "BYE" || s.typ == "PREAUTH":
		return errGarbage
	case !g.sent:
		// Of a mechanism, of a literal, of a name; of no password.
		return fmt.Errorf("%w: %w", errEarly, s.err(g.password))
	}
	g.answer, g.done = s, true
	// The list spares a CAPABILITY command that the library would send by itself.
	// The text stays here: the library's parser need not meet it.
	if s.typ == "OK" {
		g.feed = []byte(g.tag + " OK [CAPABILITY IMAP4rev1] done\r\n")
	} else {
		g.feed = []byte(g.tag + " " + s.typ + " refused\r\n")
	}
	return nil
}

// challenge passes on a request to continue, if one is due. PLAIN's only
// challenge is empty, and LOGIN's two are asked for in one order only; what text a
// server puts there does not matter.
func (g *guard) challenge() error {
	switch {
	case g.tag == "":
		return errGarbage
	case g.sent:
		return errAsksMore
	case g.sasl:
		g.feed = []byte("+ =\r\n")
	case !g.waits:
		return errAsksMore
	default:
		g.waits = false
		g.feed = []byte("+ go ahead\r\n")
	}
	return nil
}

// Write takes the library's bytes and sends them on in whole lines.
func (g *guard) Write(p []byte) (int, error) {
	g.mu.Lock()
	if g.err != nil || g.done {
		g.mu.Unlock()
		return 0, net.ErrClosed
	}
	out, err := g.rewrite(p)
	g.mu.Unlock()
	if err == nil && len(out) > 0 {
		_, err = g.conn.raw.Write(out)
		if g.conn.sent != nil {
			g.conn.sent()
		}
	}
	if err != nil {
		g.fail(err)
		return 0, net.ErrClosed
	}
	return len(p), nil
}

// rewrite returns what p completes. The caller holds mu.
func (g *guard) rewrite(p []byte) (out []byte, err error) {
	for len(p) > 0 {
		if g.literal > 0 {
			n := min(g.literal, len(p))
			out, p, g.literal = append(out, p[:n]...), p[n:], g.literal-n
			continue
		}
		n := bytes.IndexByte(p, '\n') + 1
		if n == 0 {
			n = len(p)
		}
		g.line, p = append(g.line, p[:n]...), p[n:]
		if len(g.line) > maxWrite {
			return nil, errMisuse
		}
		if !bytes.HasSuffix(g.line, []byte("\r\n")) {
			continue
		}
		if err := g.wrote(g.line); err != nil {
			return nil, err
		}
		out = append(append(out, g.ahead...), g.line...)
		g.ahead, g.line = nil, g.line[:0]
	}
	return out, nil
}

// literalAtEnd finds the announcement of a literal, RFC 9051 §4.3.
var literalAtEnd = regexp.MustCompile(`\{(\d{1,9})\+?\}\r?\n?$`)

// wrote takes note of a whole line of the library, and mends it in place. The
// caller holds mu.
func (g *guard) wrote(line []byte) error {
	if g.turns != nil {
		return g.relayed(line)
	}
	if g.tag == "" {
		words := strings.Fields(string(line))
		if len(words) < 3 {
			return errMisuse
		}
		switch words[1] {
		case "AUTHENTICATE":
			owed, err := responses(words[2])
			if err != nil {
				return err
			}
			g.sasl, g.owed = true, owed-(len(words)-3) // an initial response is one of them
		case "LOGIN":
		default:
			return errMisuse
		}
		g.tag = words[0]
	} else if g.sasl {
		if string(line) == "=\r\n" {
			g.line = append(g.line[:0], "\r\n"...)
		}
		g.owed--
	}
	if g.sasl {
		g.sent = g.owed == 0
		if g.owed < 0 {
			return errMisuse
		}
		return nil
	}
	// A quoted string cannot end a line in "}": its quote would come after it.
	if m := literalAtEnd.FindSubmatch(line); m != nil {
		g.literal, _ = strconv.Atoi(string(m[1]))
		g.waits = true
	} else {
		g.sent = true
	}
	return nil
}

// fail ends the connection, for the first of all reasons.
func (g *guard) fail(err error) {
	g.mu.Lock()
	if g.err == nil && !g.done {
		g.err = err
	}
	g.mu.Unlock()
	if g.turns != nil {
		g.turns.gone(err)
	}
	g.conn.base.Close()
}

// result returns the login's answer, or why there is none.
func (g *guard) result() (status, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.done {
		return g.answer, nil
	}
	if g.err == nil {
		return status{}, io.ErrUnexpectedEOF
	}
	return status{}, g.err
}

// Close is the library's. Before the answer it ends the connection.
func (g *guard) Close() error {
	g.mu.Lock()
	done := g.done
	g.mu.Unlock()
	if !done {
		g.fail(net.ErrClosed)
	}
	return nil
}

func (g *guard) LocalAddr() net.Addr  { return g.conn.raw.LocalAddr() }
func (g *guard) RemoteAddr() net.Addr { return g.conn.raw.RemoteAddr() }

// The library's deadlines are swallowed: the caller's is on the socket (bind).

func (g *guard) SetDeadline(time.Time) error      { return nil }
func (g *guard) SetReadDeadline(time.Time) error  { return nil }
func (g *guard) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = (*guard)(nil)
