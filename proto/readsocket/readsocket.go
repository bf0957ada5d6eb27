// Package readsocket is the front-end for Exim's ${readsocket}: one request and
// one reply per connection, on a UNIX stream socket.
//
// A request is one line of at most 16 KiB, LF included, in one of two forms.
// Which one it is, the TAB tells: a plain request always has one, which the
// administrator's condition put there, and an extended one never has.
//
//	request  = plain / extended
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
// Base64 is RFC 4648 §4 with padding. The names are Dovecot's. Each field stands
// at most once; an empty value of an optional one, and port 0, count as absent.
// Addresses are IPv4 or IPv6 without a zone.
//
// The reply has no line end, for Exim compares it whole:
//
//	reply = "yes"                      ; Accept: 235 to the mail client
//	      / "no"                       ; Reject: 535
//	      / "temporarily unavailable"  ; TempFail: 435, with this text
//
// What a mail client can cause is answered "no": no LF at the end of the stream,
// bytes after the LF, a second TAB, an empty authcid or password, a control
// character in authcid or authzid, NUL anywhere, a line or a password too long.
// What only the administrator's condition can cause is answered "temporarily
// unavailable", and the log says what is wrong: an extended request that does not
// parse.
//
// The client need not half-close: the answer comes at the LF. Exim writes the
// request at once and it arrives whole, so bytes after the LF are seen with it.
// The connection ends as Exim needs it (src/src/lookups/readsock.c in 4.96):
// reply, half-close, reading what is left, close. Example:
//
//	C: alice@example.com<TAB>secret<LF>
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

	"imapauthd/proto"
)

// MaxRequest is the longest request in bytes, its LF included: Exim carries
// longer passwords, but no IMAP server takes them.
const MaxRequest = 16 << 10

// Frontend answers readsocket connections.
type Frontend struct {
	// MaxPassword is the longest password in bytes; a longer one is a Reject.
	MaxPassword int
}

var _ proto.Frontend = (*Frontend)(nil)

// buffers hold requests while they are read. One byte more than the longest
// request, so that what follows its LF is seen.
var buffers = sync.Pool{New: func() any { return new([MaxRequest + 1]byte) }}

// Serve reads the request, asks, and replies.
func (f *Frontend) Serve(ctx context.Context, c *proto.Conn) {
	c.ServeOne(ctx, f.read, reply)
}

// read takes the request off the stream.
func (f *Frontend) read(c net.Conn) (proto.Request, error) {
	buf := buffers.Get().(*[MaxRequest + 1]byte)
	n, err := readLine(c, buf[:])
	defer func() {
		clear(buf[:n])
		buffers.Put(buf)
	}()
	if err != nil {
		return proto.Request{}, err
	}
	if n == 0 {
		return proto.Request{}, errLooked
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

// reply returns the verdict's text.
func reply(v proto.Verdict, _ *proto.Refusal) string {
	switch v {
	case proto.Accept:
		return "yes"
	case proto.Reject:
		return "no"
	default:
		return "temporarily unavailable"
	}
}
