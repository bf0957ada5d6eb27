package readsocket

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"

	"imapauthd/proto"
)

// maxSession bounds what goes into every log line and to the IMAP server.
const maxSession = 128

// refuse is a verdict that the mail client caused; mend one that only the
// administrator's condition can cause. Neither text quotes the request: any
// part of it may be a password that stands in the wrong place.
func refuse(reason string) error { return &proto.Refusal{Verdict: proto.Reject, Reason: reason} }
func mend(reason string) error {
	return &proto.Refusal{Verdict: proto.TempFail, Reason: "request does not parse: " + reason}
}

// Parse reads one request, as it came off the stream. maxPassword is in bytes.
// The error is a *proto.Refusal.
func Parse(raw []byte, maxPassword int) (proto.Request, error) {
	end := bytes.IndexByte(raw, '\n')
	switch {
	case end < 0 && len(raw) >= MaxRequest, end >= MaxRequest:
		return proto.Request{}, refuse("the request is longer than 16 KiB")
	case end < 0:
		return proto.Request{}, refuse("no LF at the end of the request")
	case end < len(raw)-1:
		return proto.Request{}, refuse("bytes after the LF")
	case bytes.IndexByte(raw, 0) >= 0:
		return proto.Request{}, refuse("a NUL in the request")
	}
	line := string(raw[:end])
	tab := strings.IndexByte(line, '\t')
	if tab < 0 {
		return parseExtended(line, maxPassword)
	}
	if strings.IndexByte(line[tab+1:], '\t') >= 0 {
		return proto.Request{}, refuse("a second TAB in a plain request")
	}
	req := proto.Request{Authcid: line[:tab], Password: proto.NewPassword(line[tab+1:])}
	return req, req.Validate(maxPassword)
}

// parseExtended reads the form without TAB. The whole syntax comes before the
// first Reject: what the administrator must mend is never called a wrong password.
func parseExtended(line string, maxPassword int) (proto.Request, error) {
	var req proto.Request
	seen := make(map[string]bool, 10)
	var rip, lip netip.Addr
	var rport, lport uint16
	for field := range strings.SplitSeq(line, " ") {
		key, value, assigned := strings.Cut(field, "=")
		if seen[key] {
			return req, mend("a key stands twice")
		}
		seen[key] = true
		var err error
		switch {
		case key == "secured" && value == "":
			req.Secured = !assigned
		case key == "secured":
			err = mend("secured takes no value")
		case !assigned:
			err = mend("a field is no key=value")
		case key == "user":
			req.Authcid, err = decode(value, "user")
		case key == "pass":
			var text string
			text, err = decode(value, "pass")
			req.Password = proto.NewPassword(text)
		case key == "authzid":
			req.Authzid, err = decode(value, "authzid")
		case key == "rip":
			rip, err = address(value, "rip")
		case key == "lip":
			lip, err = address(value, "lip")
		case key == "rport":
			rport, err = port(value, "rport")
		case key == "lport":
			lport, err = port(value, "lport")
		case key == "server":
			req.Server = value
		case key == "session":
			req.Session, err = session(value)
		default:
			err = mend("a key is none of user pass authzid rip rport lip lport secured server session")
		}
		if err != nil {
			return proto.Request{}, err
		}
	}
	if !seen["user"] || !seen["pass"] {
		return proto.Request{}, mend("user or pass is missing")
	}
	if rip.IsValid() {
		req.Client = netip.AddrPortFrom(rip, rport)
	}
	if lip.IsValid() {
		req.Local = netip.AddrPortFrom(lip, lport)
	}
	return req, req.Validate(maxPassword)
}

// strict is RFC 4648 §4 without leniency: padding, and no stray bits.
var strict = base64.StdEncoding.Strict()

// decode reads a base64 value.
func decode(value, key string) (string, error) {
	if strings.ContainsRune(value, '\r') { // the decoder would skip it
		return "", mend(key + " is not base64 (write ${base64:…})")
	}
	b, err := strict.DecodeString(value)
	if err != nil {
		return "", mend(key + " is not base64 (write ${base64:…})")
	}
	return string(b), nil
}

// address reads an address, empty for none.
func address(value, key string) (netip.Addr, error) {
	if value == "" {
		return netip.Addr{}, nil
	}
	a, err := proto.ParseAddress(value)
	if err != nil {
		return netip.Addr{}, mend(key + " is not an address")
	}
	return a, nil
}

// port reads a port; Exim gives 0 where there is no connection.
func port(value, key string) (uint16, error) {
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		return 0, mend(key + " is not a port")
	}
	return uint16(n), nil
}

// session reads the mail server's name for the session.
func session(value string) (string, error) {
	if len(value) > maxSession {
		return "", mend("session is longer than 128 bytes")
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", mend("session is not printable ASCII")
	}
	return value, nil
}
