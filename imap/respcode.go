package imap

import (
	"regexp"
	"strings"

	"imapauthd/proto"
)

// ruling is what one answer means.
type ruling struct {
	verdict proto.Verdict
	noStore bool // not to be cached
}

var (
	rejects   = ruling{proto.Reject, false}
	undecided = ruling{proto.TempFail, true} // nothing
)

// rulings is the one table from response codes of a NO to verdicts: every code of
// RFC 5530 and RFC 9051. Most of them have no business in the answer to a login,
// and then say nothing about the password. So does a code that is not here.
var rulings = map[string]ruling{
	"": rejects, // RFC 9051 §6.2.3: "NO - login failure"; but see Config.TempfailText

	// RFC 5530 §3
	"UNAVAILABLE":          undecided, // a subsystem is down
	"AUTHENTICATIONFAILED": rejects,
	"AUTHORIZATIONFAILED":  rejects,   // authenticated, but not as the authzid
	"EXPIRED":              rejects,   // the passphrase has expired
	"PRIVACYREQUIRED":      undecided, // ours to mend, by TLS
	"CONTACTADMIN":         rejects,   // support says why
	"NOPERM":               undecided,
	"INUSE":                undecided,
	"EXPUNGEISSUED":        undecided,
	"CORRUPTION":           undecided,
	"SERVERBUG":            undecided,
	"CLIENTBUG":            undecided,
	"CANNOT":               undecided,
	"LIMIT":                undecided, // Dovecot's user+IP limit, see limited
	"OVERQUOTA":            undecided,
	"ALREADYEXISTS":        undecided,
	"NONEXISTENT":          undecided,

	// RFC 9051 §7.1; ALERT is Config.Alert's
	"APPENDUID":      undecided,
	"BADCHARSET":     undecided,
	"CAPABILITY":     undecided,
	"CLOSED":         undecided,
	"COPYUID":        undecided,
	"HASCHILDREN":    undecided,
	"NOTSAVED":       undecided,
	"PARSE":          undecided,
	"PERMANENTFLAGS": undecided,
	"READ-ONLY":      undecided,
	"READ-WRITE":     undecided,
	"TRYCREATE":      undecided,
	"UIDNEXT":        undecided,
	"UIDNOTSTICKY":   undecided,
	"UIDVALIDITY":    undecided,
	"UNKNOWN-CTE":    undecided,
}

// judge turns answers into verdicts, as one [[server]] table wants it.
type judge struct {
	alertRejects bool
	tempfail     *regexp.Regexp // nil: no text is temporary
}

func (c *Config) judge() (judge, error) {
	re, err := c.tempfailText()
	return judge{c.Alert == "reject", re}, err
}

// tempfailText compiles Config.TempfailText. Servers differ in the case of letters
// even within one version.
func (c *Config) tempfailText() (*regexp.Regexp, error) {
	if c.TempfailText == "" { // which as an expression would match everything
		return nil, nil
	}
	return regexp.Compile("(?i)" + c.TempfailText)
}

// rule turns the tagged answer to a login into a verdict. OK is the only way to
// Accept. ALERT is what Config.Alert makes of it, and never cached.
func (j judge) rule(s status) ruling {
	switch {
	case s.typ == "OK":
		return ruling{proto.Accept, false}
	case s.typ != "NO":
		return undecided // BAD: the server did not understand, RFC 9051 §7.1.3
	case (s.code == "" || s.code == "ALERT") && j.tempfail != nil && j.tempfail.MatchString(s.text):
		return undecided
	case s.code == "ALERT" && j.alertRejects:
		return ruling{proto.Reject, true}
	}
	if r, ok := rulings[s.code]; ok {
		return r
	}
	return undecided
}

// userIPLimit is Dovecot's text where a user has too many connections from one
// address (src/imap/main.c, mail_max_userip_connections). Some builds of 2.3.19 give
// it with UNAVAILABLE instead of LIMIT.
const userIPLimit = "maximum number of connections from user+ip exceeded"

// limited reports whether a login failed at a limit that may be counted by the mail
// client's address.
func limited(s status) bool {
	return s.typ == "NO" && (s.code == "LIMIT" || strings.Contains(strings.ToLower(s.text), userIPLimit))
}
