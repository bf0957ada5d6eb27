package readsocket

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"imapauthd/proto"
)

const testMaxPassword = 1024

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// auth is the start of every good extended request below.
var auth = "user=" + b64("bob@d") + " pass=" + b64("secret")

func TestParseAccepts(t *testing.T) {
	addr := netip.MustParseAddrPort
	tests := []struct {
		in   string
		want proto.Request
		pass string
	}{
		// Plain.
		{"bob\tsecret\n", proto.Request{Authcid: "bob"}, "secret"},
		{"bob@example.com\t se cret \n", proto.Request{Authcid: "bob@example.com"}, " se cret "},
		{"bob\tsecret\r\n", proto.Request{Authcid: "bob"}, "secret\r"},
		{"user=Ym9i\tpass=eA==\n", proto.Request{Authcid: "user=Ym9i"}, "pass=eA=="}, // no extended one
		{"j\xf6rg\tgr\xfc\xdf\n", proto.Request{Authcid: "j\xf6rg"}, "gr\xfc\xdf"},
		{auth + "\tx\n", proto.Request{Authcid: auth}, "x"}, // forged in the name: an odd name, no more
		{"b b\t\x01\x7f\n", proto.Request{Authcid: "b b"}, "\x01\x7f"},
		{"bob\t" + strings.Repeat("x", testMaxPassword) + "\n", proto.Request{Authcid: "bob"}, strings.Repeat("x", testMaxPassword)},
		{strings.Repeat("u", MaxRequest-3) + "\tp\n", proto.Request{Authcid: strings.Repeat("u", MaxRequest-3)}, "p"},
		// Extended.
		{auth + "\n", proto.Request{Authcid: "bob@d"}, "secret"},
		{"pass=" + b64("a\tb\nc\rd") + " user=" + b64("bob") + "\n", proto.Request{Authcid: "bob"}, "a\tb\nc\rd"},
		{auth + " authzid=" + b64("al") + "\n", proto.Request{Authcid: "bob@d", Authzid: "al"}, "secret"},
		{auth + " rip=192.0.2.1 rport=587 lip=2001:db8::1 lport=25\n", proto.Request{Authcid: "bob@d",
			Client: addr("192.0.2.1:587"), Local: addr("[2001:db8::1]:25")}, "secret"},
		{auth + " rip=::ffff:192.0.2.1\n", proto.Request{Authcid: "bob@d", Client: addr("192.0.2.1:0")}, "secret"},
		{auth + " secured server=two session=1a2b-3\n", proto.Request{Authcid: "bob@d", Secured: true, Server: "two", Session: "1a2b-3"}, "secret"},
		{auth + " authzid= rip= rport= lip= lport= secured= server= session=\n", proto.Request{Authcid: "bob@d"}, "secret"},
		{auth + " rip= rport=0\n", proto.Request{Authcid: "bob@d"}, "secret"}, // exim -bs
	}
	for _, tt := range tests {
		got, err := Parse([]byte(tt.in), testMaxPassword)
		if err != nil {
			t.Errorf("Parse(%.80q): %v", tt.in, err)
			continue
		}
		if pass := got.Password.Reveal(); pass != tt.pass {
			t.Errorf("Parse(%.80q): got password %q want %q", tt.in, pass, tt.pass)
		}
		got.Password = proto.Password{}
		if got != tt.want {
			t.Errorf("Parse(%.80q): got %+v want %+v", tt.in, got, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const no, later = proto.Reject, proto.TempFail
	tests := []struct {
		in   string
		want proto.Verdict
	}{
		// What a mail client can cause.
		{"", no},
		{"\n", later}, // no TAB: no condition writes that
		{"bob\tsecret", no},
		{"bob", no},
		{"bob\tsecret\nx", no},
		{"bob\tsecret\n\n", no},
		{"bob\tpw\tsecret\n", no},   // authcid "bob<TAB>pw"
		{"bob\tpw\n\tsecret\n", no}, // authcid "bob<TAB>pw<LF>"
		{"bob\tx\ny\n", no},         // password "x<LF>y"
		{"\tsecret\n", no},          // empty authcid
		{"bob\t\n", no},             // empty password
		{"\t\n", no},                //
		{"bo\x00b\tsecret\n", no},   // NUL
		{"bob\tsec\x00ret\n", no},   //
		{"bo\rb\tsecret\n", no},     // control characters
		{"\x01bob\tsecret\n", no},   //
		{"bob\x7f\tsecret\n", no},   //
		{"bob\u0085\tsecret\n", no}, // C1
		{auth + "\n\tsecret\n", no}, // forged in the name of a plain one
		{"bob\t" + strings.Repeat("x", testMaxPassword+1) + "\n", no},
		{strings.Repeat("u", MaxRequest-2) + "\tp\n", no},
		{strings.Repeat("u", MaxRequest+1), no},
		{"user= pass=" + b64("x") + "\n", no},
		{"user=" + b64("bob") + " pass=\n", no},
		{"user=" + b64("bo\tb") + " pass=" + b64("x") + "\n", no},
		{"user=" + b64("bo\nb") + " pass=" + b64("x") + "\n", no},
		{"user=" + b64("bo\x00b") + " pass=" + b64("x") + "\n", no},
		{"user=" + b64("bob") + " pass=" + b64("x\x00y") + "\n", no},
		{auth + " authzid=" + b64("a\x00b") + "\n", no},
		{auth + " authzid=" + b64("a\x1fb") + "\n", no},
		{"user=" + b64("bob") + " pass=" + b64(strings.Repeat("x", testMaxPassword+1)) + "\n", no},
		// What only the administrator can cause.
		{"bob secret\n", later},
		{"bob\n", later},
		{"user=" + b64("bob") + "\n", later},
		{"pass=" + b64("x") + "\n", later},
		{auth + " \n", later},
		{"user=" + b64("bob") + "  pass=" + b64("x") + "\n", later},
		{auth + " user=" + b64("eve") + "\n", later},
		{auth + " secured secured\n", later},
		{auth + " secured=yes\n", later},
		{auth + " nologin\n", later},
		{auth + " service=smtp\n", later},
		{auth + " USER=" + b64("bob") + "\n", later},
		{"user=bob pass=secret\n", later},
		{"user=" + b64("bob") + " pass=eA\n", later},   // no padding
		{"user=" + b64("bob") + " pass=eB==\n", later}, // stray bits
		{"user=" + b64("bob") + " pass=eA\r==\n", later},
		{auth + " rip=NULL\n", later},
		{auth + " rip=fe80::1%eth0\n", later},
		{auth + " rip=fe80::1%\"x\r\n", later},
		{auth + " rip=192.0.2.1:25\n", later},
		{auth + " rip=mail.example.com\n", later},
		{auth + " rport=65536\n", later},
		{auth + " rport=-1\n", later},
		{auth + " lport=+1\n", later},
		{auth + " session=" + strings.Repeat("s", maxSession+1) + "\n", later},
		{auth + " session=a\x1bb\n", later},
		{"user=" + b64("bo\x00b") + " pass=" + b64("x") + " rip=NULL\n", later}, // syntax first
	}
	for _, tt := range tests {
		_, err := Parse([]byte(tt.in), testMaxPassword)
		var r *proto.Refusal
		if !errors.As(err, &r) {
			t.Errorf("Parse(%.80q): got %v want a refusal", tt.in, err)
		} else if r.Verdict != tt.want {
			t.Errorf("Parse(%.80q): got %v (%v) want %v", tt.in, r.Verdict, r, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("Parse(%.80q): the error shows the password: %v", tt.in, err)
		}
	}
}

// FuzzParse holds that a line gives at most one request, that its fields obey the
// rules of the package comment, and that writing them anew gives them back.
func FuzzParse(f *testing.F) {
	f.Add([]byte("bob\tsecret\n"))
	f.Add([]byte("bob\tpw\n\tsecret\n"))
	f.Add([]byte(auth + " rip=2001:db8::1 rport=1 lip=::ffff:1.2.3.4 lport=2 secured server=x session=y\n"))
	f.Add([]byte(auth + " rip=fe80::1%\"\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := Parse(raw, testMaxPassword)
		if err != nil {
			return
		}
		pass := req.Password.Reveal()
		if raw[len(raw)-1] != '\n' || strings.Count(string(raw), "\n") != 1 || len(raw) > MaxRequest {
			t.Fatalf("%q is no single line", raw)
		}
		if req.Authcid == "" || pass == "" || len(pass) > testMaxPassword ||
			strings.ContainsAny(req.Authcid+req.Authzid, "\x00\t\r\n\x7f") || strings.Contains(pass, "\x00") {
			t.Fatalf("%q gave %+v with password %q", raw, req, pass)
		}
		if req.Client.Addr().Zone() != "" || req.Local.Addr().Zone() != "" {
			t.Fatalf("%q gave a zone", raw)
		}
		if plain := strings.Contains(string(raw), "\t"); plain {
			if got := req.Authcid + "\t" + pass + "\n"; got != string(raw) {
				t.Fatalf("%q came back as %q", raw, got)
			}
			return
		}
		again := "user=" + b64(req.Authcid) + " pass=" + b64(pass) + " authzid=" + b64(req.Authzid)
		if !strings.Contains(string(raw), "user="+b64(req.Authcid)) || !strings.Contains(string(raw), "pass="+b64(pass)) {
			t.Fatalf("%q came back as %q", raw, again)
		}
	})
}

func BenchmarkParsePlain(b *testing.B) {
	raw := []byte("alice@example.com\tcorrect horse battery staple\n")
	b.ReportAllocs()
	for b.Loop() {
		Parse(raw, testMaxPassword)
	}
}

func BenchmarkParseExtended(b *testing.B) {
	raw := []byte("user=" + b64("alice@example.com") + " pass=" + b64("correct horse battery staple") + " rip=192.0.2.1\n")
	b.ReportAllocs()
	for b.Loop() {
		Parse(raw, testMaxPassword)
	}
}
