package imap

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// CanonicalDomain returns a domain as it is compared: IDNA A-labels (RFC 5891)
// in ASCII lower case, no dot at the end.
func CanonicalDomain(s string) (string, error) {
	if s == "" {
		return "", errors.New("it is empty")
	}
	// Of 253 A-label bytes none stands for more than one character, of 4 bytes at
	// most. The conversion takes quadratic time, and mail clients choose s.
	if len(s) > 4*253 {
		return "", errors.New("it is longer than a domain can be")
	}
	if !utf8.ValidString(s) { // idna would take each odd byte for the same character
		return "", errors.New("it is not UTF-8")
	}
	s, err := idna.Lookup.ToASCII(s)
	if err != nil {
		return "", err
	}
	s = strings.TrimSuffix(s, ".") // only now: there are other dots than ASCII's
	// Lookup leaves lengths alone, an empty label's among them (RFC 1035 §2.3.4).
	if len(s) > 253 {
		return "", errors.New("it is longer than 253 bytes")
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return "", errors.New("a part of it is empty or longer than 63 bytes")
		}
	}
	return s, nil
}

// plainHost is what names of hosts consist of. The underscore is in no RFC, and in
// some names.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$`)

// hostName returns a host's name as DNS and certificates have it, or an address as it
// is.
func hostName(s string) (string, error) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, nil
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
		return CanonicalDomain(s)
	}
	last := strings.TrimSuffix(s, ".")
	last = last[strings.LastIndexByte(last, '.')+1:]
	if !plainHost.MatchString(s) || strings.Trim(last, "0123456789") == "" {
		return "", errors.New("it is neither a host's name nor an address")
	}
	return s, nil
}

// splitAuthcid returns what stands before and after the last "@".
func splitAuthcid(authcid string) (local, domain string) {
	i := strings.LastIndexByte(authcid, '@')
	if i < 0 {
		return authcid, ""
	}
	return authcid[:i], authcid[i+1:]
}
