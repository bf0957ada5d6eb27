package imap

import (
	"strings"
	"testing"
)

func TestCanonicalDomain(t *testing.T) {
	long := strings.Repeat("\u4e00", 4000)
	for in, want := range map[string]string{ // empty: none
		"Example.COM":                        "example.com",
		"example.com.":                       "example.com",
		"example.com\u3002":                  "example.com", // an ideographic full stop
		"b\u00dcCHER.example":                "xn--bcher-kva.example",
		"":                                   "",
		".":                                  "",
		".example.com":                       "",
		"example..com":                       "",
		"example.com..":                      "",
		"*":                                  "",
		"@example.com":                       "",
		"caf\xe9.example.com":                "", // Latin 1
		strings.Repeat("x", 63) + ".com":     strings.Repeat("x", 63) + ".com",
		strings.Repeat("x", 64) + ".com":     "",
		strings.Repeat("x.", 127) + "com":    "",
		strings.Repeat("x", 2000) + ".com":   "",
		long:                                 "",
		strings.Repeat("\u4e00.", 10) + "cn": strings.Repeat("xn--4gq.", 10) + "cn",
	} {
		got, err := CanonicalDomain(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.40q: got %.40q, %v want %.40q", in, got, err, want)
		}
	}
	// Mail clients choose what is converted, and converting takes quadratic time.
	if n := testing.AllocsPerRun(10, func() { CanonicalDomain(long) }); n > 2 {
		t.Errorf("a domain of %d bytes is looked into: %v allocations", len(long), n)
	}
}
