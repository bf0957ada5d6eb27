package imap

import (
	"strings"

	"imapauthd/proto"
)

// gs2Header reads what SCRAM's and OAUTHBEARER's first messages begin with (RFC 5801
// §4): whether the exchange is bound to the client's TLS connection, and the authzid.
// A binding ("p=") cannot be relayed: that connection ends at the mail server.
func gs2Header(message string) (authzid, rest string, refusal *proto.Refusal) {
	flag, rest, _ := strings.Cut(message, ",")
	if strings.HasPrefix(flag, "p=") {
		return "", "", &proto.Refusal{Verdict: proto.Reject, Reason: "the client wants channel binding, which cannot be relayed"}
	}
	authzid, rest, ok := strings.Cut(rest, ",")
	if flag != "n" && flag != "y" || !ok {
		return "", "", unreadableName("no GS2 header")
	}
	if authzid == "" {
		return "", rest, nil
	}
	escaped, ok := strings.CutPrefix(authzid, "a=")
	if !ok {
		return "", "", unreadableName("the GS2 header has something else in place of the authzid")
	}
	authzid, refusal = saslName(escaped)
	return authzid, rest, refusal
}

// saslName unescapes a saslname (RFC 5801 §4, RFC 5802 §5.1).
func saslName(s string) (string, *proto.Refusal) {
	var b strings.Builder
	for {
		plain, escape, found := strings.Cut(s, "=")
		b.WriteString(plain)
		switch {
		case !found:
			if b.Len() == 0 {
				return "", unreadableName("an empty saslname")
			}
			return b.String(), nil
		case strings.HasPrefix(escape, "2C"):
			b.WriteByte(',')
		case strings.HasPrefix(escape, "3D"):
			b.WriteByte('=')
		default:
			return "", unreadableName("a saslname with an = that escapes nothing")
		}
		s = escape[2:]
	}
}
