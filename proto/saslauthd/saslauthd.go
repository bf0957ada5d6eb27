// Package saslauthd is the front-end for clients of Cyrus saslauthd: libsasl2 (in
// Postfix, Sendmail, OpenLDAP) with "pwcheck_method: saslauthd", Exim's ${if saslauthd},
// testsaslauthd. One request and one reply per connection, on a UNIX stream socket.
//
// Everything is a counted string: two bytes of length, most significant first, and as
// many bytes. They end with no NUL.
//
//	request = login password service realm [client]
//	reply   = "OK"            ; Accept
//	        / "NO" [SP text]  ; Reject
//	                          ; TempFail: none
//
//	login    the authcid
//	password
//	service  what asks ("smtp"); it decides nothing
//	realm    libsasl2 cuts login at its last "@" and puts what follows here; by the
//	         key realm of the listener the two are joined again (saslauthd -r), or
//	         the realm is ignored (saslauthd without -r)
//	client   the mail client's address, "ADDRESS;PORT", if the first byte of it came
//	         along with realm: libsasl2 sends it from 2.2 on (SASL_IPREMOTEPORT), and
//	         older clients wait for the reply after realm. Empty: not told
//
// A string of more than 256 bytes, an empty login and an empty password are answered as
// saslauthd 2.1.28 does (saslauthd/ipc_unix.c, do_request), by "NO " and "NO NULL login
// received" and "NO NULL password received"; a NUL anywhere, where saslauthd would see
// the end of the string, and a control character in login or realm by "NO
// authentication failed", like a wrong password. A client that is no address is a
// TempFail. Bytes behind the request are not looked at.
//
// There is no word for a TempFail: the connection is closed without a reply, as it is
// when saslauthd dies. Exim makes 435 of that.
//
// The client need not half-close. The connection ends with the reply, half-close,
// reading what is left, close; where the reply was remembered, without the reading, so
// that a client that writes on, in a second write, is told that nobody reads (EPIPE).
// libsasl2 and Exim do not. Example:
//
//	C: 00 05 "alice" 00 06 "secret" 00 04 "smtp" 00 0b "example.com"
//	S: 00 02 "OK"
package saslauthd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"imapauthd/proto"
)

// maxField is the longest string of a request in bytes: MAX_REQ_LEN in
// saslauthd/globals.h.
const maxField = 256

// maxRequest is the longest request in bytes: five strings with their lengths.
const maxRequest = 5 * (2 + maxField)

// Frontend answers saslauthd's clients.
type Frontend struct {
	// MaxPassword is the longest password in bytes; a longer one is a Reject. Of
	// more than 256 there is none.
	MaxPassword int
	// JoinRealm makes LOGIN@REALM the account, where there is a realm.
	JoinRealm bool
}

var _ proto.Instant = (*Frontend)(nil)

// buffers hold requests while they are read.
var buffers = sync.Pool{New: func() any { return new([maxRequest]byte) }}

// Serve reads the request, asks, and replies.
func (f *Frontend) Serve(ctx context.Context, c *proto.Conn) {
	c.ServeOne(ctx, f.read, reply)
}

// read takes the request off the stream, where it may come string by string.
func (f *Frontend) read(c net.Conn) (proto.Request, error) {
	buf := buffers.Get().(*[maxRequest]byte)
	n := 0
	defer func() {
		clear(buf[:n])
		buffers.Put(buf)
	}()
	for {
		m, err := c.Read(buf[n:])
		n += m
		_, whole, refusal := split(buf[:n])
		switch {
		case refusal != nil:
			return proto.Request{}, refusal
		case whole:
			s, _, _ := split(bytes.Clone(buf[:n])) // buf is another request's soon
			return f.parser().request(s)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return proto.Request{}, proto.ErrDeadline
		case errors.Is(err, io.EOF) && n > 0:
			return proto.Request{}, errCut
		case err != nil:
			return proto.Request{}, err // or somebody looked whether we live
		}
	}
}

func (f *Frontend) parser() *parser {
	return &parser{joinRealm: f.JoinRealm, maxPassword: f.MaxPassword}
}

// Reader implements proto.Instant.
func (f *Frontend) Reader() func([]byte) *proto.Request {
	p := f.parser()
	var req proto.Request
	return func(raw []byte) *proto.Request {
		s, whole, refusal := split(raw)
		if refusal != nil || !whole {
			return nil
		}
		var err error
		if req, err = p.request(s); err != nil {
			return nil
		}
		return &req
	}
}

// Reply implements proto.Instant.
func (f *Frontend) Reply(v proto.Verdict) string { return reply(v, nil) }

// reply returns the verdict as a counted string, or nothing.
func reply(v proto.Verdict, refusal *proto.Refusal) string {
	text := "NO authentication failed"
	switch {
	case v == proto.TempFail:
		return ""
	case v == proto.Accept:
		text = "OK"
	case refusal == errTooLong:
		text = "NO " // with the space
	case refusal == errNoLogin:
		text = "NO NULL login received"
	case refusal == errNoPassword:
		text = "NO NULL password received"
	}
	return string(binary.BigEndian.AppendUint16(nil, uint16(len(text)))) + text
}
