package proto

import (
	"regexp"
	"slices"
	"strings"
)

// MechanismName reports whether name has the form of a SASL mechanism's (RFC 4422 §3.1).
func MechanismName(name string) bool {
	if name == "" || len(name) > 20 {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// Relayable reports whether an exchange by this mechanism can mean something to an IMAP
// server that has it from a relay. ANONYMOUS and EXTERNAL prove nothing of the mail
// client, Kerberos' tickets are for the relay's own name (RFC 4752, RFC 5801), and
// channel bindings (-PLUS, RFC 5802 §6) are there to find a relay out.
func Relayable(name string) bool {
	switch name {
	case "ANONYMOUS", "EXTERNAL", "GSSAPI", "GSS-SPNEGO":
		return false
	}
	return MechanismName(name) && !strings.HasPrefix(name, "GS2-") && !strings.HasSuffix(name, "-PLUS")
}

// scramName is what SCRAM's mechanisms are called (RFC 5802 §4, RFC 7677, and those to come).
var scramName = regexp.MustCompile(`^SCRAM-SHA(3)?-[0-9]+$`)

// offerable reports whether a mechanism that is not misspelt has this name: one of ours,
// or one out of which an account can be read.
func offerable(name string) bool {
	return scramName.MatchString(name) || slices.Contains([]string{"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "XOAUTH2", "OAUTHBEARER"}, name)
}
