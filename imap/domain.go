package imap

import (
	"errors"
	"strings"

	"golang.org/x/net/idna"
)

// CanonicalDomain returns a domain as it is compared: IDNA A-labels (RFC 5891)
// in ASCII lower case, no dot at the end.
func CanonicalDomain(s string) (string, error) {
	s = strings.TrimSuffix(s, ".")
	if s == "" {
		return "", errors.New("it is empty")
	}
	return idna.Lookup.ToASCII(s)
}

// splitAuthcid returns what stands before and after the last "@".
func splitAuthcid(authcid string) (local, domain string) {
	i := strings.LastIndexByte(authcid, '@')
	if i < 0 {
		return authcid, ""
	}
	return authcid[:i], authcid[i+1:]
}
