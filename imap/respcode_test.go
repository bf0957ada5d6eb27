package imap

import (
	"strings"
	"testing"
)

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
	j, err := cfg.judge()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		if r := j.rule(tt.s); r.verdict.String() != tt.want || r.noStore == tt.store {
			t.Errorf("%+v: got %+v want %v, stored: %v", tt.s, r, tt.want, tt.store)
		}
	}
	cfg.Alert, cfg.TempfailText = "tempfail", ""
	if j, err = cfg.judge(); err != nil {
		t.Fatal(err)
	}
	if r := j.rule(status{typ: "NO", code: "ALERT"}); r.verdict.String() != later || !r.noStore {
		t.Errorf("alert = tempfail: got %+v", r)
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

// TestEveryCode: each code of the table, in every case of letters, as it comes from
// a server.
func TestEveryCode(t *testing.T) {
	cfg := DefaultConfig()
	j, err := cfg.judge()
	if err != nil {
		t.Fatal(err)
	}
	rejected := 0
	for code, want := range rulings {
		for _, form := range []string{code, strings.ToLower(code), code + " with arguments"} {
			s, ok := parseStatus([]byte("T1 No [" + form + "] text"))
			if code == "" {
				s, ok = parseStatus([]byte("T1 nO text"))
			}
			if got := j.rule(s); !ok || got != want {
				t.Errorf("[%s]: got %+v want %+v", form, got, want)
			}
		}
		if want == rejects {
			rejected++
		}
	}
	// All others decide nothing, now and when the table grows by mistake.
	if rejected != 5 {
		t.Errorf("%d codes are Reject want 5", rejected)
	}
}
