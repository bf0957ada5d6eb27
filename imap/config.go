package imap

// Config is one [[server]] table: an IMAP server and how to ask it.
type Config struct {
	// Name is how requests, logs and metrics call the server.
	Name string `toml:"name"`
	// URL lists the server's addresses, tried in order; or it is "srv" alone, for
	// those that DNS SRV (RFC 6186) names for each of Domains.
	URL []URL `toml:"url"`
	// SRVTargets lists names of servers outside of the domain that SRV may lead to,
	// and whose own name is then good enough for the certificate.
	SRVTargets []string `toml:"srv_targets"`
	// Domains lists the domains whose accounts the server knows: "example.com",
	// or "*.example.com" for every domain below it. Empty: every other account.
	Domains []string `toml:"domains"`
	// AnyDomain allows a server without domains that is not loopback.
	AnyDomain bool `toml:"any_domain"`
	// ByName keeps the server, which has no domains then, for requests that name it.
	ByName bool `toml:"by_name"`
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
// verdict: Cyrus with its backend down or its SASL misconfigured (libsasl2's
// sasl_errstring, lib/common.c, behind LOGIN's own words or alone), Courier
// with a command that it cannot parse (imap/imapd.c), Dovecot where LOGIN's mechanism is
// off (src/auth/auth-request-handler.c, with ALERT); and those who want TLS
// first, which is the administrator's to mend.
const defaultTempfailText = `^(Login failed: )?(generic failure|no mechanism available|no memory available|encryption needed to use mechanism|remote authentication server unavailable|transient failure|Too many open connections)` +
	`|^Error in IMAP command|^Unsupported authentication mechanism|^STARTTLS required|^Login only available under a layer`

// DefaultConfig is the server of a daemon that was told nothing.
func DefaultConfig() Config {
	return Config{
		Name:         "default",
		URL:          []URL{{Scheme: "imap", Host: "localhost", Port: 143}},
		SRVTargets:   []string{},
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
