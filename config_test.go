package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"imapauthd/imap"
	"imapauthd/proto"
)

// TestMistakes has one file per mistake.
func TestMistakes(t *testing.T) {
	tests := []struct {
		name, file string
		want       string // every line begins with "f:" or "f: "
	}{
		// Not TOML.
		{"no quotes", "[log]\nlevel = debug # more\n",
			`f:2:9: not TOML: unexpected character U+0064 'd' at start of value (are quotes missing? write "debug")`},
		{"mode without quotes", "[[listen]]\nmode = 0660",
			`f:2:8: not TOML: integers cannot have leading zeroes (are quotes missing? write "0660")`},
		{"duration without quotes", "timeout = 9s\n",
			`f:1:12: not TOML: strings must be quoted (are quotes missing? write "9s")`},
		{"path without quotes", "[control]\nsocket = /run/x.sock\n",
			`f:2:10: not TOML: unexpected character U+002F '/' at start of value (are quotes missing? write "/run/x.sock")`},
		{"no value", "timeout =\n",
			`f:1:10: not TOML: unexpected character U+000A at start of value`},
		{"large number", "max_password = 99999999999999999999\n",
			`f:1:16: not TOML: decimal number is too large to fit in a 64-bit signed integer`},
		{"open string", "timeout = \"9s\n",
			`f:1:14: not TOML: basic strings cannot have new lines`},
		{"key twice", "[log]\nlevel = \"info\"\nlevel = \"warn\"\n",
			`f:3:1: not TOML: key level is already defined`},
		{"boolean key twice", "[[server]]\nclient_ip = true\nclient_ip = true\n",
			`f:3:1: not TOML: key client_ip is already defined`},
		{"table twice", "[log]\n[cache]\n[log]\n",
			`f:3:2: not TOML: table log already exists`},
		{"NUL", "timeout = \"9s\x00\"\n",
			`f:1:14: not TOML: basic strings cannot have control characters`},
		{"NUL in a key", "time\x00out = \"9s\"\n",
			`f:1:5: not TOML: expected '=' after key`},
		{"not UTF-8", "[log]\nlevel = \"\xff\"\n",
			`f:2:10: not TOML: invalid UTF-8 character in basic string`},
		{"not UTF-8 in a comment", "# \xff\n",
			`f:1:3: not TOML: invalid UTF-8 character in comment`},

		// Unknown keys and tables.
		{"unknown key", "[cache]\nttl = \"1m\"\n",
			`f:2:1: cache.ttl: unknown key (one of: positive_ttl, negative_ttl, accounts, negative_accounts, grace)`},
		{"unknown key in capitals", "Timeout = \"9s\"\n",
			`f:1:1: Timeout: unknown key (one of: timeout, login_timeout, max_password, listen, server, cache, guard, log, metrics, control)`},
		{"unknown table", "[shared]\nx = 1\n",
			`f:1:2: shared: unknown key (one of: timeout, login_timeout, max_password, listen, server, cache, guard, log, metrics, control)`},
		{"unknown list of tables", "[[shared]]\nx = 1\n[[shared]]\n",
			`f:1:3: shared: unknown key (one of: timeout, login_timeout, max_password, listen, server, cache, guard, log, metrics, control)`},
		{"unknown table in a table", "[log]\n  [ log.file ]\npath = \"x\"\n",
			`f:2:9: log.file: unknown key (one of: level, format)`},
		{"unknown table in an element", "[[listen]]\n[[listen]]\nsocket = \"/a\"\n[listen.tls]\nx = 1\n",
			`f:4:9: listen.tls: unknown key (one of: protocol, socket, mode, group, allow, max_connections, realm, mechanisms, require_secured)`},
		{"unknown dotted key", "log.file.path = \"x\"\n",
			`f:1:5: log.file: unknown key (one of: level, format)`},
		{"unknown key in quotes", "[log]\n\"le vel\" = \"info\"\n",
			`f:2:1: log."le vel": unknown key (one of: level, format)`},
		{"unknown key in an inline table", "log = { level = \"info\", file = \"x\" }\n",
			`f:1:25: log.file: unknown key (one of: level, format)`},

		// Wrong types.
		{"duration as number", "timeout = 9\n",
			`f:1:11: timeout: must be a duration in quotes, not a whole number (write "90s", "10m" or "1h30m")`},
		{"mode as number", "[control]\nmode = 600\n",
			`f:2:8: control.mode: must be a file mode in quotes, not a whole number (write "0660")`},
		{"mode as octal number", "[[listen]]\nmode = 0o660\n",
			`f:2:8: listen.mode: must be a file mode in quotes, not a whole number (write "0660")`},
		{"number as string", "max_password = \"1024\"\n",
			`f:1:16: max_password: must be a whole number, not a string (write 1024)`},
		{"number as words", "max_password = \"many\"\n",
			`f:1:16: max_password: must be a whole number, not a string`},
		{"number as fraction", "max_password = 10.5\n",
			`f:1:16: max_password: must be a whole number, not a fraction`},
		{"number as date", "max_password = 1979-05-27\n",
			`f:1:16: max_password: must be a whole number, not a date or time`},
		{"boolean as string", "[[server]]\nper_address = \"true\"\n",
			`f:2:15: server.per_address: must be true or false, not a string (write true)`},
		{"boolean as yes", "[[server]]\nper_address = \"yes\"\n",
			`f:2:15: server.per_address: must be true or false, not a string`},
		{"string as number", "[[listen]]\ngroup = 1000\n",
			`f:2:9: listen.group: must be a string, not a whole number (write "1000")`},
		{"string as list", "[log]\nlevel = [\"info\"]\n",
			`f:2:9: log.level: must be a string, not a list`},
		{"string as table", "[log.level]\nx = 1\n",
			`f:1:1: log.level: must be a string, not a table`},
		{"list as string", "[[server]]\nurl = \"imap://x\"\n",
			`f:2:7: server.url: must be a list of strings, not a string (write ["imap://x"])`},
		{"list as boolean", "[[listen]]\nallow = true\n",
			`f:2:9: listen.allow: must be a list of strings, not true or false`},
		{"list of numbers", "[[listen]]\nallow = [\"root\", 1]\n",
			`f:2:18: listen.allow: must be a string, not a whole number (write "1")`},
		{"list in a list", "[[listen]]\nallow = [[\"root\"]]\n",
			`f:2:9: listen.allow: must be a string, not a list`},
		{"URL as number", "[[server]]\nurl = [143]\n",
			`f:2:8: server.url: must be a string, not a whole number (write "imaps://HOST")`},
		{"table as string", "log = \"debug\"\n",
			`f:1:7: log: must be a table, not a string (write [log])`},
		{"table as list", "[[log]]\nlevel = \"info\"\n",
			`f:1:1: log: must be a table, not a list (write [log])`},
		{"list of tables as table", "[server]\nname = \"x\"\n",
			`f:1:1: server: must be a list of tables, not a table (write [[server]])`},
		{"list of tables as string", "listen = \"/run/x\"\n",
			`f:1:10: listen: must be a list of tables, not a string (write [[listen]])`},
		{"list of tables as list of strings", "listen = [\"/run/x\"]\n",
			`f:1:11: listen: must be a table, not a string (write [[listen]])`},
		{"no list of tables", "listen = []\n",
			`f:1:10: listen: is empty (leave it out to have the default one)`},

		// Values that are no values of their types.
		{"no duration", "timeout = \"9\"\n",
			`f:1:11: timeout: "9" is not a duration (write 90s, 10m or 1h30m)`},
		{"negative duration", "[cache]\npositive_ttl = \"-1s\"\n",
			`f:2:16: cache.positive_ttl: "-1s" is negative`},
		{"no mode", "[[listen]]\nprotocol = \"readsocket\"\nmode = \"abc\"\n",
			`f:3:8: listen.mode: "abc" is not a file mode (write 0660)`},
		{"no URL", "[[server]]\nurl = [\n  \"imap://localhost\",\n  \"localhost\",\n]\n",
			`f:4:3: server.url: "localhost" is not a server's URL (write imap://HOST, imaps://HOST, unix:///PATH or srv)`},

		// Values that cannot work.
		{"no timeout", "timeout = \"0s\"\n", `f:1:11: timeout: must be more than 0s`},
		{"no login_timeout", "login_timeout = \"0s\"\n", `f:1:17: login_timeout: must be at least timeout (9s)`},
		{"login_timeout < timeout", "timeout = \"10s\"\nlogin_timeout = \"9s\"\n",
			`f:2:17: login_timeout: must be at least timeout (10s)`},
		{"timeout > login_timeout", "\ntimeout = \"31s\"\n",
			`f:2:11: login_timeout: must be at least timeout (31s)`},
		{"no max_password", "max_password = 0\n", `f:1:16: max_password: must be at least 1`},
		{"attempts", "[guard]\nattempts = -1\n",
			`f:2:12: guard.attempts: must be at least 0 (0: nobody is blocked)`},
		{"no block", "[guard]\nblock = \"0s\"\n",
			`f:2:9: guard.block: must be more than 0s (attempts = 0: nobody is blocked)`},
		{"max_block < block", "[guard]\nblock = \"2m\"\nmax_block = \"1m\"\n",
			`f:3:13: guard.max_block: must be at least block (2m)`},
		{"block > max_block", "[guard]\nblock = \"2h\"\n",
			`f:1:1: guard.max_block: must be at least block (2h)`},
		{"level", "[log]\nlevel = \"loud\"\n",
			`f:2:9: log.level: "loud" is not a level (one of: debug, info, warn, error)`},
		{"format", "[log]\nformat = \"xml\"\n",
			`f:2:10: log.format: "xml" is not a format (one of: auto, text, json)`},
		{"protocol", "[[listen]]\nprotocol = \"pop3\"\n",
			`f:2:12: listen.protocol: unknown protocol "pop3" (one of: readsocket, saslauthd, dovecot)`},
		{"realm", "[[listen]]\nprotocol = \"saslauthd\"\nrealm = \"strip\"\n",
			`f:3:9: listen.realm: "strip" is neither "join" nor "ignore"`},
		{"realm without saslauthd", "[[listen]]\nrealm = \"ignore\"\n",
			`f:2:9: listen.realm: only saslauthd's clients tell a realm (leave it out for protocol = "readsocket")`},
		{"mechanism", "[[listen]]\nprotocol = \"dovecot\"\nmechanisms = [\n  \"PLAIN\",\n  \"scram\",\n]\n",
			`f:5:3: listen.mechanisms: "scram" is not a mechanism's name (write PLAIN, or -PLAIN for all but it)`},
		{"mechanisms, and all but others", "[[listen]]\nprotocol = \"dovecot\"\nmechanisms = [\"PLAIN\", \"-LOGIN\"]\n",
			`f:3:24: listen.mechanisms: "-LOGIN": either all names have a - before them (all but these) or none has (only these)`},
		{"mechanism that nobody can relay", "[[listen]]\nprotocol = \"dovecot\"\nmechanisms = [\"GSSAPI\"]\n",
			`f:3:15: listen.mechanisms: "GSSAPI" cannot be relayed`},
		{"mechanisms without dovecot", "[[listen]]\nmechanisms = [\"PLAIN\"]\n",
			`f:2:14: listen.mechanisms: only dovecot's clients are told mechanisms (leave it out for protocol = "readsocket")`},
		{"require_secured without dovecot", "[[listen]]\nprotocol = \"saslauthd\"\nrequire_secured = true\n",
			`f:3:19: listen.require_secured: only dovecot's clients tell whether there is TLS (leave it out for protocol = "saslauthd")`},
		{"dovecot's default socket twice", "[[listen]]\nprotocol = \"dovecot\"\n[[listen]]\nprotocol = \"dovecot\"\n",
			`f:3:1: listen.socket: another [[listen]] has the socket "/run/imapauthd/auth-client" (give each its own)`},
		{"element's table", "[[listen]]\n[[listen]]\nsocket = \"x\"\n",
			`f:3:10: listen.socket: "x" is neither an absolute path nor systemd:NAME`},
		{"indented table", "[[server]]\n  [[server]]\n  domains = [\"b\"]\n",
			`f:2:3: server.name: another [[server]] has the name "default" (give each its own)`},
		{"inline table", "server = [{warm = -1}]\n",
			`f:1:19: server.warm: must be at least 0 (0: none is kept warm)`},
		{"srv and more", "[[server]]\nurl = [\"srv\", \"imap://localhost\"]\ndomains = [\"a\"]\n",
			`f:2:7: server.url: "srv" stands alone (put other servers into a [[server]] of their own)`},
		{"srv without domains", "[[server]]\nurl = [\"srv\"]\nany_domain = true\n",
			`f:1:1: server.domains: must list the domains whose servers "srv" is to find`},
		{"srv for a wildcard", "[[server]]\nurl = [\"srv\"]\ndomains = [\"a\", \"*.a\"]\n",
			`f:3:17: server.domains: "*.a" has no servers of its own for "srv" to find (list each domain)`},
		{"domain with an @", "[[server]]\ndomains = [\"@example.com\"]\n",
			`f:2:12: server.domains: "@example.com" is not a domain: it has an @ (write example.com)`},
		{"domain with a dot before it", "[[server]]\ndomains = [\".example.com\"]\n",
			`f:2:12: server.domains: ".example.com" is not a domain: it begins with a dot (write *.example.com for all below example.com)`},
		{"star", "[[server]]\ndomains = [\"*\"]\n",
			`f:2:12: server.domains: "*" is not a domain: only *. may stand before a domain (for every other account leave domains empty)`},
		{"domains in one string", "[[server]]\ndomains = [\"a.example, b.example\"]\n",
			`f:2:12: server.domains: "a.example, b.example" is not a domain: it has a space or a comma (write each domain in quotes of its own)`},
		{"tls_name with a port", "[[server]]\ntls_name = \"mail.example.com:993\"\n",
			`f:2:12: server.tls_name: "mail.example.com:993" is not a host's name: it is neither a host's name nor an address`},
		{"IPv6 without brackets", "[[server]]\nurl = [\"imap://::1\"]\n",
			`f:2:8: server.url: "imap://::1" has an IPv6 address without brackets, or two ports (write imap://[ADDRESS]:PORT)`},
		{"address that is none", "[[server]]\nurl = [\"imap://127.0.0.300\"]\n",
			`f:2:8: server.url: "imap://127.0.0.300" has no valid host: it is neither a host's name nor an address`},
		{"srv_targets without srv", "[[server]]\nsrv_targets = [\"mail.example.com\"]\n",
			`f:2:15: server.srv_targets: is for url = ["srv"]`},
		{"srv_targets", "[[server]]\nurl = [\"srv\"]\ndomains = [\"a\"]\nsrv_targets = [\"\"]\n",
			`f:4:16: server.srv_targets: "" is not a host's name: it is empty`},
		{"pin", "[[server]]\npin_sha256 = [\n  \"4pd4w0bGVQ8kgLBxkzdaW3hi1/pzMh+VkGUmhAmaQF0=\",\n  \"c2hvcnQ=\",\n]\n",
			`f:4:3: server.pin_sha256: "c2hvcnQ=" is not the base64 of 32 bytes`},
		{"certificate without key", "[[server]]\nclient_cert = \"/x.pem\"\n",
			`f:1:1: server.client_key: is needed with client_cert`},
		{"key without certificate", "[[server]]\nclient_key = \"/x.pem\"\n",
			`f:1:1: server.client_cert: is needed with client_key`},
		{"by_name with domains", "[[server]]\ndomains = [\"a\"]\nby_name = true\n",
			`f:3:11: server.by_name: is for a server without domains (a request can name every server)`},
		{"no client certificate", "[[server]]\nclient_key = \"/x.pem\"\nclient_cert = \"/x.pem\"\n",
			`f:3:15: server.client_cert: /x.pem and /x.pem: open /x.pem: no such file or directory`},
		{"way to log in", "[[server]]\nauth = \"LOGIN\"\n",
			`f:2:8: server.auth: "LOGIN" is no way to log in (one of: auto, plain, login, authenticate-login)`},
		{"regular expression", "[[server]]\ntempfail_text = \"(down\"\n",
			"f:2:17: server.tempfail_text: is not a regular expression: error parsing regexp: missing closing ): `(?i)(down`"},
		{"default in an inline table", "server = [{}, {domains = [\"b\"]}]\n",
			`f:1:15: server.name: another [[server]] has the name "default" (give each its own)`},
		{"dotted key", "cache.accounts = 0\n",
			`f:1:18: cache.accounts: must be at least 1`},

		// Between tables.
		{"socket twice", "[[listen]]\nsocket = \"/run/a\"\n[[listen]]\nsocket = \"/run/x/../a\"\n",
			`f:4:10: listen.socket: another [[listen]] has the socket "/run/a" (give each its own)`},
		{"passed socket twice", "[[listen]]\nsocket = \"systemd:a\"\n[[listen]]\nsocket = \"systemd:a\"\n",
			`f:4:10: listen.socket: another [[listen]] has the socket "systemd:a" (give each its own)`},
		{"default socket twice", "[[listen]]\n[[listen]]\n",
			`f:2:1: listen.socket: another [[listen]] has the socket "/run/imapauthd/readsocket.sock" (give each its own)`},
		{"saslauthd's default socket twice", "[[listen]]\n[[listen]]\nprotocol = \"saslauthd\"\n[[listen]]\nprotocol = \"saslauthd\"\n",
			`f:4:1: listen.socket: another [[listen]] has the socket "/run/saslauthd/mux" (give each its own)`},
		{"name twice", "[[server]]\nname = \"a\"\n[[server]]\ndomains = [\"b\"]\nname = \"a\"\n",
			`f:5:8: server.name: another [[server]] has the name "a" (give each its own)`},
		{"default name twice", "[[server]]\n[[server]]\ndomains = [\"b\"]\n",
			`f:2:1: server.name: another [[server]] has the name "default" (give each its own)`},
		{"domain twice", "[[server]]\ndomains = [\"a\", \"a\"]\n",
			`f:2:17: server.domains: "a" is listed twice`},
		{"domain of two", "[[server]]\ndomains = [\"bücher.example\"]\n[[server]]\nname = \"b\"\ndomains = [\n\"a\",\n\"XN--Bcher-KVA.Example.\"]\n",
			`f:7:1: server.domains: "XN--Bcher-KVA.Example." is a domain of another [[server]] (only one can have it)`},
		{"wildcard of two", "[[server]]\ndomains = [\"*.a\"]\n[[server]]\nname = \"b\"\ndomains = [\"*.A\"]\n",
			`f:5:12: server.domains: "*.A" is a domain of another [[server]] (only one can have it)`},
		{"no domains", "[[server]]\n[[server]]\nname = \"b\"\n",
			`f:2:1: server.domains: another [[server]] has no domains either, and only one can have every other account (list the domains of one, or set by_name = true in one that only server= is to reach)`},
		{"empty domains", "[[server]]\n[[server]]\nname = \"b\"\ndomains = []\n",
			`f:4:11: server.domains: another [[server]] has no domains either, and only one can have every other account (list the domains of one, or set by_name = true in one that only server= is to reach)`},

		// Several, in the order of the file.
		{"two", "[log]\nlevel = 1\nformat = \"xml\"\ncolour = true\n[cache]\naccounts = 0\n",
			"f:2:9: log.level: must be a string, not a whole number (write \"1\")\n" +
				"f:4:1: log.colour: unknown key (one of: level, format)\n" +
				"f:6:12: cache.accounts: must be at least 1"},
		{"in a table and around it", "max_password = 0\n[log]\nlevel = 1\n",
			"f:1:16: max_password: must be at least 1\n" +
				`f:3:9: log.level: must be a string, not a whole number (write "1")`},
		{"consequences are left out", "[[server]]\nurl = [\"imaps://mail.example.com\"]\ndomain = [\"example.com\"]\n",
			`f:3:1: server.domain: unknown key (one of: name, url, srv_targets, domains, any_domain, by_name, username, ca_file, tls_name, pin_sha256, client_cert, client_key, connections, warm, client_ip, per_address, auth, sasl_ir, alert, tempfail_text)`},
		{"top of the file", "timeout = 0\nmax_password = 0\n[log]\nlevel = \"\"\n",
			"f:1:11: timeout: must be a duration in quotes, not a whole number (write \"90s\", \"10m\" or \"1h30m\")\n" +
				`f:4:9: log.level: "" is not a level (one of: debug, info, warn, error)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parseConfig("f", []byte(tt.file))
			if err == nil || c != nil {
				t.Fatalf("got %v, %v, want an error", c, err)
			}
			if err.Error() != tt.want {
				t.Errorf("got\n%s\nwant\n%s", err, tt.want)
			}
			if _, ok := errors.AsType[mistakes](err); !ok {
				t.Errorf("got a %T, want mistakes", err)
			}
		})
	}
}

// TestDefaultAtFault has no place in the file to name.
func TestDefaultAtFault(t *testing.T) {
	d := decoder{positions: newPositions([]byte("[log]\n")), file: "f", bad: map[string]bool{}}
	d.fail("server[0].url", d.at("server[0].url"), errors.New("is wrong"))
	if got, want := d.mistakes.Error(), "f: server.url: is wrong"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestDefaultsOfElements: a list in the file takes the place of the default one,
// and an element's missing keys have their defaults.
func TestDefaultsOfElements(t *testing.T) {
	c, err := parseConfig("f", []byte("[[listen]]\nmode = \"0600\"\n[[server]]\nwarm = 1\n[[server]]\nname = \"b\"\ndomains = [\"b\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := defaultConfig()
	want.Listen[0].Mode = 0o600
	b := imap.DefaultConfig()
	b.Name, b.Domains = "b", []string{"b"}
	want.Server[0].Warm = 1
	want.Server = append(want.Server, b)
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%s\nwant\n%s", c, want)
	}
}

func TestRoundTrip(t *testing.T) {
	odd := defaultConfig()
	odd.Timeout = proto.Duration(1500 * time.Millisecond)
	odd.Cache.PositiveTTL = proto.Duration(24*time.Hour + time.Second)
	odd.Cache.NegativeTTL = 0
	odd.Listen[0].Socket = "/run/\"quoted\"\\back\\\ttab\x01\x7f/ünïcode 🔑.sock"
	odd.Listen[0].Mode = 0o002
	odd.Listen[0].Allow = []string{"root", "0"}
	odd.Listen = append(odd.Listen, proto.DefaultListen("dovecot"))
	odd.Listen[1].Mechanisms, odd.Listen[1].RequireSecured = []string{"-PLAIN", "-LOGIN"}, true
	odd.Server[0].URL = []imap.URL{{Scheme: "unix", Path: "/run/imap.sock"}, {Scheme: "imap", Host: "::1", Port: 1143}}
	odd.Server = append(odd.Server, imap.DefaultConfig())
	odd.Server[1].Name, odd.Server[1].Domains = "found", []string{"example.com"}
	odd.Server[1].URL, odd.Server[1].SRVTargets = []imap.URL{{Scheme: "srv"}}, []string{"mail.example.org"}
	odd.Server[0].TempfailText = "'[x]'\r\n"
	odd.Guard.Attempts, odd.Guard.Block = 10, proto.Duration(90*time.Second)
	odd.Log = logConfig{"debug", "json"}
	for _, c := range []*config{defaultConfig(), odd} {
		got, err := parseConfig("f", []byte(c.String()))
		if err != nil {
			t.Fatalf("%v in\n%s", err, c)
		}
		if !reflect.DeepEqual(got, c) {
			t.Errorf("got\n%s\nwant\n%s", got, c)
		}
	}
}

// FuzzParseConfig: whatever the file, each mistake is in it, and a configuration
// that is printed is the same when it is read again.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(defaultConfig().String()))
	f.Add([]byte("server = [{url = [['x']], \"a.b\".c = {}}]\n[[listen]]\n[listen.a.b]\n[[listen]]\nallow.x = 1\n"))
	f.Add([]byte("log.level = 'x'\r\n[[ \"ser ver\" . x ]]\r\n[cache]\r\naccounts=-1 # x\r\n"))
	corpus, err := filepath.Glob("tests/testdata/config/*.toml") // no folder beside main.go for it
	if err != nil || len(corpus) == 0 {
		f.Fatalf("no corpus: %v", err)
	}
	for _, file := range corpus {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(string(data), "ca_file") || strings.Contains(string(data), "client_cert") {
			t.Skip("would open files")
		}
		c, err := parseConfig("f", data)
		if err != nil {
			m, ok := errors.AsType[mistakes](err)
			if !ok || len(m) == 0 {
				t.Fatalf("got %v, want mistakes", err)
			}
			for _, m := range m {
				if m.offset >= len(data) || m.line > 1+strings.Count(string(data), "\n") {
					t.Errorf("%v is beyond the file", m)
				}
			}
			return
		}
		again, err := parseConfig("f", []byte(c.String()))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%v: got\n%s\nwant\n%s", err, again, c)
		}
	})
}
