package imap

import (
	"strconv"
	"strings"

	"imapauthd/proto"
)

// idCommand returns the ID command (RFC 2971) that tells the server who the mail
// client is, in the fields that Dovecot takes from its login_trusted_networks
// (src/login-common/client-common.c: x-originating-ip …; x-session-id). nil:
// there is nothing to tell.
//
// The values are rendered anew from parsed ones, or printable ASCII by the
// front-end's grammar: nothing here can end the quoted string but what is escaped.
func idCommand(req *proto.Request) []byte {
	var fields []string
	add := func(name, value string) { fields = append(fields, quote(name), quote(value)) }
	if a := req.Client; a.Addr().IsValid() {
		add("x-originating-ip", a.Addr().WithZone("").String())
		if a.Port() != 0 {
			add("x-originating-port", strconv.Itoa(int(a.Port())))
		}
		if l := req.Local; l.Addr().IsValid() {
			add("x-connected-ip", l.Addr().WithZone("").String())
			if l.Port() != 0 {
				add("x-connected-port", strconv.Itoa(int(l.Port())))
			}
		}
	}
	if req.Session != "" {
		add("x-session-id", req.Session)
	}
	if len(fields) == 0 {
		return nil
	}
	return []byte(idTag + " ID (" + strings.Join(fields, " ") + ")\r\n")
}

// quoter escapes what a quoted string cannot hold as it is (RFC 9051 §4.3).
var quoter = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quote writes s as a quoted string.
func quote(s string) string { return `"` + quoter.Replace(s) + `"` }
