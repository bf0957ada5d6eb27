package imap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"imapauthd/proto"
)

// credentials are what one login sends.
type credentials struct {
	authzid  string // empty: none
	authcid  string // after the username template
	password proto.Password
	id       []byte // ID command for servers that offer it; nil: none
	auth     string // Config.Auth
	saslIR   bool   // Config.SASLIR
}

// answer is the server's tagged answer to a login, as it came for the ruling, and
// as it may be shown.
type answer struct {
	status
	shown *ServerError
	told  bool // the ID command went ahead of the login
}

// login sends the credentials and returns the server's tagged answer. An error is
// no answer: the connection is closed then, and otherwise the caller's. Everything
// ends with ctx.
func (w *warmConn) login(ctx context.Context, cred *credentials) (answer, error) {
	mech, err := mechanism(cred.auth, w.caps, cred.authzid)
	if err != nil {
		w.base.Close()
		return answer{}, err
	}
	var id []byte
	if w.caps["ID"] {
		id = cred.id
	}
	saslIR := cred.saslIR && w.caps["SASL-IR"] // RFC 4959
	password := cred.password.Reveal()
	g := newGuard(w, id, saslIR, password)
	release := g.bind(ctx)
	defer release()

	client := imapclient.New(g, nil)
	switch mech {
	case authPlain:
		err = client.Authenticate(&plainClient{
			message: []byte(cred.authzid + "\x00" + cred.authcid + "\x00" + password),
			initial: saslIR,
		})
	case authSASLLogin:
		err = client.Authenticate(&loginClient{[]string{cred.authcid, password}})
	default:
		err = client.Login(cred.authcid, password).Wait()
	}
	client.Close() // waits for the library's goroutine; an answered connection stays open

	got, gerr := g.result()
	if gerr != nil {
		w.base.Close()
		return answer{}, deadlineCause(ctx, tidy(gerr))
	}
	if (err == nil) != (got.typ == "OK") { // the library and the guard must agree
		w.base.Close()
		return answer{}, fmt.Errorf("imapclient and guard disagree about %s", got.typ)
	}
	if got.typ == "OK" && afterthought(got.text) {
		if err := g.confirm(); err != nil {
			w.base.Close()
			return answer{}, deadlineCause(ctx, tidy(err))
		}
	}
	return answer{got, got.err(password), id != nil}, nil
}

// tidy gives a hang-up its name.
func tidy(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the server hung up without an answer: %w", err)
	}
	return err
}

// hungUp reports whether err means that the connection ended without an answer.
func hungUp(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &op) && !errors.Is(err, os.ErrDeadlineExceeded)
}

// saidBye reports whether err is the server's good-bye instead of an answer.
func saidBye(err error) bool {
	var se *ServerError
	return errors.As(err, &se) && se.Type == "BYE"
}

// logoutTime bounds the wait for the server to close after LOGOUT.
const logoutTime = 500 * time.Millisecond

// logout says good-bye and closes. Nobody waits for it but the slot of the
// connection, which is free when the server has closed its side too.
func (w *warmConn) logout() {
	w.base.SetDeadline(time.Now().Add(logoutTime))
	if _, err := io.WriteString(w.raw, "L1 LOGOUT\r\n"); err == nil {
		io.Copy(io.Discard, io.LimitReader(w.raw, maxTotal))
	}
	w.base.Close()
}

// alive reports whether the server still waits for us: open, and silent. It
// reads nothing of a connection that is. What it cannot tell is that the other
// end is gone without a trace.
func (w *warmConn) alive() bool {
	switch pending, err := peek(w.base); {
	case err != nil:
		return false
	case !pending:
		return true
	case w.raw == w.base:
		return false // a BYE, most likely; whatever it is, a new connection is better
	}
	// Under TLS the bytes may be session tickets (RFC 8446 §4.6.1), which this
	// read takes in; a deadline reached leaves tls.Conn as it was.
	w.base.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := w.raw.Read(make([]byte, 1))
	w.base.SetReadDeadline(time.Time{})
	return errors.Is(err, os.ErrDeadlineExceeded)
}
