package imap

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"imapauthd/proto"
)

// FuzzRelay: whatever a server and a client say to each other, the exchange ends,
// there is an OK only where a whole line says so under the command's tag and the
// client's name went out first, and an unanswered connection is closed.
func FuzzRelay(f *testing.F) {
	messages := []string{cramAnswer, rfc2831, "n,,n=user,r=x", "c=biws,r=x,p=y", "user=u\x01auth=Bearer x\x01\x01", "n,a=u,\x01auth=Bearer x\x01\x01", ""}
	addServerLines(f, func(text string) {
		for mode := range byte(10) {
			f.Add(text, messages[int(mode)%len(messages)], "c=biws,r=x,p=y", mode)
		}
	})
	f.Add("+ PDE4\r\nT1 OK\r\n", cramAnswer, "", byte(0))
	f.Add("+ PDE4\r\n+ PDE4\r\nT1 OK\r\n", rfc2831, "", byte(1))
	f.Add("+ eA==\r\n+ eA==\r\nT1 OK\r\n", "n,,n=user,r=x", "c=biws,r=x,p=y", byte(7))
	mechs := []string{"CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "OAUTHBEARER", "XOAUTH2"}
	f.Fuzz(func(t *testing.T, text, first, second string, mode byte) {
		mech := mechs[int(mode)%len(mechs)]
		saslIR := mode >= byte(len(mechs))
		c := &canned{in: strings.NewReader(text)}
		w := &warmConn{raw: c, base: c, offer: offer{caps: caps{"AUTH=" + mech: true, "SASL-IR": saslIR}}}
		family := familyOf(mech)
		said := []string{first, second}
		e := &exchange{family: family, saslIR: true, x: &proto.Exchange{Mechanism: mech}}
		e.x.Challenge = func(context.Context, []byte) ([]byte, error) {
			if len(said) == 0 {
				return nil, proto.ErrAborted
			}
			s := said[0]
			said = said[1:]
			return []byte(s), nil
		}
		if family.clientFirst && e.first(t.Context()) != nil {
			return
		}
		got, err := w.relay(t.Context(), e)
		told := c.told.String()
		if err != nil {
			if !c.closed.Load() {
				t.Error("left open")
			}
			return
		}
		if e.err != nil && !strings.Contains(told, "*\r\n") {
			t.Errorf("given up, and told %q", told)
		}
		if e.err != nil || got.typ != "OK" {
			return
		}
		whole := false
		for line := range strings.Lines(text) {
			words := strings.Fields(line)
			whole = whole || strings.HasSuffix(line, "\n") && len(words) >= 2 && words[0] == "T1" && strings.EqualFold(words[1], "OK")
		}
		if !whole {
			t.Errorf("OK out of %q", text)
		}
		if e.account.authcid == "" || !strings.Contains(told, base64.StdEncoding.EncodeToString([]byte(first))) {
			t.Errorf("OK for %q before it was told: %q", e.account, told)
		}
	})
}
