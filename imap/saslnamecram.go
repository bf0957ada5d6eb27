package imap

import (
	"encoding/hex"
	"strings"

	"imapauthd/proto"
)

// cramName reads CRAM-MD5's only message (RFC 2195 §2): the account, a space, and 32
// hex digits. The last space divides, for the account may contain some (Dovecot,
// src/lib-sasl mech-cram-md5; libsasl2, cram.c).
func cramName(message []byte) (account, *proto.Refusal) {
	i := strings.LastIndexByte(string(message), ' ')
	if i < 0 {
		return account{}, unreadableName("no space in CRAM-MD5's")
	}
	name, digest := string(message[:i]), message[i+1:]
	if _, err := hex.Decode(make([]byte, 16), digest[:min(32, len(digest))]); err != nil || len(digest) != 32 {
		return account{}, unreadableName("no digest in CRAM-MD5's")
	}
	return account{authcid: name}.checked()
}

// cramDigest returns what of the message must not be shown.
func cramDigest(message []byte) string {
	return string(message[strings.LastIndexByte(string(message), ' ')+1:])
}
