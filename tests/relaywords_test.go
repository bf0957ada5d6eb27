package tests

import (
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"
)

// relayRandom are what differs from one exchange to the next, or from one machine to the
// next, in a line of the handshake, or in a message that is decoded already.
var relayRandom = []struct {
	in  *regexp.Regexp
	out string
}{
	// The handshake: process ids, the number of the connection, the cookie.
	{regexp.MustCompile(`^([CS]PID|CUID)\t[0-9]+$`), "$1\tNUMBER"},
	{regexp.MustCompile(`^COOKIE\t[0-9a-f]{32}$`), "COOKIE\tHEX"},
	// CRAM-MD5 (RFC 2195 §2): the challenge and the digest.
	{regexp.MustCompile(`^<[0-9]+\.[0-9]+@[^>]+>$`), "<NONCE.TIME@HOST>"},
	{regexp.MustCompile(`^(\w+) [0-9a-f]{32}$`), "$1 HEX"},
	// DIGEST-MD5 (RFC 2831 §2.1).
	{regexp.MustCompile(`(c?nonce)="[^"]*"`), `$1="NONCE"`},
	{regexp.MustCompile(`(response|rspauth)=[0-9a-f]{32}`), "$1=HEX"},
	// SCRAM (RFC 5802 §5.1): nonce, salt, proof and the server's signature.
	{regexp.MustCompile(`(^|,)([rspv])=[^,]+`), "$1$2=RANDOM"},
	// OAuth (RFC 7628 §3.1).
	{regexp.MustCompile(`(Bearer )[\w.-]+`), "${1}TOKEN"},
	{regexp.MustCompile(`\bport=[0-9]+`), "port=NUMBER"},
}

func relayNamed(text string) string {
	for _, random := range relayRandom {
		text = random.in.ReplaceAllString(text, random.out)
	}
	return text
}

// relayToken is the token in Dovecot's OK.
var relayToken = regexp.MustCompile(`\ttoken=[\w.-]+`)

// relayPlain is a line as transcripts keep it: the exchange's number is ID, base64 is
// decoded and quoted, and what differs each time has a name.
func relayPlain(line string) string {
	side, line := line[:3], line[3:]
	fields := strings.Split(line, "\t")
	switch fields[0] {
	case "AUTH", "CONT", "OK", "FAIL", "CANCEL":
		if len(fields) > 1 {
			fields[1] = "ID"
		}
		last := &fields[len(fields)-1]
		if fields[0] == "CONT" {
			*last = relayDecoded(*last)
		} else if payload, ok := strings.CutPrefix(*last, "resp="); ok && payload != "" {
			*last = "resp=" + relayDecoded(payload)
		}
	default:
		return side + relayNamed(line)
	}
	return side + relayToken.ReplaceAllString(strings.Join(fields, "\t"), "\ttoken=TOKEN")
}

// relayDecoded is base64 decoded and quoted; what is none stays as it is.
func relayDecoded(payload string) string {
	text, err := base64.StdEncoding.DecodeString(payload)
	if err != nil {
		return payload
	}
	return strconv.Quote(relayNamed(string(text)))
}
