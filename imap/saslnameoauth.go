package imap

import (
	"strings"

	"imapauthd/proto"
)

// oauthBearerName reads OAUTHBEARER's first message (RFC 7628 §3.1): GS2 header and
// key=value pairs. Its only name is the header's a=, which is optional there and
// needed here: without it nobody but the server knows whose the token is (Dovecot
// refuses it too: "Missing username or token").
func oauthBearerName(message []byte) (account, *proto.Refusal) {
	authzid, rest, refusal := gs2Header(string(message))
	if refusal != nil {
		return account{}, refusal
	}
	// Before the first pair stands a separator, after each, and after the last.
	pairs, ok := strings.CutPrefix(rest, "\x01")
	if !ok {
		return account{}, unreadableName("OAUTHBEARER's has no pairs")
	}
	keys, refusal := oauthPairs(pairs)
	if refusal != nil {
		return account{}, refusal
	}
	if _, ok := keys["user"]; ok {
		return account{}, unreadableName("OAUTHBEARER's has a user= of XOAUTH2")
	}
	return account{authcid: authzid}.checked()
}

// xoauth2Name reads XOAUTH2's first message, which Google describes
// (developers.google.com/gmail/imap/xoauth2-protocol): "user=" and the account,
// "auth=Bearer " and the token.
func xoauth2Name(message []byte) (account, *proto.Refusal) {
	keys, refusal := oauthPairs(string(message))
	if refusal != nil {
		return account{}, refusal
	}
	return account{authcid: keys["user"]}.checked()
}

// oauthPairs reads pairs of a key and a value, each with a 0x01 behind it, and one
// more at the end. No key comes twice, and a token must be there.
func oauthPairs(s string) (map[string]string, *proto.Refusal) {
	s, ok := strings.CutSuffix(s, "\x01\x01")
	if !ok {
		return nil, unreadableName("it does not end as OAuth's do")
	}
	keys := make(map[string]string)
	for pair := range strings.SplitSeq(s, "\x01") {
		key, value, ok := strings.Cut(pair, "=")
		if _, twice := keys[key]; !ok || twice || key == "" || strings.ToLower(key) != key {
			return nil, unreadableName("a pair without a key, or a key twice")
		}
		keys[key] = value
	}
	if !strings.HasPrefix(strings.ToLower(keys["auth"]), "bearer ") || bearerToken([]byte("auth="+keys["auth"])) == "" {
		return nil, unreadableName("no token")
	}
	return keys, nil
}

// oauthLater: the client's answer to the server's error says nothing (XOAUTH2), or
// 0x01 (RFC 7628 §3.2.3).
func oauthLater(_ int, message []byte) bool {
	return len(message) == 0 || string(message) == "\x01"
}

// bearerToken returns the token in a message.
func bearerToken(message []byte) string {
	for pair := range strings.SplitSeq(string(message), "\x01") {
		if value, ok := strings.CutPrefix(pair, "auth="); ok {
			_, token, _ := strings.Cut(value, " ")
			return strings.TrimSpace(token)
		}
	}
	return ""
}
