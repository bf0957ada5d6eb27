package imap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// URL is one address of an IMAP server. The text forms are:
//
//	imap://HOST[:PORT]   port 143; loopback, or STARTTLS
//	imaps://HOST[:PORT]  port 993, TLS from the first byte (RFC 8314 §3.2)
//	unix:///PATH         a UNIX socket, in clear
//	srv                  whatever DNS SRV names for the domains of the table
//
// HOST is a name, an IPv4 address or an IPv6 address in brackets.
type URL struct {
	Scheme string // "imap", "imaps", "unix" or "srv"
	Host   string // name or address, without brackets; empty for unix
	Port   uint16 // 0 for unix
	Path   string // of the UNIX socket
}

// ParseURL reads the text forms above and nothing else: no user, no mailbox, no
// query, which RFC 5092 would allow and which would be ignored here.
func ParseURL(s string) (URL, error) {
	if s == srvScheme {
		return URL{Scheme: srvScheme}, nil
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return URL{}, fmt.Errorf("%q is not a server's URL (write imap://HOST, imaps://HOST, unix:///PATH or srv)", s)
	}
	switch scheme {
	case "unix":
		if !filepath.IsAbs(rest) {
			return URL{}, fmt.Errorf("%q needs an absolute path (write unix:///PATH)", s)
		}
		return URL{Scheme: scheme, Path: rest}, nil
	case "imap", "imaps":
	default:
		return URL{}, fmt.Errorf("%q has the unknown scheme %q (one of: imap, imaps, unix)", s, scheme)
	}
	if strings.Contains(rest, "@") { // before anything that would quote it
		return URL{}, errors.New("a server's URL takes no user and no password")
	}
	if strings.Count(rest, ":") > 1 && !strings.HasPrefix(rest, "[") {
		return URL{}, fmt.Errorf("%q has an IPv6 address without brackets, or two ports (write %s://[ADDRESS]:PORT)", s, scheme)
	}
	u, err := url.Parse(s)
	if err != nil {
		return URL{}, fmt.Errorf("%q is not a server's URL: %w", s, errors.Unwrap(err))
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return URL{}, fmt.Errorf("%q has something after the host", s)
	}
	out := URL{Scheme: scheme, Host: u.Hostname(), Port: 143}
	if scheme == "imaps" {
		out.Port = 993
	}
	if out.Host == "" {
		return URL{}, fmt.Errorf("%q names no host", s)
	}
	if strings.Contains(out.Host, "%") {
		return URL{}, fmt.Errorf("%q has an address with a zone (write a name, or an address that needs none)", s)
	}
	if out.Host, err = hostName(out.Host); err != nil {
		return URL{}, fmt.Errorf("%q has no valid host: %w", s, err)
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return URL{}, fmt.Errorf("%q has no valid port", s)
		}
		out.Port = uint16(n)
	}
	return out, nil
}

// srvScheme is the whole of a URL that stands for discovery.
const srvScheme = "srv"

// UnmarshalText reads a URL from the configuration.
func (u *URL) UnmarshalText(text []byte) (err error) {
	*u, err = ParseURL(string(text))
	return err
}

// MarshalText writes what UnmarshalText reads.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// String returns the text form, without a default port.
func (u URL) String() string {
	switch u.Scheme {
	case "unix":
		return "unix://" + u.Path
	case srvScheme:
		return srvScheme
	}
	host := u.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Port == 143 && u.Scheme == "imap" || u.Port == 993 && u.Scheme == "imaps" {
		return u.Scheme + "://" + host
	}
	return fmt.Sprintf("%s://%s:%d", u.Scheme, host, u.Port)
}

// network returns the arguments for net.Dialer.DialContext.
func (u URL) network() (network, address string) {
	if u.Scheme == "unix" {
		return "unix", u.Path
	}
	return "tcp", net.JoinHostPort(u.Host, strconv.Itoa(int(u.Port)))
}

// Loopback reports whether the URL names this machine by construction: a UNIX
// socket, localhost (RFC 6761 §6.3) or a loopback address. What a connection
// really reached is judged anew by its address (preamble.go).
func (u URL) Loopback() bool {
	if u.Scheme == "unix" || strings.EqualFold(strings.TrimSuffix(u.Host, "."), "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(u.Host)
	return err == nil && addr.Unmap().IsLoopback()
}
