package proto

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// KeyError is a value that a table of the configuration refuses. Key is the
// key's name within its table; main adds the table and the place in the file.
type KeyError struct {
	Key string
	Err error
}

func (e *KeyError) Error() string { return e.Key + ": " + e.Err.Error() }
func (e *KeyError) Unwrap() error { return e.Err }

// BadKey returns a KeyError with a formatted reason.
func BadKey(key, format string, args ...any) error {
	return &KeyError{key, fmt.Errorf(format, args...)}
}

// Duration is a time.Duration that reads as in "90s" or "10m".
type Duration time.Duration

// UnmarshalText reads Go's notation; a negative duration is refused.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration (write 90s, 10m or 1h30m)", text)
	}
	if v < 0 {
		return fmt.Errorf("%q is negative", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes what UnmarshalText reads, without the zero units that
// time.Duration.String appends ("10m", not "10m0s").
func (d Duration) MarshalText() ([]byte, error) {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return []byte(s), nil
}

// Mode is the permission bits of a socket, written in octal: "0660".
type Mode fs.FileMode

// UnmarshalText reads one to four octal digits, at most 0777.
func (m *Mode) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 8, 16)
	if err != nil || v > 0o777 {
		return fmt.Errorf("%q is not a file mode (write 0660)", text)
	}
	*m = Mode(v)
	return nil
}

// MarshalText writes four octal digits.
func (m Mode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04o", uint32(m)), nil }

// ListenConfig is one [[listen]] table: a socket and the protocol spoken on it.
type ListenConfig struct {
	// Protocol is the front-end: "readsocket", "saslauthd" or "dovecot".
	Protocol string `toml:"protocol"`
	// Socket is an absolute path, or "systemd:NAME" for a passed socket.
	Socket string `toml:"socket"`
	// Mode is the socket's mode, in force before anyone can connect.
	Mode Mode `toml:"mode"`
	// Group owns the socket, by name or number; empty: the daemon's own.
	Group string `toml:"group"`
	// Allow lists the local users who may ask, by name or number; empty:
	// whoever the mode lets in.
	Allow []string `toml:"allow"`
	// MaxConnections bounds the connections served at one time.
	MaxConnections int `toml:"max_connections"`
	// Realm says what becomes of a realm that stands beside the account
	// (protocol "saslauthd"): "join", account@realm, or "ignore".
	Realm string `toml:"realm"`
	// Mechanisms are the SASL mechanisms that are announced (protocol "dovecot"):
	// these, or with "-" before each all but these; empty: all there are.
	Mechanisms []string `toml:"mechanisms"`
	// RequireSecured refuses mechanisms that hand over the password, or a token,
	// to a mail client that is not under TLS (protocol "dovecot").
	RequireSecured bool `toml:"require_secured"`
}

// The values of ListenConfig.Realm.
const (
	RealmJoin   = "join"
	RealmIgnore = "ignore"
)

// DefaultListen is the listener of a table that says no more than its protocol, and
// for "readsocket" that of a daemon that was told nothing.
func DefaultListen(protocol string) ListenConfig {
	socket := "/run/imapauthd/readsocket.sock"
	switch protocol {
	case "saslauthd":
		socket = "/run/saslauthd/mux" // where its clients look (PATH_SASLAUTHD_RUNDIR)
	case "dovecot":
		socket = "/run/imapauthd/auth-client" // Dovecot's own name for it
	}
	return ListenConfig{
		Protocol:       protocol,
		Socket:         socket,
		Mode:           0o660,
		Allow:          []string{},
		MaxConnections: 1024,
		Realm:          RealmJoin,
		Mechanisms:     []string{},
	}
}

// maxSocketPath is the longest path that fits sockaddr_un with its NUL (unix(7)).
const maxSocketPath = 107

// systemdPrefix marks a socket that systemd passes by name (sd_listen_fds(3)).
const systemdPrefix = "systemd:"

// Validate returns a KeyError for the first value that cannot work. protocols
// names the front-ends there are.
func (c *ListenConfig) Validate(protocols []string) error {
	if !slices.Contains(protocols, c.Protocol) {
		return BadKey("protocol", "unknown protocol %q (one of: %s)", c.Protocol, strings.Join(protocols, ", "))
	}
	if name, ok := strings.CutPrefix(c.Socket, systemdPrefix); ok {
		if name == "" {
			return BadKey("socket", "systemd: needs the name of a passed socket")
		}
	} else if !filepath.IsAbs(c.Socket) {
		return BadKey("socket", "%q is neither an absolute path nor systemd:NAME", c.Socket)
	} else if len(c.Socket) > maxSocketPath {
		return BadKey("socket", "%q is longer than %d bytes, the most a socket's path can have", c.Socket, maxSocketPath)
	}
	if c.Mode&0o222 == 0 {
		return BadKey("mode", "nobody could connect: a client needs write permission (write 0660)")
	}
	if c.Group != "" {
		if _, err := lookupGroup(c.Group); err != nil {
			return &KeyError{"group", err}
		}
	}
	if _, err := lookupUsers(c.Allow); err != nil {
		return &KeyError{"allow", err}
	}
	if c.MaxConnections < 1 {
		return &KeyError{"max_connections", errors.New("must be at least 1")}
	}
	if c.Realm != RealmJoin && c.Realm != RealmIgnore {
		return BadKey("realm", "%q is neither %q nor %q", c.Realm, RealmJoin, RealmIgnore)
	}
	if c.Realm == RealmIgnore && c.Protocol != "saslauthd" {
		return BadKey("realm", "only saslauthd's clients tell a realm (leave it out for protocol = %q)", c.Protocol)
	}
	return c.validateMechanisms()
}

// validateMechanisms checks the keys of protocol "dovecot".
func (c *ListenConfig) validateMechanisms() error {
	if c.Protocol != "dovecot" {
		if len(c.Mechanisms) > 0 {
			return BadKey("mechanisms", "only dovecot's clients are told mechanisms (leave it out for protocol = %q)", c.Protocol)
		}
		if c.RequireSecured {
			return BadKey("require_secured", "only dovecot's clients tell whether there is TLS (leave it out for protocol = %q)", c.Protocol)
		}
	}
	for i, entry := range c.Mechanisms {
		key := fmt.Sprintf("mechanisms[%d]", i)
		name, forbidden := strings.CutPrefix(entry, "-")
		switch {
		case !MechanismName(name) || name[0] == '-':
			return BadKey(key, "%q is not a mechanism's name (write PLAIN, or -PLAIN for all but it)", entry)
		case forbidden != strings.HasPrefix(c.Mechanisms[0], "-"):
			return BadKey(key, "%q: either all names have a - before them (all but these) or none has (only these)", entry)
		case !forbidden && !Relayable(name):
			return BadKey(key, "%q cannot be relayed", entry)
		case Relayable(name) && !offerable(name):
			return BadKey(key, "no mechanism %q is ever offered (there are PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5, SCRAM-SHA-1, SCRAM-SHA-256 …, XOAUTH2, OAUTHBEARER)", name)
		}
	}
	return nil
}
