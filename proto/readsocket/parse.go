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
	line := string(raw[:end])
	tab := strings.IndexByte(line, '\t')
	if tab < 0 {
		return parseFields(line, maxPassword)
	}
	if strings.IndexByte(line[tab+1:], '\t') >= 0 {
		return Message{}, refuse("a second TAB in a plain request")
	}
	req := proto.Request{Authcid: line[:tab], Password: proto.NewPassword(line[tab+1:])}
	return Message{Request: req}, req.Validate(maxPassword)
}

// fields are those of a line without TAB.
type fields struct {
	seen         map[string]bool
	req          proto.Request
	mech         string
	id, resp     string // resp is still base64
	rip, lip     netip.Addr
	rport, lport uint16
}

// parseFields reads the forms without TAB. The whole syntax comes before the
// first Reject: what the administrator must mend is never called a wrong password.
func parseFields(line string, maxPassword int) (Message, error) {
	f := fields{seen: make(map[string]bool, 10)}
	for field := range strings.SplitSeq(line, " ") {
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
	case f.seen["exchange"] || f.seen["resp"]:
		return f.answer()
	case f.seen["mech"]:
		return f.begin()
	case !f.seen["user"] || !f.seen["pass"]:
		return Message{}, mend("user or pass is missing")
	}
	return Message{Request: f.req}, f.req.Validate(maxPassword)
}

// read reads one field.
func (f *fields) read(field string) error {
	key, value, assigned := strings.Cut(field, "=")
	if f.seen[key] {
		return mend("a key stands twice")
	}
	f.seen[key] = true
	var err error
	switch {
	case key == "secured" && value == "":
		f.req.Secured = !assigned
	case key == "secured":
		err = mend("secured takes no value")
	case !assigned:
		err = mend("a field is no key=value")
	case key == "user":
		f.req.Authcid, err = decode(value, "user")
	case key == "pass":
		var text string
		text, err = decode(value, "pass")
		f.req.Password = proto.NewPassword(text)
	case key == "authzid":
		f.req.Authzid, err = decode(value, "authzid")
	case key == "rip":
		f.rip, err = address(value, "rip")
	case key == "lip":
		f.lip, err = address(value, "lip")
	case key == "rport":
		f.rport, err = port(value, "rport")
	case key == "lport":
		f.lport, err = port(value, "lport")
	case key == "server":
		f.req.Server = value
	case key == "session":
		f.req.Session, err = session(value)
	case key == "mech":
		f.mech = value
	case key == "exchange":
		f.id = value
	case key == "resp":
		f.resp = value
	default:
		err = mend("a key is none of user pass authzid rip rport lip lport secured server session mech exchange resp")
	}
	return err
}

// begin returns the exchange that a line with mech= begins.
func (f *fields) begin() (Message, error) {
	for _, key := range []string{"user", "pass", "authzid"} {
		if f.seen[key] {
			return Message{}, mend("mech stands beside user, pass or authzid: the exchange itself tells the account")
		}
	}
	switch {
	case f.seen["server"]:
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
	if !f.seen["exchange"] || !f.seen["resp"] || len(f.seen) != 2 {
		return Message{}, mend("exchange and resp stand by themselves, and both")
	}
	response, err := decode(f.resp, "resp")
	if err != nil {
		return Message{Answer: &Answer{ID: f.id}}, refuse(err.Error())
	}
	return Message{Answer: &Answer{f.id, []byte(response)}}, nil
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
