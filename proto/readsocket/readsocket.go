// Package readsocket is the front-end for Exim's ${readsocket}: one request and
// one reply per connection, on a UNIX stream socket.
//
// A request is one line of at most 16 KiB, LF included. Which form it has, the TAB
// tells: a plain request always has one, which the administrator's condition put
// there, and the others never have.
//
//	request  = plain / extended / begin / answer
//	plain    = authcid TAB password LF
//	extended = field *(SP field) LF
//	field    = "user=" base64      ; authcid, required
//	         / "pass=" base64      ; password, required
//	         / "authzid=" base64   ; account to act as
//	         / "rip=" address      ; the mail client's address
//	         / "rport=" port
//	         / "lip=" address      ; the address that it connected to
//	         / "lport=" port
//	         / "secured"           ; it did so under TLS
//	         / "server=" name      ; a configured server, in place of routing
//	         / "session=" text     ; for logs: printable ASCII, at most 128 bytes
//
// A mail client that answers a challenge takes two requests, each on a connection of
// its own: the first has an IMAP server begin an exchange, and the second carries the
// answer to it.
//
//	begin    = "mech=CRAM-MD5" *(SP told) LF
//	told     = a field, but for user, pass, authzid and server
//	answer   = "exchange=" id SP "resp=" base64 LF
//
// Base64 is RFC 4648 §4 with padding. The names are Dovecot's. Each field stands
// at most once, in any order; an empty value of an optional one, and port 0, count as absent.
// Addresses are IPv4 or IPv6 without a zone.
//
// The reply has no line end, for Exim compares it whole:
//
//	reply = "yes"                      ; Accept: 235 to the mail client
//	      / "no"                       ; Reject: 535
//	      / "temporarily unavailable"  ; TempFail: 435, with this text
//	      / begun                      ; to begin, which has no "yes" and no "no"
//	begun = "exchange=" id " challenge=" base64
//	id    = 32HEXDIG
//
// What a mail client can cause is answered "no": no LF at the end of the stream,
// bytes after the LF, a second TAB, an empty authcid or password, a control
// character in authcid or authzid, NUL anywhere, a line or a password too long.
// What only the administrator's condition can cause is answered "temporarily
// unavailable", and the log says what is wrong: a request without TAB that does not
// parse. But a resp that is no base64 is "no", and ends its exchange.
//
// An exchange is told by its id, 128 random bits. Nobody who was not given the id can
// answer, and it takes one answer: a second one, and one that comes more than 30 s after
// the challenge, or after a restart, is "temporarily unavailable". 256 exchanges may wait
// for their answers; they end at once when the daemon drains. A mail client that gives
// up is not told of here, so its exchange, and the IMAP connection under it, waits until
// it expires. CRAM-MD5 (RFC 2195) is the only mechanism that has one challenge, which
// comes first, and one response. A challenge must be printable ASCII, without a space at
// its ends, of 1 to 512 bytes: Exim's list of prompts would change another.
//
// The client need not half-close: the answer comes at the LF. Exim writes the
// request at once and it arrives whole, so bytes after the LF are seen with it.
// The connection ends as Exim needs it (src/src/lookups/readsock.c in 4.96):
// reply, half-close, reading what is left, close. Example:
//
//	C: alice@example.com<TAB>secret<LF>
//	S: yes
//
// And of two connections, with RFC 2195's exchange:
//
//	C: mech=CRAM-MD5 rip=192.0.2.7<LF>
//	S: exchange=74befaccd9e2e35dab8e776cd87ffb10 challenge=PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+
//
//	C: exchange=74befaccd9e2e35dab8e776cd87ffb10 resp=dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw<LF>
//	S: yes
package readsocket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"imapauthd/proto"
)

// MaxRequest is the longest request in bytes, its LF included: Exim carries
// longer passwords, but no IMAP server takes them.
const MaxRequest = 16 << 10

// Frontend answers readsocket connections.
type Frontend struct {
	// MaxPassword is the longest password in bytes; a longer one is a Reject.
	MaxPassword int
	// Relayer has exchanges done; nil: there are none.
	Relayer proto.Relayer

	expiry time.Duration // tests shorten it; 0: expiry

	mu      sync.Mutex
	waiting map[string]*exchange // by id, until their answer; protected by mu
}

var _ proto.Instant = (*Frontend)(nil)

// buffers hold requests while they are read. One byte more than the longest
// request, so that what follows its LF is seen.
var buffers = sync.Pool{New: func() any { return new([MaxRequest + 1]byte) }}

// Serve reads the request, asks, and replies.
func (f *Frontend) Serve(ctx context.Context, c *proto.Conn) {
	text := reply(proto.TempFail) // also what a panic leaves
	defer func() { c.Finish(text) }()
	start := time.Now()
	limited, end := c.Begin(ctx)
	defer end()

	m, err := f.read(c)
	var refusal *proto.Refusal
	switch {
	case errors.As(err, &refusal):
		if m.Answer != nil {
			f.abandon(m.Answer.ID)
		}
		text = reply(c.Refuse(refusal))
	case err != nil: // the connection broke
	case m.Begin != nil:
		text = f.begin(ctx, limited, c, start, m.Begin)
	case m.Answer != nil:
		text = reply(f.answer(limited, c, start, m.Answer))
	default:
		text = reply(c.Decide(limited, start, &m.Request))
	}
}

// read takes the request off the stream.
func (f *Frontend) read(c net.Conn) (Message, error) {
	buf := buffers.Get().(*[MaxRequest + 1]byte)
	n, err := readLine(c, buf[:])
	defer func() {
		clear(buf[:n])
		buffers.Put(buf)
	}()
	if err != nil {
		return Message{}, err
	}
	if n == 0 {
		return Message{}, errLooked
	}
	return Parse(buf[:n], f.MaxPassword)
}

// errLooked is of somebody who looked whether we live. It has no reason, for there
// is nothing to log.
var errLooked = &proto.Refusal{Verdict: proto.Reject}

// readLine reads until the first LF, the end of the stream, or a full buffer. It
// returns the bytes read, which may go on after the LF.
func readLine(c net.Conn, buf []byte) (n int, err error) {
	for n < len(buf) {
		m, err := c.Read(buf[n:])
		if bytes.IndexByte(buf[n:n+m], '\n') >= 0 {
			return n + m, nil
		}
		n += m
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return n, proto.ErrDeadline
		case errors.Is(err, io.EOF):
			return n, nil // Parse says what is missing
		case err != nil:
			return n, err
		}
	}
	return n, nil
}

// Reader implements proto.Instant.
func (f *Frontend) Reader() func([]byte) *proto.Request {
	p := parser{maxPassword: f.MaxPassword}
	var m Message
	return func(raw []byte) *proto.Request {
		var err error
		if m, err = p.parse(raw); err != nil || m.Begin != nil || m.Answer != nil {
			return nil
		}
		return &m.Request
	}
}

// Reply implements proto.Instant.
func (f *Frontend) Reply(v proto.Verdict) string { return reply(v) }

// reply returns the verdict's text.
func reply(v proto.Verdict) string {
	switch v {
	case proto.Accept:
		return "yes"
	case proto.Reject:
		return "no"
	default:
		return "temporarily unavailable"
	}
}
