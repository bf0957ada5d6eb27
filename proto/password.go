package proto

import (
	"fmt"
	"log/slog"
	"strings"
)

// hidden stands wherever a password would be printed.
const hidden = "[password]"

// Password holds a secret from the first byte read to the two places that need
// it: the cache's key and the IMAP login. No formatting verb, no encoder and no
// reflection shows it: the text lies behind a pointer, which prints as an address
// where its methods are not called (fields that are not exported).
type Password struct {
	text *string
}

// NewPassword hides text.
func NewPassword(text string) Password { return Password{&text} }

// PasswordIn hides *text, which its owner leaves alone as long as the Password is used.
// It costs no memory.
func PasswordIn(text *string) Password { return Password{text} }

// Reveal returns the secret. Only cache/key.go and imap/conn.go call it; a test
// holds that.
func (p Password) Reveal() string {
	if p.text == nil {
		return ""
	}
	return *p.text
}

// Len returns the secret's length in bytes.
func (p Password) Len() int {
	if p.text == nil {
		return 0
	}
	return len(*p.text)
}

// hasNUL reports whether the secret holds a NUL, which no protocol here can carry.
func (p Password) hasNUL() bool { return p.text != nil && strings.IndexByte(*p.text, 0) >= 0 }

// Format writes a fixed text, whatever the verb.
func (p Password) Format(f fmt.State, verb rune) { fmt.Fprint(f, hidden) }

// LogValue is what slog writes.
func (p Password) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText is what encoders (JSON, TOML) write.
func (p Password) MarshalText() ([]byte, error) { return []byte(hidden), nil }
