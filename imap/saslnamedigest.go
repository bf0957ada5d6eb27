package imap

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"imapauthd/proto"
)

// digestName reads DIGEST-MD5's digest-response (RFC 2831 §2.1.2): directives, of
// which username, realm and authzid name the account. With a realm an account without
// a domain is the realm's (Dovecot, mech-digest-md5.c).
func digestName(message []byte) (account, *proto.Refusal) {
	d, refusal := digestDirectives(string(message))
	if refusal != nil {
		return account{}, refusal
	}
	name, realm := d["username"], d["realm"]
	if name == "" || d["response"] == "" {
		return account{}, unreadableName("DIGEST-MD5's has no username or no response")
	}
	if realm != "" && !strings.Contains(name, "@") {
		name += "@" + realm
	}
	// Without charset=utf-8 the names are ISO-8859-1, and some servers know only one
	// of the two.
	names := name + d["authzid"]
	notASCII := strings.ContainsFunc(names, func(r rune) bool { return r > unicode.MaxASCII })
	if notASCII && (!strings.EqualFold(d["charset"], "utf-8") || !utf8.ValidString(names)) {
		return account{}, unreadableName("the account is not ASCII and not said to be UTF-8")
	}
	return account{authcid: name, authzid: d["authzid"]}.checked()
}

// quotedDirectives must be quoted strings.
var quotedDirectives = map[string]bool{"username": true, "realm": true, "authzid": true}

// digestDirectives reads name=value pairs with commas between, each value a token or a
// quoted string. No name comes twice, and nothing is escaped that need not be:
// servers that unescape and those that do not must read the same.
func digestDirectives(s string) (map[string]string, *proto.Refusal) {
	d := make(map[string]string)
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return d, nil
		}
		name, rest, ok := strings.Cut(s, "=")
		name = strings.ToLower(name)
		if _, twice := d[name]; !ok || twice || !digestToken(name) {
			return nil, unreadableName("a directive of DIGEST-MD5's without a name, or twice")
		}
		var value string
		if quoted, is := strings.CutPrefix(rest, `"`); is {
			value, s, ok = digestQuoted(quoted)
		} else {
			value, s, _ = strings.Cut(rest, ",")
			s = "," + s
			value = strings.TrimRight(value, " \t")
			ok = digestToken(value) && !quotedDirectives[name]
		}
		s = strings.TrimLeft(s, " \t")
		if !ok || s != "" && s[0] != ',' {
			return nil, unreadableName("a directive of DIGEST-MD5's without its value")
		}
		d[name] = value
	}
}

// digestQuoted reads a quoted string whose first quote is gone.
func digestQuoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for {
		i := strings.IndexAny(s, `"\`)
		switch {
		case i < 0:
			return "", "", false
		case s[i] == '"':
			b.WriteString(s[:i])
			return b.String(), s[i+1:], true
		case i+1 == len(s) || s[i+1] != '"' && s[i+1] != '\\':
			return "", "", false
		}
		b.WriteString(s[:i])
		b.WriteByte(s[i+1])
		s = s[i+2:]
	}
}

// digestToken holds RFC 2831 §7.1, with what clients write of nc, qop and maxbuf.
func digestToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}
