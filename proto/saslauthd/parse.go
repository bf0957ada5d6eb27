package saslauthd

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"unsafe"

	"imapauthd/proto"
)

// What a mail client can cause, through a mail server that passes on what it said.
var (
	errTooLong    = &proto.Refusal{Verdict: proto.Reject, Reason: "a string is longer than 256 bytes"}
	errNoLogin    = &proto.Refusal{Verdict: proto.Reject, Reason: "the account is empty"}
	errNoPassword = &proto.Refusal{Verdict: proto.Reject, Reason: "the password is empty"}
	errNUL        = &proto.Refusal{Verdict: proto.Reject, Reason: "a NUL in the request"}
)

// What only the program at the other end can cause.
var (
	errCut    = &proto.Refusal{Verdict: proto.TempFail, Reason: "request does not parse: it ends within a string"}
	errClient = &proto.Refusal{Verdict: proto.TempFail, Reason: "request does not parse: the client is not ADDRESS;PORT"}
)

// fields are the strings of a request, in the order of the wire.
type fields struct {
	login, password, service, realm, client []byte
}

// split cuts what came off the stream into its strings, which go on being parts of
// raw. Not whole: there is more to come. Of client, nothing but no byte at all means
// that there is none. What follows it is no part of the request.
func split(raw []byte) (s fields, whole bool, refusal *proto.Refusal) {
	for i, field := range []*[]byte{&s.login, &s.password, &s.service, &s.realm, &s.client} {
		if i == 4 && len(raw) == 0 {
			return s, true, nil
		}
		if len(raw) < 2 {
			return s, false, nil
		}
		length := int(binary.BigEndian.Uint16(raw))
		if length > maxField {
			return s, false, errTooLong
		}
		if raw = raw[2:]; len(raw) < length {
			return s, false, nil
		}
		*field, raw = raw[:length], raw[length:]
	}
	return s, true, nil
}

// parser makes requests of the strings. They lie in raw and in the parser: they are lent
// until the next one, and cost no memory of their own.
type parser struct {
	joinRealm   bool
	maxPassword int
	name        []byte // login@realm
	password    string
}

// view is b as a string, which b's owner must leave alone meanwhile.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func (p *parser) request(s fields) (proto.Request, error) {
	for _, field := range [...][]byte{s.login, s.password, s.service, s.realm, s.client} {
		if bytes.IndexByte(field, 0) >= 0 {
			return proto.Request{}, errNUL
		}
	}
	client, err := parseClient(view(s.client))
	switch {
	case err != nil:
		return proto.Request{}, err
	case len(s.login) == 0:
		return proto.Request{}, errNoLogin
	case len(s.password) == 0:
		return proto.Request{}, errNoPassword
	}
	p.password = view(s.password)
	req := proto.Request{Authcid: view(s.login), Password: proto.PasswordIn(&p.password), Client: client}
	if p.joinRealm && len(s.realm) > 0 {
		p.name = append(append(append(p.name[:0], s.login...), '@'), s.realm...)
		req.Authcid = view(p.name)
	}
	return req, req.Validate(p.maxPassword)
}

// parseClient reads "ADDRESS;PORT", empty for none. The port may be missing. A zone
// (fe80::1%eth0) means something on the mail server only, and is left there.
func parseClient(text string) (netip.AddrPort, error) {
	if text == "" {
		return netip.AddrPort{}, nil
	}
	host, port, _ := strings.Cut(text, ";")
	host, _, _ = strings.Cut(host, "%")
	addr, err := proto.ParseAddress(host)
	if err != nil {
		return netip.AddrPort{}, errClient
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil && port != "" {
		return netip.AddrPort{}, errClient
	}
	return netip.AddrPortFrom(addr, uint16(n)), nil
}
