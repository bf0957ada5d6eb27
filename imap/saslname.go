package imap

import (
	"strings"
	"unicode"

	"imapauthd/proto"
)

// account is whom an exchange proves: what the IMAP server was told, for its OK does
// not say.
type account struct {
	authcid string // empty: not read yet
	authzid string // the account to act as; empty: the authcid
}

// name returns the account that the server's OK lets in.
func (a account) name() string {
	if a.authzid != "" {
		return a.authzid
	}
	return a.authcid
}

// family is what mechanisms have in common whose messages are alike. What a family
// cannot read for certain is not passed on, so that the server and we cannot take one
// message for two names.
type family struct {
	// clientFirst: the client's first message needs no challenge (RFC 4422 §3).
	clientFirst bool
	// read reads the client's first message, which carries the names.
	read func(message []byte) (account, *proto.Refusal)
	// messages is how many the client has at most, the first among them. A server that
	// asks for more is not well.
	messages int
	// later reports whether the n-th message after the first, which there can be, is one
	// that the mechanism has. None of them carries a name.
	later func(n int, message []byte) bool
	// secret returns what of a message must not be shown. nil: the message.
	secret func(message []byte) string
}

// has reports whether the mechanism has this message, n after the first.
func (f *family) has(n int, message []byte) bool { return n < f.messages && f.later(n, message) }

// families are the mechanisms that can be relayed, but for SCRAM's, which are many.
var families = map[string]*family{
	"CRAM-MD5":    {messages: 1, read: cramName, secret: cramDigest},
	"DIGEST-MD5":  {messages: 2, read: digestName, later: emptyLater},
	"OAUTHBEARER": {clientFirst: true, messages: 2, read: oauthBearerName, later: oauthLater, secret: bearerToken},
	"XOAUTH2":     {clientFirst: true, messages: 2, read: xoauth2Name, later: oauthLater, secret: bearerToken},
}

var scram = &family{clientFirst: true, messages: 3, read: scramName, later: scramLater}

// familyOf returns a mechanism's family, or nil if it cannot be relayed: its name
// cannot be read, or it is bound to the TLS connection that it runs over (-PLUS).
func familyOf(mech string) *family {
	if hash, ok := strings.CutPrefix(mech, "SCRAM-"); ok && saslMechanism(mech) && hash != "" && !strings.HasSuffix(mech, "-PLUS") {
		return scram
	}
	return families[mech]
}

// saslMechanism holds RFC 4422 §3.1: 1 to 20 letters, digits, "-" and "_".
func saslMechanism(s string) bool {
	return s != "" && len(s) <= 20 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// emptyLater is a mechanism whose client answers the server's proof with nothing.
func emptyLater(_ int, message []byte) bool { return len(message) == 0 }

// unreadable is a message that is not the mechanism's, or leaves a doubt whom it
// names.
func unreadableName(why string) *proto.Refusal {
	return &proto.Refusal{Verdict: proto.Reject, Reason: "no account can be read from the client's message: " + why}
}

// checked holds for names out of an exchange what Request.Validate holds for others.
func (a account) checked() (account, *proto.Refusal) {
	switch {
	case a.authcid == "":
		return account{}, &proto.Refusal{Verdict: proto.Reject, Reason: "the account is empty"}
	case strings.ContainsFunc(a.authcid, unicode.IsControl):
		return account{}, &proto.Refusal{Verdict: proto.Reject, Reason: "a control character in the account"}
	case strings.TrimSpace(a.authcid) != a.authcid, strings.TrimSpace(a.authzid) != a.authzid:
		return account{}, unreadableName("a space at an end of the account") // servers differ in whether they skip it
	case strings.ContainsFunc(a.authzid, unicode.IsControl):
		return account{}, &proto.Refusal{Verdict: proto.Reject, Reason: "a control character in the authzid"}
	}
	if a.authzid == a.authcid {
		a.authzid = ""
	}
	return a, nil
}
