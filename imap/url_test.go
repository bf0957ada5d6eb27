package imap

import (
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for in, want := range map[string]URL{
		"imap://localhost":           {"imap", "localhost", 143, ""},
		"imap://localhost:1143":      {"imap", "localhost", 1143, ""},
		"imaps://mail.example.com/":  {"imaps", "mail.example.com", 993, ""},
		"imaps://[2001:db8::1]:9930": {"imaps", "2001:db8::1", 9930, ""},
		"unix:///run/dovecot/imap":   {"unix", "", 0, "/run/dovecot/imap"},
		"imaps://B\u00fccher.test":   {"imaps", "xn--bcher-kva.test", 993, ""},
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
		"imap://user@x", "imap://u:p@x", "imap://u:p%zz@x", "imap://[fe80::1%25eth0]", "imap://x/INBOX", "imap://x?y", "imap://x#y", "imap://b\u00fc cher", "imap://\u2488.test", "unix://relative", "unix://",
	} {
		if got, err := ParseURL(in); err == nil {
			t.Errorf("%q was taken as %+v", in, got)
		} else if strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q is quoted back: %v", in, err)
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
