package readsocket

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unsafe"

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

// Message is what one line says: a request, unless one of the others is set.
type Message struct {
	Request proto.Request
	Begin   *proto.Exchange // to be begun; its Challenge is not set
	Answer  *Answer
}

// Answer is a mail client's response to the challenge of an exchange.
type Answer struct {
	ID       string
	Response []byte
}

// Parse reads one line, as it came off the stream. maxPassword is in bytes. The error
// is a *proto.Refusal; an Answer beside it names an exchange that has failed by it.
func Parse(raw []byte, maxPassword int) (Message, error) {
	p := parser{maxPassword: maxPassword}
	return p.parse(bytes.Clone(raw))
}

// parser reads lines. What it returns lies in raw and in the parser: it is lent until
// the next line, and costs no memory of its own.
type parser struct {
	maxPassword int
	decoded     []byte // of base64
	password    string
}

// view is b as a string, which b's owner must leave alone meanwhile.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func (p *parser) parse(raw []byte) (Message, error) {
	end := bytes.IndexByte(raw, '\n')
	switch {
	case end < 0 && len(raw) >= MaxRequest, end >= MaxRequest:
		return Message{}, refuse("the request is longer than 16 KiB")
	case end < 0:
		return Message{}, refuse("no LF at the end of the request")
	case end < len(raw)-1:
		return Message{}, refuse("bytes after the LF")
	case bytes.IndexByte(raw, 0) >= 0:
		return Message{}, refuse("a NUL in the request")
	}
	line := raw[:end]
	tab := bytes.IndexByte(line, '\t')
	if tab < 0 {
		return p.parseFields(line)
	}
	if bytes.IndexByte(line[tab+1:], '\t') >= 0 {
		return Message{}, refuse("a second TAB in a plain request")
	}
	p.password = view(line[tab+1:])
	req := proto.Request{Authcid: view(line[:tab]), Password: proto.PasswordIn(&p.password)}
	return Message{Request: req}, req.Validate(p.maxPassword)
}

// keys are those of a line without TAB; key is one of them, and keySet several.
type (
	key    uint8
	keySet uint16
)

const (
	keyUser key = iota
	keyPass
	keyAuthzid
	keyRIP
	keyRPort
	keyLIP
	keyLPort
	keySecured
	keyServer
	keySession
	keyMech
	keyExchange
	keyResp
)

var keys = [...]string{"user", "pass", "authzid", "rip", "rport", "lip", "lport", "secured", "server", "session", "mech", "exchange", "resp"}

func (s keySet) has(k key) bool { return s&(1<<k) != 0 }

// fields are those of a line without TAB.
type fields struct {
	p            *parser
	seen         keySet
	req          proto.Request
	mech         string
	id           string
	resp         []byte // still base64
	rip, lip     netip.Addr
	rport, lport uint16
}

// parseFields reads the forms without TAB. The whole syntax comes before the
// first Reject: what the administrator must mend is never called a wrong password.
func (p *parser) parseFields(line []byte) (Message, error) {
	clear(p.decoded)
	p.decoded = p.decoded[:0]
	f := fields{p: p}
	for more := true; more; {
		var field []byte
		field, line, more = bytes.Cut(line, []byte{' '})
		if err := f.read(field); err != nil {
			return Message{}, err
		}
	}
	if f.rip.IsValid() {
		f.req.Client = netip.AddrPortFrom(f.rip, f.rport)
	}
	if f.lip.IsValid() {
		f.req.Local = netip.AddrPortFrom(f.lip, f.lport)
	}
	switch {
	case f.seen.has(keyExchange) || f.seen.has(keyResp):
		return f.answer()
	case f.seen.has(keyMech):
		return f.begin()
	case !f.seen.has(keyUser) || !f.seen.has(keyPass):
		return Message{}, mend("user or pass is missing")
	}
	return Message{Request: f.req}, f.req.Validate(p.maxPassword)
}

// read reads one field.
func (f *fields) read(field []byte) error {
	name, value, assigned := bytes.Cut(field, []byte{'='})
	k := key(slices.Index(keys[:], view(name)))
	switch {
	case int(k) < len(keys) && f.seen.has(k):
		return mend("a key stands twice")
	case !assigned && k != keySecured:
		return mend("a field is no key=value")
	case int(k) >= len(keys):
		return mend("a key is none of " + strings.Join(keys[:], " "))
	}
	f.seen |= 1 << k
	var err error
	switch k {
	case keyUser:
		f.req.Authcid, err = f.p.decode(value, k)
	case keyPass:
		f.p.password, err = f.p.decode(value, k)
		f.req.Password = proto.PasswordIn(&f.p.password)
	case keyAuthzid:
		f.req.Authzid, err = f.p.decode(value, k)
	case keyRIP:
		f.rip, err = address(value, k)
	case keyLIP:
		f.lip, err = address(value, k)
	case keyRPort:
		f.rport, err = port(value, k)
	case keyLPort:
		f.lport, err = port(value, k)
	case keySecured:
		f.req.Secured = !assigned
		if len(value) > 0 {
			err = mend("secured takes no value")
		}
	case keyServer:
		f.req.Server = view(value)
	case keySession:
		f.req.Session, err = session(value)
	case keyMech:
		f.mech = view(value)
	case keyExchange:
		f.id = view(value)
	case keyResp:
		f.resp = value
	}
	return err
}

// begin returns the exchange that a line with mech= begins.
func (f *fields) begin() (Message, error) {
	switch {
	case f.seen.has(keyUser) || f.seen.has(keyPass) || f.seen.has(keyAuthzid):
		return Message{}, mend("mech stands beside user, pass or authzid: the exchange itself tells the account")
	case f.seen.has(keyServer):
		return Message{}, mend("mech stands beside server: an exchange goes to the server without domains")
	case f.mech != "CRAM-MD5":
		return Message{}, mend("mech is not CRAM-MD5: other mechanisms need Exim's dovecot driver")
	}
	return Message{Begin: &proto.Exchange{
		Mechanism: f.mech,
		Client:    f.req.Client,
		Local:     f.req.Local,
		Secured:   f.req.Secured,
		Session:   f.req.Session,
	}}, nil
}

// answer returns the response that a line with exchange= carries.
func (f *fields) answer() (Message, error) {
	if f.seen != 1<<keyExchange|1<<keyResp {
		return Message{}, mend("exchange and resp stand by themselves, and both")
	}
	response, err := f.p.decode(f.resp, keyResp)
	if err != nil {
		return Message{Answer: &Answer{ID: f.id}}, refuse(err.Error())
	}
	return Message{Answer: &Answer{f.id, []byte(response)}}, nil
}

// strict is RFC 4648 §4 without leniency: padding, and no stray bits.
var strict = base64.StdEncoding.Strict()

// decode reads a base64 value.
func (p *parser) decode(value []byte, k key) (string, error) {
	start := len(p.decoded)
	var err error
	p.decoded, err = strict.AppendDecode(p.decoded, value)
	if err != nil || bytes.IndexByte(value, '\r') >= 0 { // which the decoder skips
		return "", mend(keys[k] + " is not base64 (write ${base64:…})")
	}
	return view(p.decoded[start:]), nil
}

// address reads an address, empty for none.
func address(value []byte, k key) (netip.Addr, error) {
	if len(value) == 0 {
		return netip.Addr{}, nil
	}
	a, err := proto.ParseAddress(view(value))
	if err != nil {
		return netip.Addr{}, mend(keys[k] + " is not an address")
	}
	return a, nil
}

// port reads a port; Exim gives 0 where there is no connection.
func port(value []byte, k key) (uint16, error) {
	if len(value) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(view(value), 10, 16)
	if err != nil {
		return 0, mend(keys[k] + " is not a port")
	}
	return uint16(n), nil
}

// session reads the mail server's name for the session.
func session(value []byte) (string, error) {
	if len(value) > maxSession {
		return "", mend("session is longer than 128 bytes")
	}
	if bytes.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", mend("session is not printable ASCII")
	}
	return view(value), nil
}
