package imap

import (
	"encoding/base64"
	"strings"
)

// maxText is how much of a server's text goes to the log, in bytes.
const maxText = 200

// withheld stands for a text that repeats the password: some servers quote the
// command that they did not like.
const withheld = "(withheld: it repeats the password)"

// cut shortens a server's text for the log.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

// redact returns text for the log, or withheld if the password is in it: raw,
// quoted as an IMAP string, or in base64 at any alignment, as it stands within a
// PLAIN message.
func redact(text, password string) string {
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(password)
	if strings.Contains(text, password) || strings.Contains(text, quoted) {
		return withheld
	}
	for shift := range 3 {
		if core := base64Core(password, shift); core != "" && strings.Contains(text, core) {
			return withheld
		}
	}
	return cut(text)
}

// base64Core returns the characters that s alone decides when its base64 begins
// shift bytes after a multiple of three.
func base64Core(s string, shift int) string {
	enc := base64.RawStdEncoding.EncodeToString([]byte("\x00\x00"[:shift] + s))
	from := (shift*8 + 5) / 6      // characters that hold bits from before s
	to := (shift + len(s)) * 8 / 6 // characters that hold bits of s only
	return enc[min(from, to):to]
}
