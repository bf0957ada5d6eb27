package imap

import (
	"bytes"
	"fmt"

	"imapauthd/proto"
)

// A client of DIGEST-MD5 signs the service that it talks to, digest-uri="smtp/host"
// (RFC 2831 §2.1.2). Dovecot does not look at it. Cyrus does (libsasl2 2.1.28,
// plugins/digestmd5.c), and says "NO authentication failure" as to a wrong password.
const digestMD5 = "DIGEST-MD5"

// isCyrus reads a greeting: "localhost Cyrus IMAP 3.10.2 server ready", unless serverinfo
// is min or off.
func isCyrus(greeting []byte) bool { return bytes.Contains(greeting, []byte("Cyrus IMAP")) }

// errAmbiguous is a NO that may be meant for the service.
var errAmbiguous = &proto.Refusal{Verdict: proto.TempFail, Reason: "the server refuses DIGEST-MD5 without a response code: it may mind that the client's digest-uri names another service, as Cyrus does"}

// ambiguous reports whether a NO may come of any digest-uri but the server's own. A
// response code tells what it came of.
func (e *exchange) ambiguous(s status) bool {
	return e.x.Mechanism == digestMD5 && s.typ == "NO" && s.code == ""
}

// relayable returns an error if a mechanism cannot be relayed over the connection.
func (o offer) relayable(mech string) error {
	switch {
	case !o.caps["AUTH="+mech]:
		return fmt.Errorf("the server does not offer %s", mech)
	case o.cyrus && mech == digestMD5:
		return fmt.Errorf("the server is Cyrus, which refuses %s for another service than its own", mech)
	}
	return nil
}
