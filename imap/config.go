package imap

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"imapauthd/proto"
)

// Config is one [[server]] table: an IMAP server and how to ask it.
type Config struct {
	// Name is how requests, logs and metrics call the server.
	Name string `toml:"name"`
	// URL lists the server's addresses, tried in order.
	URL []URL `toml:"url"`
	// Domains lists the domains whose accounts the server knows: "example.com",
	// or "*.example.com" for every domain below it. Empty: every other account.
	Domains []string `toml:"domains"`
	// AnyDomain allows a server without domains that is not loopback.
	AnyDomain bool `toml:"any_domain"`
	// Username is what is sent as the account: {user} is the authcid, {local} and
	// {domain} are what stands before and after its last "@".
	Username string `toml:"username"`
	// CAFile holds the trusted certificates, PEM; read again when it changes. Empty:
	// the system's.
	CAFile string `toml:"ca_file"`
	// TLSName is the name to verify; empty: the URL's host.
	TLSName string `toml:"tls_name"`
	// PinSHA256 lists public keys of servers, each as the base64 of the SHA-256 of
	// its SubjectPublicKeyInfo (RFC 7469 §2.4). If it is not empty, the server's key
	// must be one of them, and its certificate need be nothing else, unless there
	// is a CAFile too.
	PinSHA256 []string `toml:"pin_sha256"`
	// ClientCert and ClientKey are PEM files with the certificate that is shown to
	// servers that ask for one, and its key; both or none; read again when they
	// change.
	ClientCert string `toml:"client_cert"`
	ClientKey  string `toml:"client_key"`
	// Connections bounds the connections open to one URL, of every kind.
	Connections int `toml:"connections"`
	// Warm bounds the connections kept warm for one URL, within Connections. 0:
	// none.
	Warm int `toml:"warm"`
	// ClientIP tells the server the mail client's address, by ID (RFC 2971).
	ClientIP bool `toml:"client_ip"`
	// PerAddress says that the server's verdict depends on that address.
	PerAddress bool `toml:"per_address"`
	// Auth is how credentials are sent: "auto" (the best that is offered), "plain"
	// (AUTHENTICATE PLAIN), "login" (the LOGIN command) or "authenticate-login".
	Auth string `toml:"auth"`
	// SASLIR sends PLAIN's response with the command (RFC 4959) where that is
	// offered. Some servers offer it and fail.
	SASLIR bool `toml:"sasl_ir"`
	// Alert is the verdict for NO [ALERT], which servers give both for disabled
	// accounts and for passing trouble: "reject" (not cached) or "tempfail".
	Alert string `toml:"alert"`
	// TempfailText is a regular expression (RE2 syntax, letters in either case) for
	// the text of a NO without a telling response code that is no verdict. Empty:
	// there is none.
	TempfailText string `toml:"tempfail_text"`
}

// defaultTempfailText finds what servers without response codes say instead of a
// verdict: Cyrus with its backend down (imap/imapd.c, lib/saslclient.c), Courier
// with a command that it cannot parse (imap/imapd.c), Dovecot where LOGIN's mechanism is
// off (src/auth/auth-request-handler.c, with ALERT); and those who want TLS
// first, which is the administrator's to mend.
const defaultTempfailText = `^(Login failed: )?(generic failure|remote authentication server unavailable|transient failure|Too many open connections)` +
	`|^Error in IMAP command|^Unsupported authentication mechanism|^STARTTLS required|^Login only available under a layer`

// DefaultConfig is the server of a daemon that was told nothing.
func DefaultConfig() Config {
	return Config{
		Name:         "default",
		URL:          []URL{{Scheme: "imap", Host: "localhost", Port: 143}},
		Domains:      []string{},
		Username:     "{user}",
		PinSHA256:    []string{},
		Connections:  16,
		Warm:         4,
		ClientIP:     true,
		Auth:         authAuto,
		SASLIR:       true,
		Alert:        "reject",
		TempfailText: defaultTempfailText,
	}
}

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
	if !c.AnyDomain && len(c.Domains) == 0 {
		for i, u := range c.URL {
			if !u.Loopback() {
				return proto.BadKey(fmt.Sprintf("url[%d]", i), "%s is not this machine and has no domains, so every account there could send mail here: list its domains, or set any_domain = true", u)
			}
		}
	}
	for i, d := range c.Domains {
		if _, err := CanonicalDomain(strings.TrimPrefix(d, "*.")); err != nil {
			return proto.BadKey(fmt.Sprintf("domains[%d]", i), "%q is not a domain: %w", d, err)
		}
	}
	if err := validUsername(c.Username); err != nil {
		return &proto.KeyError{Key: "username", Err: err}
	}
	if _, err := c.roots(); err != nil {
		return &proto.KeyError{Key: "ca_file", Err: err}
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
