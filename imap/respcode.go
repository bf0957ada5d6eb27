package imap

import (
	"regexp"

	"imapauthd/proto"
)

// ruling is what one answer means.
type ruling struct {
	verdict proto.Verdict
	noStore bool // not to be cached
}

// rulings is the one table from response codes of a NO to verdicts. A code that
// is not in it decides nothing.
var rulings = map[string]ruling{
	"":                     {proto.Reject, false},  // RFC 3501 §6.2.3: "NO - login failure"; but see textTempFail
	"AUTHENTICATIONFAILED": {proto.Reject, false},  // RFC 5530 §3
	"AUTHORIZATIONFAILED":  {proto.Reject, false},  // RFC 5530 §3: authenticated, but not as the authzid
	"EXPIRED":              {proto.Reject, false},  // RFC 5530 §3: the passphrase has expired
	"CONTACTADMIN":         {proto.Reject, false},  // RFC 5530 §3: support says why
	"UNAVAILABLE":          {proto.TempFail, true}, // RFC 5530 §3: a subsystem is down
	"SERVERBUG":            {proto.TempFail, true}, // RFC 5530 §3
	"CLIENTBUG":            {proto.TempFail, true}, // RFC 5530 §3
	"INUSE":                {proto.TempFail, true}, // RFC 5530 §3
	"LIMIT":                {proto.TempFail, true}, // RFC 5530 §3: Dovecot's user+IP limit
	"PRIVACYREQUIRED":      {proto.TempFail, true}, // RFC 5530 §3: ours to mend, by TLS
}

// textTempFail finds the answers without a telling response code that are no
// verdict: Cyrus (imap/imapd.c, lib/saslclient) with its backend down, Courier
// (imap/imapd.c) with a command that it cannot parse, Dovecot
// (src/auth/auth-request-handler.c, with ALERT) where LOGIN's mechanism is off; and
// of those who want TLS first, which is the administrator's to mend.
var textTempFail = regexp.MustCompile(`(?i)^(Login failed: )?(generic failure|remote authentication server unavailable|transient failure|Too many open connections)|^Error in IMAP command|^Unsupported authentication mechanism|^STARTTLS required|^Login only available under a layer`)

// rule turns the tagged answer to a login into a verdict. OK is the only way to
// Accept. ALERT is what Config.Alert makes of it, and never cached.
func (c *Config) rule(s status) ruling {
	switch {
	case s.typ == "OK":
		return ruling{proto.Accept, false}
	case s.typ != "NO":
		return ruling{proto.TempFail, true} // BAD: the server did not understand, RFC 9051 §7.1.3
	case (s.code == "" || s.code == "ALERT") && textTempFail.MatchString(s.text):
		return ruling{proto.TempFail, true}
	case s.code == "ALERT" && c.Alert == "reject":
		return ruling{proto.Reject, true}
	}
	if r, ok := rulings[s.code]; ok {
		return r
	}
	return ruling{proto.TempFail, true}
}
