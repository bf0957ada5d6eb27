package dovecot

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"imapauthd/proto"
)

func TestParseRequest(t *testing.T) {
	addr := netip.MustParseAddrPort
	empty := []byte{}
	tests := []struct {
		in    string
		minor uint64
		want  request
	}{
		{"1\tPLAIN", 2, request{id: 1, mechanism: "PLAIN"}},
		{"4294967295\tscram-sha-1", 2, request{id: 4294967295, mechanism: "SCRAM-SHA-1"}},
		{"1\tPLAIN\tservice=smtp\tnologin\trip=192.0.2.7\trport=1\tlip=192.0.2.1\tlport=587\tsecured\tsession=a-1\tresp=AA==", 2,
			request{id: 1, mechanism: "PLAIN", client: addr("192.0.2.7:1"), local: addr("192.0.2.1:587"), secured: true, session: "a-1", response: []byte("AA==")}},
		// Addresses.
		{"1\tPLAIN\trip=2001:db8::1", 2, request{id: 1, mechanism: "PLAIN", client: addr("[2001:db8::1]:0")}},
		{"1\tPLAIN\trip=::ffff:192.0.2.7", 2, request{id: 1, mechanism: "PLAIN", client: addr("192.0.2.7:0")}},
		{"1\tPLAIN\trip=NULL\tlip=NULL", 2, request{id: 1, mechanism: "PLAIN"}},
		{"1\tPLAIN\trip=\tlip=unknown\trport=25", 2, request{id: 1, mechanism: "PLAIN"}},
		{"1\tPLAIN\trip", 2, request{id: 1, mechanism: "PLAIN"}},
		{"1\tPLAIN\trip=null", 2, request{id: 1, mechanism: "PLAIN", refusal: errAddress}},
		{"1\tPLAIN\trip=192.0.2.7\x01t", 2, request{id: 1, mechanism: "PLAIN", refusal: errAddress}},
		{"1\tPLAIN\tlip=fe80::1%eth0", 2, request{id: 1, mechanism: "PLAIN", refusal: errAddress}},
		{"1\tPLAIN\trport=-1", 2, request{id: 1, mechanism: "PLAIN", refusal: errAddress}},
		{"1\tPLAIN\tlport=x", 2, request{id: 1, mechanism: "PLAIN", refusal: errAddress}},
		// Names of sessions.
		{"1\tPLAIN\tsession=" + strings.Repeat("x", 128), 2, request{id: 1, mechanism: "PLAIN", session: strings.Repeat("x", 128)}},
		{"1\tPLAIN\tsession=" + strings.Repeat("x", 129), 2, request{id: 1, mechanism: "PLAIN"}},
		{"1\tPLAIN\tsession=a b", 2, request{id: 1, mechanism: "PLAIN"}},
		{"1\tPLAIN\tsession=a\x01nb", 2, request{id: 1, mechanism: "PLAIN"}},
		{"1\tPLAIN\tsession=\xc3\xa4", 2, request{id: 1, mechanism: "PLAIN"}},
		// One field is not another.
		{"1\tPLAIN\tsession=a\x01tsecured", 2, request{id: 1, mechanism: "PLAIN"}},
		{"1\tPLAIN\tservice=secured\tcert_username=x\x01trip=192.0.2.7", 2, request{id: 1, mechanism: "PLAIN"}},
		// The initial response.
		{"1\tPLAIN\tresp=", 0, request{id: 1, mechanism: "PLAIN"}},
		{"1\tPLAIN\tresp=", 1, request{id: 1, mechanism: "PLAIN"}},
		{"1\tPLAIN\tresp=", 2, request{id: 1, mechanism: "PLAIN", response: empty}},
		{"1\tPLAIN\tresp", 2, request{id: 1, mechanism: "PLAIN", response: empty}},
		{"1\tPLAIN\tresp==", 0, request{id: 1, mechanism: "PLAIN", response: empty}},
		{"1\tPLAIN\tresp==", 2, request{id: 1, mechanism: "PLAIN", response: empty}},
		{"1\tPLAIN\tresp=A=B", 2, request{id: 1, mechanism: "PLAIN", response: []byte("A=B")}},
	}
	for _, tt := range tests {
		got, refusal := parseRequest([]byte(tt.in), tt.minor)
		if refusal != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%.80q, minor %d: got %+v, %v want %+v", tt.in, tt.minor, got, refusal, tt.want)
		}
	}
	for _, in := range []string{"", "1", "1\t", "\tPLAIN", "0\tPLAIN", "-1\tPLAIN", "+1\tPLAIN", "1x\tPLAIN", "4294967296\tPLAIN",
		"1\tPLAIN\tresp=AA==\t", "1\tPLAIN\tresp=AA==\tresp=AA=="} {
		if got, refusal := parseRequest([]byte(in), 2); refusal == nil || refusal.Verdict != proto.TempFail {
			t.Errorf("%q: got %+v, %v want it refused", in, got, refusal)
		}
	}
}

func TestEscapes(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "",
		"alice@example.com":   "alice@example.com",
		"\x00\x01\t\r\n":      "\x010\x011\x01t\x01r\x01n",
		"\x010":               "\x0110",
		"a\tb\xff\xc3\xa4\\t": "a\x01tb\xff\xc3\xa4\\t",
	} {
		if got := string(appendEscaped(nil, text)); got != want {
			t.Errorf("%q: got %q want %q", text, got, want)
		}
		if got := unescape([]byte(want)); got != text {
			t.Errorf("%q: got %q want %q", want, got, text)
		}
	}
	// What nobody writes, as Dovecot reads it.
	for field, want := range map[string]string{"a\x01": "a", "\x01l": "l", "\x01\x01t": "\x01t"} {
		if got := unescape([]byte(field)); got != want {
			t.Errorf("%q: got %q want %q", field, got, want)
		}
	}
}

// FuzzEscape: what is escaped is one field, and itself again.
func FuzzEscape(f *testing.F) {
	f.Add("alice")
	f.Add("\x00\x01\t\r\n")
	f.Add("\x010\x01")
	f.Fuzz(func(t *testing.T, text string) {
		field := appendEscaped(nil, text)
		if bytes.ContainsAny(field, "\x00\t\r\n") || len(field) > 2*len(text) {
			t.Fatalf("%q: got %q", text, field)
		}
		if got := unescape(field); got != text {
			t.Fatalf("%q: got %q", text, got)
		}
		unescape([]byte(text))
	})
}

// FuzzRequest: a request is what was said, whatever is put into it, and one field never
// is two.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("1\tPLAIN\tservice=smtp\tsecured\trip=192.0.2.7\tlip=192.0.2.1\tnologin\tresp=AGFsaWNlAHNlY3JldA=="), uint64(0), "a-1")
	f.Add([]byte("1\tPLAIN\tservice=smtp\tnologin\tlip=2001:db8::1\trip=unknown\tsecured"), uint64(1), "secured\tresp=")
	f.Add([]byte("7\tCRAM-MD5\trip=fe80::1%\"\x01t;\tsession=\x01"), uint64(2), "\x01")
	f.Fuzz(func(t *testing.T, args []byte, minor uint64, session string) {
		before := bytes.Clone(args)
		req, refusal := parseRequest(args, minor)
		if !bytes.Equal(args, before) {
			t.Fatal("the line was changed")
		}
		if refusal != nil {
			return
		}
		if req.id == 0 || req.mechanism == "" || req.client.Addr().Zone() != "" || req.local.Addr().Zone() != "" || len(req.session) > 128 {
			t.Fatalf("%q gave %+v", args, req)
		}
		if strings.ContainsFunc(req.session, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("%q gave the session %q", args, req.session)
		}
		if response, ok := decode(req.response); ok && len(req.response) > 0 {
			if again := base64.StdEncoding.EncodeToString(response); len(again) != len(req.response) {
				t.Fatalf("%q was decoded to %q", req.response, response)
			}
		}
		// The same with a session of which the text may be anything.
		line := fmt.Appendf(nil, "%d\t%s\tsession=", req.id, req.mechanism)
		line = append(appendEscaped(line, session), "\trport=1"...)
		again, refusal := parseRequest(line, minor)
		if refusal != nil || again.id != req.id || again.secured || again.response != nil || again.client.IsValid() ||
			(again.session != "" && again.session != session) {
			t.Fatalf("%q gave %+v, %v", line, again, refusal)
		}
	})
}
