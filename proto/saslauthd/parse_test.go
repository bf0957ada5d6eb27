package saslauthd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"imapauthd/proto"
)

const testMaxPassword = 200

// counted is a request of these strings.
func counted(fields ...string) string {
	var b []byte
	for _, f := range fields {
		b = binary.BigEndian.AppendUint16(b, uint16(len(f)))
		b = append(b, f...)
	}
	return string(b)
}

// parse is what read makes of a stream that brings raw at once, and then nothing.
func parse(f *Frontend, raw []byte) (proto.Request, error) {
	s, whole, refusal := split(raw)
	switch {
	case refusal != nil:
		return proto.Request{}, refusal
	case !whole:
		return proto.Request{}, errCut
	}
	return f.parser().request(s)
}

func TestParseAccepts(t *testing.T) {
	addr := netip.MustParseAddrPort
	long := strings.Repeat("x", maxField)
	tests := []struct {
		in     string
		join   bool
		want   proto.Request
		secret string
	}{
		{counted("bob", "secret", "smtp", ""), true, proto.Request{Authcid: "bob"}, "secret"},
		{counted("bob", "secret", "", ""), true, proto.Request{Authcid: "bob"}, "secret"},
		{counted("bob", " s\te\r\n\x01 ", "smtp", ""), true, proto.Request{Authcid: "bob"}, " s\te\r\n\x01 "},
		{counted(long, "secret", long, long), true, proto.Request{Authcid: long + "@" + long}, "secret"},
		// The realm.
		{counted("bob", "secret", "smtp", "example.com"), true, proto.Request{Authcid: "bob@example.com"}, "secret"},
		{counted("bob", "secret", "smtp", "example.com"), false, proto.Request{Authcid: "bob"}, "secret"},
		{counted("bob@a", "secret", "smtp", "b"), true, proto.Request{Authcid: "bob@a@b"}, "secret"},
		{counted("bob@a", "secret", "smtp", "b"), false, proto.Request{Authcid: "bob@a"}, "secret"},
		// The mail client's address.
		{counted("bob", "secret", "smtp", "", ""), true, proto.Request{Authcid: "bob"}, "secret"},
		{counted("bob", "secret", "smtp", "", "192.0.2.1;587"), true, proto.Request{Authcid: "bob", Client: addr("192.0.2.1:587")}, "secret"},
		{counted("bob", "secret", "smtp", "", "2001:db8::1;587"), true, proto.Request{Authcid: "bob", Client: addr("[2001:db8::1]:587")}, "secret"},
		{counted("bob", "secret", "smtp", "", "::ffff:192.0.2.1;587"), true, proto.Request{Authcid: "bob", Client: addr("192.0.2.1:587")}, "secret"},
		{counted("bob", "secret", "smtp", "", "192.0.2.1"), true, proto.Request{Authcid: "bob", Client: addr("192.0.2.1:0")}, "secret"},
		{counted("bob", "secret", "smtp", "", "fe80::1%eth0;587"), true, proto.Request{Authcid: "bob", Client: addr("[fe80::1]:587")}, "secret"},
		{counted("bob", "secret", "smtp", "", "fe80::1%\"\r\n;587"), true, proto.Request{Authcid: "bob", Client: addr("[fe80::1]:587")}, "secret"},
		// Bytes behind it.
		{counted("bob", "secret", "smtp", "", "192.0.2.1;587", "eve", "secret"), true, proto.Request{Authcid: "bob", Client: addr("192.0.2.1:587")}, "secret"},
	}
	for _, tt := range tests {
		got, err := parse(&Frontend{MaxPassword: testMaxPassword, JoinRealm: tt.join}, []byte(tt.in))
		if err != nil {
			t.Errorf("%.80q: %v", tt.in, err)
			continue
		}
		if secret := got.Password.Reveal(); secret != tt.secret {
			t.Errorf("%.80q: got password %q want %q", tt.in, secret, tt.secret)
		}
		got.Password = proto.Password{}
		if got != tt.want {
			t.Errorf("%.80q: got %+v want %+v", tt.in, got, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const no, later = proto.Reject, proto.TempFail
	long := strings.Repeat("x", maxField+1)
	tests := []struct {
		in   string
		want proto.Verdict
	}{
		// What a mail client can cause.
		{counted("", "secret", "smtp", ""), no},
		{counted("bob", "", "smtp", ""), no},
		{counted("", "secret", "smtp", "example.com"), no}, // "@example.com" is nobody
		{counted(long, "secret", "smtp", ""), no},
		{counted("bob", long, "smtp", ""), no},
		{counted("bob", "secret", long, ""), no},
		{counted("bob", "secret", "smtp", long), no},
		{counted("bob", "secret", "smtp", "", long), no},
		{"\xff\xff", no},            // as soon as it is known
		{"\x00\x03bob\x01\x01", no}, //
		{counted("bob", strings.Repeat("x", testMaxPassword+1), "smtp", ""), no},
		{counted("bo\x00b", "secret", "smtp", ""), no},
		{counted("bob\x00", "secret", "smtp", ""), no},
		{counted("bob", "sec\x00ret", "smtp", ""), no},
		{counted("bob", "secret", "sm\x00tp", ""), no},
		{counted("bob", "secret", "smtp", "\x00"), no},
		{counted("bob", "secret", "smtp", "", "192.0.2.1\x00"), no},
		{counted("bo\nb", "secret", "smtp", ""), no},
		{counted("bob\u0085", "secret", "smtp", ""), no},
		{counted("bob", "secret", "smtp", "example\t.com"), no},
		// What only the program there can cause.
		{"\x00", later},
		{"\x00\x03bo", later},
		{counted("bob", "secret", "smtp"), later},
		{counted("bob", "secret", "smtp", "") + "\x00", later},
		{counted("bob", "secret", "smtp", "") + "\x00\x0d192.0.2.1", later},
		{counted("bob", "secret", "smtp", "", "mail.example.com;25"), later},
		{counted("bob", "secret", "smtp", "", "192.0.2.1:587"), later},
		{counted("bob", "secret", "smtp", "", "192.0.2.1;65536"), later},
		{counted("bob", "secret", "smtp", "", "192.0.2.1;+1"), later},
		{counted("bob", "secret", "smtp", "", "192.0.2.1;1;2"), later},
		{counted("bob", "secret", "smtp", "", ";587"), later},
		{counted("bob", "", "smtp", "", "nowhere"), later}, // syntax first
	}
	for _, tt := range tests {
		_, err := parse(&Frontend{MaxPassword: testMaxPassword, JoinRealm: true}, []byte(tt.in))
		r, ok := errors.AsType[*proto.Refusal](err)
		if !ok {
			t.Errorf("%.80q: got %v want a refusal", tt.in, err)
		} else if r.Verdict != tt.want {
			t.Errorf("%.80q: got %v (%v) want %v", tt.in, r.Verdict, r, tt.want)
		}
	}
	// A realm that is ignored is still no place for a NUL.
	_, err := parse(&Frontend{MaxPassword: testMaxPassword}, []byte(counted("bob", "secret", "smtp", "\x00")))
	if err != errNUL {
		t.Errorf("a NUL in a realm that is ignored: got %v want %v", err, errNUL)
	}
}

// FuzzParse holds that a request is the strings that were counted and none else, and
// that it does not matter in what pieces they come.
func FuzzParse(f *testing.F) {
	f.Add([]byte(counted("bob", "secret", "smtp", "example.com")), true)
	f.Add([]byte(counted("bob", "secret", "smtp", "", "192.0.2.1;587")), false)
	f.Add([]byte(counted("bob", "secret", "smtp", "", "fe80::1%\";587")), false)
	f.Add([]byte("\x01\x01"), true)
	readers := map[bool]func([]byte) *proto.Request{} // which live on, as those of a thread
	for _, join := range []bool{true, false} {
		readers[join] = (&Frontend{MaxPassword: testMaxPassword, JoinRealm: join}).Reader()
	}
	f.Fuzz(func(t *testing.T, raw []byte, join bool) {
		var end int // how much is enough
		for end = range raw {
			if _, whole, refusal := split(raw[:end]); whole || refusal != nil {
				break
			}
		}
		s, whole, refusal := split(raw)
		if end > maxRequest {
			t.Fatalf("%d bytes are not enough", end)
		}
		if !whole || refusal != nil {
			return
		}
		again := []string{string(s.login), string(s.password), string(s.service), string(s.realm), string(s.client)}
		if four, five := counted(again[:4]...), counted(again...); string(raw) != four && !bytes.HasPrefix(raw, []byte(five)) {
			t.Fatalf("%q gave %q", raw, again)
		}
		req, err := (&Frontend{MaxPassword: testMaxPassword, JoinRealm: join}).parser().request(s)
		lent := readers[join](raw)
		if (err == nil) != (lent != nil) {
			t.Fatalf("%q gave %+v, %v and the reader %+v", raw, req, err, lent)
		}
		if err != nil {
			return
		}
		if lent.Authcid != req.Authcid || lent.Password.Reveal() != req.Password.Reveal() || lent.Client != req.Client {
			t.Fatalf("%q gave %+v and the reader %+v", raw, req, lent)
		}
		account := again[0]
		if join && again[3] != "" {
			account += "@" + again[3]
		}
		if req.Authcid != account || req.Password.Reveal() != again[1] {
			t.Fatalf("%q gave %+v", raw, req)
		}
		if strings.ContainsAny(req.Authcid, "\x00\t\r\n\x7f") || strings.Contains(again[1], "\x00") || len(again[1]) > testMaxPassword {
			t.Fatalf("%q gave %+v", raw, req)
		}
		if req.Client.Addr().Zone() != "" {
			t.Fatalf("%q gave a zone", raw)
		}
	})
}
