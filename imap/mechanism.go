package imap

import (
	"errors"
	"fmt"

	"github.com/emersion/go-sasl"
)

// Values of Config.Auth: how the credentials are sent.
const (
	authAuto      = "auto"
	authPlain     = "plain"              // AUTHENTICATE PLAIN, RFC 4616
	authLogin     = "login"              // the LOGIN command, RFC 9051 §6.2.3
	authSASLLogin = "authenticate-login" // AUTHENTICATE LOGIN, draft-murchison-sasl-login-00
)

// capability is how a server offers each; the LOGIN command needs none.
var capability = map[string]string{authPlain: "AUTH=PLAIN", authSASLLogin: "AUTH=LOGIN"}

// Errors of a server that offers no way in for this request.
var (
	errNoMechanism = errors.New("the server offers neither AUTHENTICATE PLAIN nor LOGIN on this connection (LOGINDISABLED)")
	errNoAuthzid   = errors.New("an authzid needs AUTHENTICATE PLAIN, which the server does not offer")
	errAuthzid     = errors.New("an authzid needs AUTHENTICATE PLAIN, which auth does not allow")
)

// mechanism returns how to send credentials to a server with these capabilities.
// Of what is offered PLAIN comes first: it carries every byte and an authzid. LOGIN
// the command comes last: AUTHENTICATE has every byte in base64, and Dovecot with
// auth_mechanisms = login has no LOGIN command. What the administrator fixed is sent
// whether it is offered or not (Courier offers nothing in clear, and takes all),
// unless the server says LOGINDISABLED.
func mechanism(auth string, offered caps, authzid string) (string, error) {
	if authzid != "" {
		switch {
		case auth == authAuto && !offered["AUTH=PLAIN"]:
			return "", errNoAuthzid
		case auth != authAuto && auth != authPlain:
			return "", errAuthzid
		}
		auth = authPlain
	}
	if auth == authAuto {
		switch {
		case offered["AUTH=PLAIN"]:
			return authPlain, nil
		case offered["AUTH=LOGIN"]:
			return authSASLLogin, nil
		}
		auth = authLogin
	}
	// Who has LOGINDISABLED takes no password but by what it offers, which changes
	// under TLS.
	if offered["LOGINDISABLED"] && !offered[capability[auth]] {
		return "", errNoMechanism
	}
	return auth, nil
}

// responses returns how many responses a SASL mechanism has of its own.
func responses(mech string) (int, error) {
	switch mech {
	case "PLAIN":
		return 1, nil
	case "LOGIN":
		return 2, nil // the name, the password
	}
	return 0, fmt.Errorf("%w: AUTHENTICATE %.20q", errMisuse, mech)
}

// plainClient is SASL PLAIN (RFC 4616) as imapclient wants it: a response held
// back for the challenge, not an initial one, where SASL-IR is not offered, since
// the library gives an initial response up at an empty challenge.
type plainClient struct {
	message []byte
	initial bool
}

func (p *plainClient) Start() (mech string, ir []byte, err error) {
	if p.initial {
		return "PLAIN", p.message, nil
	}
	return "PLAIN", nil, nil
}

func (p *plainClient) Next([]byte) ([]byte, error) { return p.message, nil }

// loginClient is SASL LOGIN: the name for the first challenge, the password for the
// second, whatever they are called. go-sasl's wants its prompts to the letter, and
// the guard has replaced them.
type loginClient struct{ messages []string }

func (l *loginClient) Start() (mech string, ir []byte, err error) { return "LOGIN", nil, nil }

func (l *loginClient) Next([]byte) ([]byte, error) {
	if len(l.messages) == 0 {
		return nil, errAsksMore
	}
	m := l.messages[0]
	l.messages = l.messages[1:]
	return []byte(m), nil
}

var _, _ sasl.Client = (*plainClient)(nil), (*loginClient)(nil)
