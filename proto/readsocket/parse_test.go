package readsocket

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/netip"
	"reflect"
	"slices"
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
		m, err := Parse([]byte(tt.in), testMaxPassword)
		got := m.Request
		if err != nil {
			t.Errorf("Parse(%.80q): %v", tt.in, err)
			continue
		}
		if m.Begin != nil || m.Answer != nil {
			t.Errorf("Parse(%.80q): got an exchange", tt.in)
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
		// No form can be taken for another.
		{auth + " mech=CRAM-MD5\n", later},
		{"mech=CRAM-MD5 user=" + b64("bob") + "\n", later},
		{"mech=CRAM-MD5 pass=" + b64("secret") + "\n", later},
		{"mech=CRAM-MD5 authzid=\n", later},
		{"mech=CRAM-MD5 server=two\n", later},
		{"mech=CRAM-MD5 exchange=1\n", later},
		{"mech=CRAM-MD5 resp=eA==\n", later},
		{auth + " exchange=1 resp=eA==\n", later},
		{auth + " exchange=1\n", later},
		{"exchange=1 resp=eA== rip=192.0.2.1\n", later},
		{"exchange=1 resp=eA== secured\n", later},
		{"mech=CRAM-MD5\tsecret\tx\n", no},
		// Begin and answer.
		{"mech=\n", later},
		{"mech\n", later},
		{"mech=cram-md5\n", later},
		{"mech=PLAIN\n", later},
		{"mech=DIGEST-MD5\n", later},
		{"mech=CRAM-MD5 mech=CRAM-MD5\n", later},
		{"mech=CRAM-MD5 rip=NULL\n", later},
		{"mech=CRAM-MD5 secured=yes\n", later},
		{"mech=CRAM-MD5 session=a\x1bb\n", later},
		{"mech=CRAM-MD5 \n", later},
		{"mech=CRAM-MD5\r\n", later},
		{"exchange=1\n", later},
		{"resp=eA==\n", later},
		{"exchange=1 resp=eA== resp=eA==\n", later},
		{"exchange=1 resp=bob secret\n", later}, // a response without ${base64:…}
		{"exchange=1 resp=secret!\n", no},
		{"exchange=1 resp=eB==\n", no},
		{"exchange=1 resp=eA==\r\n", no},
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

func TestParseExchange(t *testing.T) {
	tests := []struct {
		in     string
		begin  *proto.Exchange
		answer *Answer
	}{
		{"mech=CRAM-MD5\n", &proto.Exchange{Mechanism: "CRAM-MD5"}, nil},
		{"secured rip=192.0.2.1 rport=25 lip=2001:db8::1 lport=587 session=1a2b mech=CRAM-MD5\n", &proto.Exchange{Mechanism: "CRAM-MD5",
			Client: netip.MustParseAddrPort("192.0.2.1:25"), Local: netip.MustParseAddrPort("[2001:db8::1]:587"), Secured: true, Session: "1a2b"}, nil},
		{"mech=CRAM-MD5 rip= lip= rport=0 session= secured=\n", &proto.Exchange{Mechanism: "CRAM-MD5"}, nil}, // exim -bs
		{"exchange=1a resp=" + b64("bob 0123") + "\n", nil, &Answer{"1a", []byte("bob 0123")}},
		{"resp= exchange=\n", nil, &Answer{"", []byte{}}},
		{"exchange=1a resp=" + b64("x\x00\t\n") + "\n", nil, &Answer{"1a", []byte("x\x00\t\n")}},
	}
	for _, tt := range tests {
		got, err := Parse([]byte(tt.in), testMaxPassword)
		if want := (Message{Begin: tt.begin, Answer: tt.answer}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Parse(%q): got %+v, %v", tt.in, got, err)
		}
	}
	if m, _ := Parse([]byte("exchange=1a resp=!\n"), testMaxPassword); m.Answer == nil || m.Answer.ID != "1a" {
		t.Errorf("which exchange has failed is not told: %+v", m)
	}
	if m, _ := Parse([]byte("exchange=1a resp=! rip=\n"), testMaxPassword); m.Answer != nil {
		t.Errorf("the administrator's mistake ends an exchange: %+v", m)
	}
}

// FuzzParse holds that a line gives at most one request, exchange or answer, that its
// fields obey the rules of the package comment, and that writing them anew gives them back.
func FuzzParse(f *testing.F) {
	f.Add([]byte("bob\tsecret\n"))
	f.Add([]byte("bob\tpw\n\tsecret\n"))
	f.Add([]byte(auth + " rip=2001:db8::1 rport=1 lip=::ffff:1.2.3.4 lport=2 secured server=x session=y\n"))
	f.Add([]byte(auth + " rip=fe80::1%\"\n"))
	f.Add([]byte("mech=CRAM-MD5 rip=2001:db8::1 secured session=y\n"))
	f.Add([]byte("exchange=1a resp=eA==\n"))
	read := (&Frontend{MaxPassword: testMaxPassword}).Reader() // which lives on, as that of a thread
	f.Fuzz(func(t *testing.T, raw []byte) {
		own := bytes.Clone(raw)
		m, err := Parse(own, testMaxPassword)
		clear(own) // as the buffer is that it was read into
		lent := read(raw)
		if plain := err == nil && m.Begin == nil && m.Answer == nil; plain != (lent != nil) {
			t.Fatalf("%q: Parse gave %+v, %v and the reader %+v", raw, m, err, lent)
		} else if plain && !sameRequest(*lent, m.Request) {
			t.Fatalf("%q: Parse gave %+v and the reader %+v", raw, m.Request, *lent)
		}
		if err != nil {
			return
		}
		req, text := m.Request, string(raw)
		if text[len(text)-1] != '\n' || strings.Count(text, "\n") != 1 || len(text) > MaxRequest {
			t.Fatalf("%q is no single line", raw)
		}
		if m.Begin != nil || m.Answer != nil {
			checkExchange(t, text[:len(text)-1], m)
			return
		}
		pass := req.Password.Reveal()
		if req.Authcid == "" || pass == "" || len(pass) > testMaxPassword ||
			strings.ContainsAny(req.Authcid+req.Authzid, "\x00\t\r\n\x7f") || strings.Contains(pass, "\x00") {
			t.Fatalf("%q gave %+v with password %q", raw, req, pass)
		}
		if req.Client.Addr().Zone() != "" || req.Local.Addr().Zone() != "" {
			t.Fatalf("%q gave a zone", raw)
		}
		if plain := strings.Contains(text, "\t"); plain {
			if got := req.Authcid + "\t" + pass + "\n"; got != text {
				t.Fatalf("%q came back as %q", raw, got)
			}
			return
		}
		again := "user=" + b64(req.Authcid) + " pass=" + b64(pass) + " authzid=" + b64(req.Authzid)
		if !strings.Contains(text, "user="+b64(req.Authcid)) || !strings.Contains(text, "pass="+b64(pass)) {
			t.Fatalf("%q came back as %q", raw, again)
		}
	})
}

func sameRequest(a, b proto.Request) bool {
	pass, other := a.Password.Reveal(), b.Password.Reveal()
	a.Password, b.Password = proto.Password{}, proto.Password{}
	return a == b && pass == other
}

// TestReaderLends: what one request leaves behind is no part of the next.
func TestReaderLends(t *testing.T) {
	read := (&Frontend{MaxPassword: testMaxPassword}).Reader()
	long := "user=" + b64(strings.Repeat("x", 900)) + " pass=" + b64(strings.Repeat("y", 900)) + " authzid=" + b64("z") +
		" rip=192.0.2.1 rport=7 lip=192.0.2.2 lport=8 secured server=s session=t\n"
	for _, line := range []string{long, "bob\tsecret\n", auth + "\n", "mech=CRAM-MD5\n", auth + " rip=\n", "bob\t\n", "exchange=1a resp=eA==\n", "bob\tsecret"} {
		m, err := Parse([]byte(line), testMaxPassword)
		read([]byte(long))
		got := read([]byte(line))
		switch {
		case err != nil || m.Begin != nil || m.Answer != nil:
			if got != nil {
				t.Errorf("%.40q: got %+v", line, *got)
			}
		case got == nil || !sameRequest(*got, m.Request):
			t.Errorf("%.40q: got %+v want %+v", line, got, m.Request)
		}
	}
}

// checkExchange holds FuzzParse's properties of the lines that are no requests.
func checkExchange(t *testing.T, line string, m Message) {
	if strings.Contains(line, "\t") || m.Request != (proto.Request{}) || (m.Begin != nil) == (m.Answer != nil) {
		t.Fatalf("%q gave %+v", line, m)
	}
	if a := m.Answer; a != nil {
		resp := "resp=" + b64(string(a.Response))
		if line != "exchange="+a.ID+" "+resp && line != resp+" exchange="+a.ID {
			t.Fatalf("%q gave %+v", line, a)
		}
		return
	}
	x, words := m.Begin, strings.Split(line, " ")
	if !slices.Contains(words, "mech=CRAM-MD5") || x.Mechanism != "CRAM-MD5" || x.Secured != slices.Contains(words, "secured") ||
		x.Client.Addr().Zone()+x.Local.Addr().Zone() != "" || x.Session != "" && !slices.Contains(words, "session="+x.Session) {
		t.Fatalf("%q gave %+v", line, x)
	}
	for _, word := range words {
		switch key, _, _ := strings.Cut(word, "="); key {
		case "mech", "rip", "rport", "lip", "lport", "secured", "session":
		default:
			t.Fatalf("%q begins an exchange", line)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	for name, line := range map[string]string{
		"plain":    "alice@example.com\tcorrect horse battery staple\n",
		"extended": "user=" + b64("alice@example.com") + " pass=" + b64("correct horse battery staple") + " rip=192.0.2.1\n",
	} {
		b.Run(name, func(b *testing.B) {
			raw, read := []byte(line), (&Frontend{MaxPassword: testMaxPassword}).Reader()
			b.ReportAllocs()
			for b.Loop() {
				read(raw)
			}
		})
	}
}
