package imap

import (
	"strings"

	"imapauthd/proto"
)

// scramName reads SCRAM's client-first-message (RFC 5802 §7): GS2 header, "n=" and
// the account, "r=" and a nonce. What may stand before "n=" is an extension that
// nobody has yet and everybody must refuse.
func scramName(message []byte) (account, *proto.Refusal) {
	authzid, bare, refusal := gs2Header(string(message))
	if refusal != nil {
		return account{}, refusal
	}
	n, rest, _ := strings.Cut(bare, ",")
	escaped, ok := strings.CutPrefix(n, "n=")
	if !ok || !strings.HasPrefix(rest, "r=") {
		return account{}, unreadableName("SCRAM's has no n= and r=")
	}
	name, refusal := saslName(escaped)
	if refusal != nil {
		return account{}, refusal
	}
	return account{authcid: name, authzid: authzid}.checked()
}

// scramLater: the client-final-message, and nothing in answer to the server's proof.
func scramLater(n int, message []byte) bool {
	if n == 1 {
		return strings.HasPrefix(string(message), "c=")
	}
	return len(message) == 0
}
