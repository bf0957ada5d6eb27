package imap

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestRepeats(t *testing.T) {
	const password = `hun"ter2 is\long`
	b64 := base64.StdEncoding.EncodeToString
	for _, leak := range []string{
		password,
		quote(password),
		strings.ToUpper(password),
		b64([]byte(password)),
		strings.ToUpper(b64([]byte(password))),
		b64([]byte("\x00alice\x00" + password)),
		b64([]byte("\x00al\x00" + password)),
		b64([]byte("\x00ali\x00" + password)),
		b64([]byte("x\x00alice\x00" + password + "more")),
		strings.Repeat("x", maxText-5) + password, // across the cut
	} {
		for _, line := range []string{"T1 NO before " + leak + " after", "T1 NO [" + leak + "] x", "T1 NO [X " + leak + "] x", "T1 NO [" + leak[:3] + "]" + leak[3:]} {
			s, ok := parseStatus([]byte(line))
			if !ok {
				t.Fatal(line)
			}
			if got := s.err(password); got.Text != withheld || got.Code != "" {
				t.Errorf("%q is shown as %q", line, got)
			}
		}
	}
	s, _ := parseStatus([]byte("T1 NO [AUTHENTICATIONFAILED] Authentication failed."))
	if got := s.err(password).Error(); got != `the server said NO [AUTHENTICATIONFAILED] "Authentication failed."` {
		t.Errorf("got %s", got)
	}
	long := strings.Repeat("ä", maxText)
	if got := cut(long); len(got) > maxText+len("…") || !strings.HasPrefix(got, "ää") {
		t.Errorf("got %d bytes: %q", len(got), got)
	}
}
