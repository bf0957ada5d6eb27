package dovecot

import (
	"context"
	"slices"
	"strings"

	"imapauthd/proto"
)

// maxMechanisms bounds what is announced: more than any server has.
const maxMechanisms = 32

// flags returns what a MECH line says of a mechanism, as Dovecot 2.3.19 does. One that
// nobody knows may hand over anything, so it is "plaintext".
func flags(name string) string {
	switch {
	case name == "CRAM-MD5" || name == "NTLM":
		return "\tdictionary\tactive"
	case name == "DIGEST-MD5":
		return "\tdictionary\tactive\tmutual-auth"
	case strings.HasPrefix(name, "SCRAM-"):
		return "\tmutual-auth"
	}
	return "\tplaintext"
}

// plaintext reports whether whoever listens to an exchange has the password, or a token
// that is as good.
func plaintext(name string) bool { return flags(name) == "\tplaintext" }

// offer returns what is announced on a connection: PLAIN, LOGIN, and what can be relayed,
// as far as the listener allows it. A refused connection does not make anybody be asked.
func (f *Frontend) offer(ctx context.Context, refused bool) []string {
	var offered []string
	add := func(name string) {
		if f.allows(name) && !slices.Contains(offered, name) && len(offered) < maxMechanisms {
			offered = append(offered, name)
		}
	}
	add("PLAIN")
	add("LOGIN")
	if f.Relayer != nil && f.Relayable != nil && f.allowsRelayed() {
		for _, name := range f.relayable(ctx, refused) {
			if proto.Relayable(name) {
				add(name)
			}
		}
	}
	if len(offered) == 0 {
		offered = f.lastResort()
	}
	return offered
}

// relayable returns what can be relayed, or what could be when that was last known: an
// outage of the IMAP server must not change what mail servers see. A Postfix that takes
// none of the mechanisms left (with "noplaintext", say) would die of it.
func (f *Frontend) relayable(ctx context.Context, refused bool) []string {
	var names []string
	if !refused {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		names = f.Relayable(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if names != nil {
		f.known = names
	}
	return f.known
}

// allows applies the listener's key mechanisms.
func (f *Frontend) allows(name string) bool {
	switch {
	case len(f.Mechanisms) == 0:
		return true
	case strings.HasPrefix(f.Mechanisms[0], "-"):
		return !slices.Contains(f.Mechanisms, "-"+name)
	}
	return slices.Contains(f.Mechanisms, name)
}

// allowsRelayed reports whether the listener allows more than PLAIN and LOGIN.
func (f *Frontend) allowsRelayed() bool {
	return len(f.Mechanisms) == 0 || strings.HasPrefix(f.Mechanisms[0], "-") ||
		slices.ContainsFunc(f.Mechanisms, func(name string) bool { return name != "PLAIN" && name != "LOGIN" })
}

// lastResort is announced when nothing is left, since Postfix dies without a mechanism,
// and all mail with it: the administrator's own list, whose exchanges are a TempFail as
// long as the IMAP server is away; else CRAM-MD5, in which the mail client, which speaks
// second, hands over nothing before its exchange has failed.
func (f *Frontend) lastResort() []string {
	if len(f.Mechanisms) > 0 && !strings.HasPrefix(f.Mechanisms[0], "-") {
		return f.Mechanisms
	}
	return []string{"CRAM-MD5"}
}
