package proto

import (
	"net/netip"
	"strings"
	"unicode"
)

// Request is one question: is this the password of this account? The first part
// comes from the front-end, complete and checked; Trail is written on the way.
// A Request belongs to one goroutine; a copy of the struct is a copy of it.
type Request struct {
	// Authcid is the account whose password is checked, exactly as the mail
	// client gave it. Not empty, no NUL, no control character.
	Authcid string
	// Authzid is the account to act as (RFC 4616 §2); empty: the authcid itself.
	// No NUL, no control character.
	Authzid string
	// Password is not empty and holds no NUL.
	Password Password

	// Client is the mail client's address and Local the one it connected to.
	// The zero Addr or port 0: not told. Neither carries a zone.
	Client, Local netip.AddrPort
	// Secured tells that the mail client's connection was under TLS.
	Secured bool
	// Server is the name of a configured server, in place of routing by the
	// account's domain; empty: route.
	Server string
	// Session is the mail server's name for the session, for logs here and there.
	// Printable ASCII, at most 128 bytes.
	Session string

	// Trail is left by the links that the request passes.
	Trail Trail
}

// Validate applies the rules that hold on every front-end for what a mail client
// chooses. The error is a *Refusal that rejects, or nil.
func (r *Request) Validate(maxPassword int) error {
	switch {
	case r.Authcid == "" || r.Password.Len() == 0:
		return &Refusal{Reject, "the account or the password is empty"}
	case strings.ContainsFunc(r.Authcid, unicode.IsControl):
		return &Refusal{Reject, "a control character in the account"}
	case strings.ContainsFunc(r.Authzid, unicode.IsControl):
		return &Refusal{Reject, "a control character in the authzid"}
	case r.Password.hasNUL():
		return &Refusal{Reject, "a NUL in the password"}
	case r.Password.Len() > maxPassword:
		return &Refusal{Reject, "the password is longer than max_password"}
	}
	return nil
}

// Trail tells how a verdict came about.
type Trail struct {
	// Source is the link that decided.
	Source Source
	// Server is the name of the configured server that the account routes to.
	Server string
	// NoStore forbids to cache the verdict, whatever it is.
	NoStore bool
	// Known is what an IMAP server said of these very credentials when it was asked
	// last, if that is remembered though it does not count any more; TempFail: nothing.
	// The cache tells the links below it.
	Known Verdict
}
