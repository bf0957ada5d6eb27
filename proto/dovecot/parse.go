package dovecot

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"

	"imapauthd/proto"
)

// broken is what only the program at the other end can cause, and what its author has
// to mend. It ends the connection.
func broken(reason string) *proto.Refusal {
	return &proto.Refusal{Verdict: proto.TempFail, Reason: "the client breaks the protocol: " + reason}
}

// What ends one exchange.
var (
	errAddress  = &proto.Refusal{Verdict: proto.TempFail, Reason: "rip or lip is not an address, or rport or lport not a port"}
	errBase64   = &proto.Refusal{Verdict: proto.Reject, Reason: "a response is not base64"}
	errNotPlain = &proto.Refusal{Verdict: proto.Reject, Reason: "a response is not that of PLAIN"}
	errNoName   = &proto.Refusal{Verdict: proto.Reject, Reason: "the account is empty"}
	errLongName = &proto.Refusal{Verdict: proto.Reject, Reason: "the account is longer than 1024 bytes"}
	errLong     = &proto.Refusal{Verdict: proto.Reject, Reason: errTooLong.Error()}
)

// maxSession is the longest name of a session that is passed on, in bytes.
const maxSession = 128

// request is an AUTH line.
type request struct {
	id        uint32
	mechanism string // in upper case
	client    netip.AddrPort
	local     netip.AddrPort
	secured   bool
	session   string
	// response is the initial one, in base64 and a part of the line; nil: there is none.
	response []byte
	// refusal: what is wrong with the parameters.
	refusal *proto.Refusal
}

// parseRequest reads what follows "AUTH" and its TAB.
func parseRequest(args []byte, minor uint64) (request, *proto.Refusal) {
	var req request
	id, rest, _ := bytes.Cut(args, tab)
	mechanism, rest, more := bytes.Cut(rest, tab)
	var ok bool
	if req.id, ok = parseID(id); !ok || len(mechanism) == 0 {
		return req, broken("AUTH without an id or a mechanism")
	}
	req.mechanism = strings.ToUpper(string(mechanism))
	var rip, lip netip.Addr
	var rport, lport uint16
	for more {
		var field []byte
		field, rest, more = bytes.Cut(rest, tab)
		key, value, _ := bytes.Cut(field, []byte("="))
		ok := true
		switch string(key) {
		case "resp":
			if more {
				return req, broken("a field after resp=")
			}
			req.response = initial(value, minor)
		case "rip":
			rip, ok = parseAddress(unescape(value))
		case "lip":
			lip, ok = parseAddress(unescape(value))
		case "rport":
			rport, ok = parsePort(unescape(value))
		case "lport":
			lport, ok = parsePort(unescape(value))
		case "secured":
			req.secured = true
		case "session":
			req.session = parseSession(unescape(value))
		}
		if !ok {
			req.refusal = errAddress
		}
	}
	if rip.IsValid() {
		req.client = netip.AddrPortFrom(rip, rport)
	}
	if lip.IsValid() {
		req.local = netip.AddrPortFrom(lip, lport)
	}
	return req, nil
}

var tab = []byte("\t")

// initial returns what resp= says, nil for no initial response.
func initial(value []byte, minor uint64) []byte {
	switch {
	case len(value) == 0 && minor < 2: // Exim (auth-request-handler.c)
		return nil
	case len(value) == 0 || string(value) == "=": // RFC 4954 §4
		return []byte{}
	}
	return value
}

// parseID reads an exchange's number.
func parseID(text []byte) (uint32, bool) {
	n, err := strconv.ParseUint(string(text), 10, 32)
	return uint32(n), err == nil && n > 0
}

// parseAddress reads an address, the zero one where there is none.
func parseAddress(text string) (netip.Addr, bool) {
	switch text {
	case "", "NULL", "unknown": // Exim without a connection; Postfix's CLIENT_ADDR_UNKNOWN
		return netip.Addr{}, true
	}
	a, err := proto.ParseAddress(text)
	return a, err == nil
}

// parsePort reads a port, 0 where there is none.
func parsePort(text string) (uint16, bool) {
	if text == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil
}

// parseSession returns the name of a session if it can be passed on.
func parseSession(text string) string {
	if len(text) > maxSession || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return text
}

// decode reads base64. The result is not nil, unless there is an error.
func decode(text []byte) ([]byte, bool) {
	if bytes.IndexByte(text, '\r') >= 0 { // the decoder would skip it
		return nil, false
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(b, text)
	if err != nil {
		clear(b)
		return nil, false
	}
	return b[:n], true
}

// splitPlain reads a response of PLAIN (RFC 4616 §2).
func splitPlain(response []byte) (authzid, authcid string, password proto.Password, ok bool) {
	parts := bytes.Split(response, []byte{0})
	if len(parts) != 3 {
		return "", "", proto.Password{}, false
	}
	return string(parts[0]), string(parts[1]), proto.NewPassword(string(parts[2])), true
}
