// Package dovecot is the front-end for clients of Dovecot's authentication service:
// Exim's "driver = dovecot", Postfix's "smtpd_sasl_type = dovecot". Many SASL exchanges
// run on one connection, interleaved, on a UNIX stream socket.
//
// Lines end with LF (a CR before it is dropped), their fields are set apart by TAB. The
// server says at once, without waiting for the client (Exim before 4.99 says nothing
// before DONE):
//
//	VERSION TAB 1 TAB 2
//	MECH TAB mechanism *(TAB flag)    ; one line each, at least one
//	SPID TAB number
//	CUID TAB number
//	COOKIE TAB 32HEXDIG
//	DONE
//
// The flags are Dovecot's, by which mail servers withhold mechanisms: "plaintext"
// (whoever listens has the password or token), "dictionary" and "active" (which can be
// attacked thus), "mutual-auth" (the server proves itself too). A mechanism that is not
// known here is "plaintext".
//
// The client says, in this order, and not again:
//
//	VERSION TAB 1 TAB minor
//	CPID TAB number                   ; not 0
//
// and then, as often as it likes:
//
//	AUTH TAB id TAB mechanism *(TAB parameter) [TAB "resp=" base64]
//	CONT TAB id TAB base64            ; a response, which may be empty
//	CANCEL TAB id                     ; has no reply
//
//	id        = 1 to 4294967295, of no exchange that is in progress
//	parameter = "rip=" address        ; the mail client's
//	          / "rport=" port
//	          / "lip=" address        ; the one that it connected to
//	          / "lport=" port
//	          / "secured"             ; it did so under TLS
//	          / "session=" text       ; for logs; not printable ASCII, or more than
//	                                  ; 128 bytes: not told
//	          / others, which are not looked at: "service=" text, "nologin",
//	            "no-penalty", "valid-client-cert", "cert_username=" text
//
// An address is IPv4 or IPv6 without a zone; empty, "NULL" (Exim) and "unknown"
// (Postfix) stand for none. Each field is escaped: 0x01 and a letter stand for NUL (0),
// 0x01 (1), TAB (t), CR (r) and LF (n). "resp=" is the last one, and is the initial
// response: "=" is an empty one, and so is nothing, but to a client whose minor is less
// than 2, where it means that there is none: Exim always writes it. Base64 is RFC 4648
// §4 with padding. Other commands are passed over.
//
// The server answers each exchange by any number of CONT and one OK or FAIL:
//
//	CONT TAB id TAB base64            ; a challenge, which may be empty
//	OK TAB id TAB "user=" account     ; Accept
//	FAIL TAB id [TAB "user=" account] [TAB "code=" code] [TAB "reason=" text]
//	                                  ; Reject
//	                                  ; TempFail: the connection ends
//
//	code = "invalid_base64" / "temp_fail"
//
// Both mail servers make 535 of any FAIL, whatever its code is, and 435 or 454 of a
// connection that ends. So a TempFail ends it, unless that would cost other exchanges
// theirs: then it is a FAIL with "code=temp_fail". One whose client has been silent for
// 3 seconds does not count among these. The account in OK is the authzid if there is one,
// else the authcid. Its form is the client's; Postfix does not unescape it.
//
// PLAIN (RFC 4616) and LOGIN (prompts "Username:" and "Password:"; an initial response
// is the account) become ordinary requests. All other mechanisms are relayed: the IMAP
// server sets the challenges, and its last message comes as one more CONT, to be
// answered by an empty one, since no client here knows "final-resp-ok".
//
// Limits: a line of the client has at most 16 KiB with its LF, as in Dovecot 2.3; one of
// the server at most 8000 bytes, since Exim takes 8192 and 16 fields. 128 exchanges are
// in progress on one connection. Each step is answered within the listener's time limit.
// An exchange whose client has said nothing for 60 s after AUTH ends without a word, for
// Postfix does not cancel; a CONT that comes afterwards is FAIL with "reason=". There is
// no limit to how long a connection may be idle.
//
// What a mail client can cause is FAIL: a response that is no base64, or no PLAIN, a line
// too long, no TLS where the listener has require_secured. A rip or lip that is no
// address, or a mechanism that was not announced, is a TempFail, with a line in the log.
// What breaks the grammar above ends the connection, as Dovecot does: another major
// version, an id twice, fields after resp=.
//
// Example, of Exim 4.96 (<TAB> between fields):
//
//	S: VERSION 1 2
//	S: MECH PLAIN plaintext
//	S: MECH LOGIN plaintext
//	S: MECH CRAM-MD5 dictionary active
//	S: SPID 4711
//	S: CUID 1
//	S: COOKIE 74befaccd9e2e35dab8e776cd87ffb10
//	S: DONE
//	C: VERSION 1 0
//	C: CPID 815
//	C: AUTH 1 PLAIN service=smtp secured rip=192.0.2.7 lip=192.0.2.1 nologin resp=AGFsaWNlAHNlY3JldA==
//	S: OK 1 user=alice
//
// What the two mail servers do with it:
//
//	               Exim, driver = dovecot          Postfix, smtpd_sasl_type = dovecot
//	connection     new for each AUTH, id 1         one for each smtpd, ids rise, long idle
//	resp=          always there                    if the client sent one
//	client's "*"   closes                          nothing: the exchange is abandoned
//	OK             needs user=, which is $auth1    needs user=
//	FAIL           535                             535 with the text of reason=
//	no answer      435; waits for ever             454; waits 10 s, then connects anew
//	CONT           needs the TAB before nothing    needs the TAB before nothing
//	no MECH        435                             smtpd dies
//
// Sources: Dovecot 2.3.19 (src/auth/auth-client-connection.c, auth-request-handler.c,
// src/lib/strescape.c) and its replies to the exchanges in testdata/dialogues; Exim 4.96
// (src/src/auths/dovecot.c); Postfix 3.7 (src/xsasl/xsasl_dovecot_server.c).
package dovecot

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"imapauthd/proto"
)

const (
	// expiry is how long an exchange may take as far as its client is concerned, from
	// its AUTH. A mail client answers at once, or has lost its way.
	expiry = time.Minute
	// silence is after how long a client that owes a response is believed to be gone,
	// as far as it matters for others: Postfix never says so.
	silence = 3 * time.Second
	// askTime is what the handshake waits for the mechanisms of an IMAP server. Postfix
	// waits 10 s for all of it.
	askTime = 2 * time.Second
)

// Frontend answers clients of Dovecot's authentication service.
type Frontend struct {
	// MaxPassword is the longest password in bytes; a longer one is a Reject.
	MaxPassword int
	// Mechanisms and RequireSecured are those of proto.ListenConfig.
	Mechanisms     []string
	RequireSecured bool
	// Relayer carries what is neither PLAIN nor LOGIN, and Relayable tells what it can
	// carry: nil for not known now, which an empty list is not. If one of the two is nil
	// there is nothing else.
	Relayer   proto.Relayer
	Relayable proto.MechanismsFunc

	// Of the constants above, for tests; 0: as there.
	expiry, silence time.Duration

	connections atomic.Uint32

	mu    sync.Mutex
	known []string // protected by mu: what Relayable told last
}

var _ proto.Frontend = (*Frontend)(nil)

// Serve says the handshake and then answers the client, until it hangs up, or a TempFail
// or the end of the daemon ends the connection.
func (f *Frontend) Serve(ctx context.Context, c *proto.Conn) {
	if c.Refused() {
		limited, done := c.Limit(ctx)
		defer done()
		ctx = limited
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &session{f: f, c: c, ctx: ctx, cancel: cancel, exchanges: make(map[uint32]*exchange)}
	stopCut := context.AfterFunc(ctx, func() { s.end(context.Cause(ctx)) })
	defer stopCut()
	stopDrain := c.OnDrain(s.drain)
	defer stopDrain()

	s.offered = f.offer(ctx, c.Refused())
	s.mu.Lock()
	s.send("%s", f.handshake(s.offered))
	s.mu.Unlock()
	s.read()
	s.wg.Wait()
	s.end(nil)
	c.Hangup()
}

// handshake returns the server's first lines.
func (f *Frontend) handshake(offered []string) string {
	var b strings.Builder
	b.WriteString("VERSION\t1\t2\n")
	for _, name := range offered {
		fmt.Fprintf(&b, "MECH\t%s%s\n", name, flags(name))
	}
	var cookie [16]byte // nobody asks for it again: a request for the user of an id
	rand.Read(cookie[:])
	fmt.Fprintf(&b, "SPID\t%d\nCUID\t%d\nCOOKIE\t%s\nDONE", os.Getpid(), f.connections.Add(1), hex.EncodeToString(cookie[:]))
	return b.String()
}

// or returns d, or otherwise if d is 0.
func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
