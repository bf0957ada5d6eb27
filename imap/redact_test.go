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

func TestParseStatus(t *testing.T) {
	for in, want := range map[string]status{
		"T1 NO [X-A b c] d e":                       {code: "X-A", args: "b c", text: "d e"},
		"T1 no   [unavailable]  x":                  {code: "UNAVAILABLE", text: " x"},
		"T1 NO":                                     {},
		"T1 NO x [Y] z":                             {text: "x [Y] z"},
		"T1 NO [UNAVAILABLE x":                      {code: unreadable, args: "x", text: "[UNAVAILABLE x"},
		"T1 NO [] [UNAVAILABLE] x":                  {code: unreadable, text: "[] [UNAVAILABLE] x"},
		"T1 NO [ UNAVAILABLE] x":                    {code: unreadable, args: "UNAVAILABLE", text: "[ UNAVAILABLE] x"},
		"T1 NO [\x1b]0;x] y":                        {code: unreadable, text: "[\x1b]0;x] y"},
		"T1 NO [" + strings.Repeat("X", 65) + "] y": {code: unreadable, text: "[" + strings.Repeat("X", 65) + "] y"},
	} {
		got, ok := parseStatus([]byte(in))
		want.tag, want.typ, want.raw = "T1", "NO", got.raw
		if !ok || got != want {
			t.Errorf("%q: got %+v want %+v", in, got, want)
		}
	}
}

func TestRule(t *testing.T) {
	accept, reject, later := "accept", "reject", "tempfail"
	tests := []struct {
		s     status
		want  string
		store bool
	}{
		{status{typ: "OK"}, accept, true},
		{status{typ: "OK", code: "REFERRAL"}, accept, true},
		{status{typ: "NO"}, reject, true},
		{status{typ: "NO", code: "AUTHENTICATIONFAILED"}, reject, true},
		{status{typ: "NO", code: "AUTHORIZATIONFAILED"}, reject, true},
		{status{typ: "NO", code: "EXPIRED"}, reject, true},
		{status{typ: "NO", code: "CONTACTADMIN"}, reject, true},
		{status{typ: "NO", code: "ALERT"}, reject, false},
		{status{typ: "NO", code: "UNAVAILABLE"}, later, false},
		{status{typ: "NO", code: "SERVERBUG"}, later, false},
		{status{typ: "NO", code: "CLIENTBUG"}, later, false},
		{status{typ: "NO", code: "INUSE"}, later, false},
		{status{typ: "NO", code: "LIMIT"}, later, false},
		{status{typ: "NO", code: "PRIVACYREQUIRED"}, later, false},
		{status{typ: "NO", code: "NOPERM"}, later, false},
		{status{typ: "NO", code: "REFERRAL"}, later, false},
		{status{typ: "NO", code: "X"}, later, false},
		{status{typ: "NO", code: unreadable}, later, false},
		{status{typ: "BAD"}, later, false},
		{status{typ: "BAD", code: "AUTHENTICATIONFAILED"}, later, false},
		{status{typ: "BYE"}, later, false},
		{status{}, later, false},
		// Servers without codes.
		{status{typ: "NO", text: "Login failed: authentication failure"}, reject, true}, // Cyrus
		{status{typ: "NO", text: "authentication failure"}, reject, true},
		{status{typ: "NO", text: "Login failed: generic failure"}, later, false},
		{status{typ: "NO", text: "generic failure"}, later, false},
		{status{typ: "NO", text: "Generic failure"}, later, false},
		{status{typ: "NO", text: "Login only available under a layer"}, later, false},
		{status{typ: "NO", text: "Login failed: remote authentication server unavailable"}, later, false},
		{status{typ: "NO", text: "Too many open connections (user)"}, later, false},
		{status{typ: "NO", text: "Login failed."}, reject, true}, // Courier
		{status{typ: "NO", text: "STARTTLS required"}, later, false},
		{status{typ: "NO", text: "Error in IMAP command received by server."}, later, false},
		{status{typ: "NO", code: "AUTHENTICATIONFAILED", text: "generic failure"}, reject, true},
		// Dovecot with auth_mechanisms = login, which has nothing for LOGIN.
		{status{typ: "NO", code: "ALERT", text: "Unsupported authentication mechanism."}, later, false},
	}
	cfg := DefaultConfig()
	for _, tt := range tests {
		if r := cfg.rule(tt.s); r.verdict.String() != tt.want || r.noStore == tt.store {
			t.Errorf("%+v: got %+v want %v, stored: %v", tt.s, r, tt.want, tt.store)
		}
	}
	cfg.Alert = "tempfail"
	if r := cfg.rule(status{typ: "NO", code: "ALERT"}); r.verdict.String() != later || !r.noStore {
		t.Errorf("alert = tempfail: got %+v", r)
	}
}

func TestParseURL(t *testing.T) {
	for in, want := range map[string]URL{
		"imap://localhost":           {"imap", "localhost", 143, ""},
		"imap://localhost:1143":      {"imap", "localhost", 1143, ""},
		"imaps://mail.example.com/":  {"imaps", "mail.example.com", 993, ""},
		"imaps://[2001:db8::1]:9930": {"imaps", "2001:db8::1", 9930, ""},
		"unix:///run/dovecot/imap":   {"unix", "", 0, "/run/dovecot/imap"},
		"imaps://192.0.2.1":          {"imaps", "192.0.2.1", 993, ""},
	} {
		got, err := ParseURL(in)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", in, got, err)
		}
		if again, err := ParseURL(got.String()); err != nil || again != got {
			t.Errorf("%s came back as %s: %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "localhost", "localhost:143", "http://x", "imap:localhost", "imap://", "imap://:143", "imap://x:0", "imap://x:99999",
		"imap://user@x", "imap://u:p@x", "imap://x/INBOX", "imap://x?y", "imap://x#y", "unix://relative", "unix://",
	} {
		if got, err := ParseURL(in); err == nil {
			t.Errorf("%q was taken as %+v", in, got)
		}
	}
}

func TestLoopback(t *testing.T) {
	for in, want := range map[string]bool{
		"imap://localhost": true, "imap://LOCALHOST.": true, "imap://127.9.9.9": true, "imap://[::1]": true, "unix:///x": true,
		"imap://[::ffff:127.0.0.1]": true, "imap://mail": false, "imap://10.0.0.1": false, "imap://localhost.example.com": false,
	} {
		u, err := ParseURL(in)
		if err != nil || u.Loopback() != want {
			t.Errorf("%s: got %v, %v want %v", in, u.Loopback(), err, want)
		}
	}
}
