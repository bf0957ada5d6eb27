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

// repeats reports whether the password is in text, in either case of letters: raw,
// quoted as an IMAP string, or in base64 at any alignment, as it stands within a
// PLAIN message.
func repeats(text, password string) bool {
	text = strings.ToLower(text)
	forms := []string{password, quoter.Replace(password)}
	for shift := range 3 {
		forms = append(forms, base64Core(password, shift))
	}
	for _, f := range forms {
		if f != "" && strings.Contains(text, strings.ToLower(f)) {
			return true
		}
	}
	return false
}

// base64Core returns the characters that s alone decides when its base64 begins
// shift bytes after a multiple of three.
func base64Core(s string, shift int) string {
	enc := base64.RawStdEncoding.EncodeToString([]byte("\x00\x00"[:shift] + s))
	from := (shift*8 + 5) / 6      // characters that hold bits from before s
	to := (shift + len(s)) * 8 / 6 // characters that hold bits of s only
	return enc[min(from, to):to]
}
