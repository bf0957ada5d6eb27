package imap

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"imapauthd/proto"
)

// serverName is what a name may be: it stands in requests, logs and labels.
var serverName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// placeholder finds what stands in braces in a username template.
var placeholder = regexp.MustCompile(`\{[^{}]*\}?|\}`)

// Validate returns a proto.KeyError for the first value that cannot work.
func (c *Config) Validate() error {
	if !serverName.MatchString(c.Name) {
		return proto.BadKey("name", "%q is not a name (letters, digits, dot, dash, underscore; at most 63)", c.Name)
	}
	if len(c.URL) == 0 {
		return &proto.KeyError{Key: "url", Err: errors.New("names no server (write [\"imaps://HOST\"])")}
	}
	if err := c.validateSRV(); err != nil {
		return err
	}
	if c.ByName && len(c.Domains) > 0 {
		return &proto.KeyError{Key: "by_name", Err: errors.New("is for a server without domains (a request can name every server)")}
	}
	if !c.AnyDomain && !c.ByName && len(c.Domains) == 0 {
		for i, u := range c.URL {
			if !u.Loopback() {
				return proto.BadKey(fmt.Sprintf("url[%d]", i), "%s is not this machine and has no domains, so every account there could send mail here: list its domains, or set any_domain = true", u)
			}
		}
	}
	for i, d := range c.Domains {
		if err := validDomain(d); err != nil {
			return proto.BadKey(fmt.Sprintf("domains[%d]", i), "%q is not a domain: %w", d, err)
		}
	}
	if err := validUsername(c.Username); err != nil {
		return &proto.KeyError{Key: "username", Err: err}
	}
	if _, err := c.roots(); err != nil {
		return &proto.KeyError{Key: "ca_file", Err: err}
	}
	if c.TLSName != "" {
		if _, err := hostName(c.TLSName); err != nil {
			return proto.BadKey("tls_name", "%q is not a host's name: %w", c.TLSName, err)
		}
	}
	for i, text := range c.PinSHA256 {
		if _, err := parsePin(text); err != nil {
			return &proto.KeyError{Key: fmt.Sprintf("pin_sha256[%d]", i), Err: err}
		}
	}
	if err := c.validateClientCert(); err != nil {
		return err
	}
	if c.Connections < 1 {
		return &proto.KeyError{Key: "connections", Err: errors.New("must be at least 1")}
	}
	if c.Warm < 0 {
		return &proto.KeyError{Key: "warm", Err: errors.New("must be at least 0 (0: none is kept warm)")}
	}
	switch c.Auth {
	case authAuto, authPlain, authLogin, authSASLLogin:
	default:
		return proto.BadKey("auth", "%q is no way to log in (one of: %s, %s, %s, %s)", c.Auth, authAuto, authPlain, authLogin, authSASLLogin)
	}
	if c.Alert != "reject" && c.Alert != "tempfail" {
		return proto.BadKey("alert", "%q is not a verdict (one of: reject, tempfail)", c.Alert)
	}
	if _, err := c.tempfailText(); err != nil {
		return proto.BadKey("tempfail_text", "is not a regular expression: %w", err)
	}
	return nil
}

// validDomain says of a domain what is wrong with it, in words for the mistakes that
// are made.
func validDomain(d string) error {
	name := strings.TrimPrefix(d, "*.")
	switch {
	case strings.HasPrefix(name, "."):
		return errors.New("it begins with a dot (write *.example.com for all below example.com)")
	case strings.Contains(name, "@"):
		return errors.New("it has an @ (write example.com)")
	case strings.Contains(name, "*"):
		return errors.New("only *. may stand before a domain (for every other account leave domains empty)")
	case strings.ContainsAny(name, ", ;"):
		return errors.New("it has a space or a comma (write each domain in quotes of its own)")
	}
	_, err := CanonicalDomain(name)
	return err
}

// discovers reports whether the servers are found by SRV.
func (c *Config) discovers() bool {
	return slices.ContainsFunc(c.URL, func(u URL) bool { return u.Scheme == srvScheme })
}

// validateSRV allows discovery for domains that are written out, and for nothing
// that a mail client could choose.
func (c *Config) validateSRV() error {
	for i, name := range c.SRVTargets {
		if _, err := CanonicalDomain(name); err != nil {
			return proto.BadKey(fmt.Sprintf("srv_targets[%d]", i), "%q is not a host's name: %w", name, err)
		}
	}
	if !c.discovers() {
		if len(c.SRVTargets) > 0 {
			return &proto.KeyError{Key: "srv_targets", Err: errors.New("is for url = [\"srv\"]")}
		}
		return nil
	}
	if len(c.URL) > 1 {
		return &proto.KeyError{Key: "url", Err: errors.New("\"srv\" stands alone (put other servers into a [[server]] of their own)")}
	}
	if len(c.Domains) == 0 {
		return &proto.KeyError{Key: "domains", Err: errors.New("must list the domains whose servers \"srv\" is to find")}
	}
	for i, d := range c.Domains {
		if strings.HasPrefix(d, "*.") {
			return proto.BadKey(fmt.Sprintf("domains[%d]", i), "%q has no servers of its own for \"srv\" to find (list each domain)", d)
		}
	}
	return nil
}

// validateClientCert wants both files or none, and a key that is the certificate's.
func (c *Config) validateClientCert() error {
	switch {
	case c.ClientCert == "" && c.ClientKey != "":
		return &proto.KeyError{Key: "client_cert", Err: errors.New("is needed with client_key")}
	case c.ClientCert != "" && c.ClientKey == "":
		return &proto.KeyError{Key: "client_key", Err: errors.New("is needed with client_cert")}
	}
	if _, err := c.clientCertificate(); err != nil {
		return &proto.KeyError{Key: "client_cert", Err: err}
	}
	return nil
}

// validUsername refuses a template without a placeholder, which would make
// every account one account, and placeholders that there are not.
func validUsername(s string) error {
	found := placeholder.FindAllString(s, -1)
	for _, p := range found {
		if p != "{user}" && p != "{local}" && p != "{domain}" {
			return fmt.Errorf("%q is not a placeholder (one of: {user}, {local}, {domain})", p)
		}
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("%q contains a control character", s)
	}
	if !strings.Contains(s, "{user}") && !strings.Contains(s, "{local}") {
		return fmt.Errorf("%q contains neither {user} nor {local}, so every account would be the same", s)
	}
	return nil
}
