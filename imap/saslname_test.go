package imap

import (
	"strings"
	"testing"

	"imapauthd/proto"
)

// rfc2831 is the response of RFC 2831 §4.
const rfc2831 = `charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",nc=00000001,cnonce="OA6MHXh6VqTrRk",digest-uri="imap/elwood.innosoft.com",response=d388dad90d4bbd760a152321f2143af7,qop=auth`

var nameTests = []struct {
	mech, message    string
	authcid, authzid string // empty: refused
}{
	// RFC 2195 §2
	{"CRAM-MD5", "tim b913a602c7eda7a495b4e6e7334d3890", "tim", ""},
	{"CRAM-MD5", "tim of it B913A602C7EDA7A495B4E6E7334D3890", "tim of it", ""},
	{"CRAM-MD5", "tim@x.example b913a602c7eda7a495b4e6e7334d3890", "tim@x.example", ""},
	{"CRAM-MD5", "", "", ""},
	{"CRAM-MD5", "tim", "", ""},
	{"CRAM-MD5", " b913a602c7eda7a495b4e6e7334d3890", "", ""},
	{"CRAM-MD5", "tim  b913a602c7eda7a495b4e6e7334d3890", "", ""},
	{"CRAM-MD5", "tim b913a602c7eda7a495b4e6e7334d389", "", ""},
	{"CRAM-MD5", "tim b913a602c7eda7a495b4e6e7334d3890 ", "", ""},
	{"CRAM-MD5", "tim b913a602c7eda7a495b4e6e7334d38900", "", ""},
	{"CRAM-MD5", "tim g913a602c7eda7a495b4e6e7334d3890", "", ""},
	{"CRAM-MD5", "tim\x00bob b913a602c7eda7a495b4e6e7334d3890", "", ""},
	{"CRAM-MD5", "tim\r\n b913a602c7eda7a495b4e6e7334d3890", "", ""},
	// RFC 2831 §4; the realm as Dovecot takes it
	{"DIGEST-MD5", rfc2831, "chris@elwood.innosoft.com", ""},
	{"DIGEST-MD5", `username="chris",realm="",response=d388`, "chris", ""},
	{"DIGEST-MD5", `username="chris",response=d388`, "chris", ""},
	{"DIGEST-MD5", `username="chris@a.example",realm="b.example",response=d388`, "chris@a.example", ""},
	{"DIGEST-MD5", `username="chris",authzid="bob",response=d388`, "chris", "bob"},
	{"DIGEST-MD5", `username="chris",authzid="chris",response=d388`, "chris", ""},
	{"DIGEST-MD5", `username="chris",authzid="",response=d388`, "chris", ""},
	{"DIGEST-MD5", ` Username = "chris"`, "", ""},
	{"DIGEST-MD5", ` USERNAME="chris" , ,	response=d388 ,`, "chris", ""},
	{"DIGEST-MD5", `username="a \"q\" \\ b",response=d388`, `a "q" \ b`, ""},
	{"DIGEST-MD5", `username="a, realm=\"x\"",response=d388`, `a, realm="x"`, ""},
	{"DIGEST-MD5", `username="\chris",response=d388`, "", ""},
	{"DIGEST-MD5", `username="chris`, "", ""},
	{"DIGEST-MD5", `username="chris\`, "", ""},
	{"DIGEST-MD5", `username=chris,response=d388`, "", ""},
	{"DIGEST-MD5", `username="chris",realm=x,response=d388`, "", ""},
	{"DIGEST-MD5", `username="chris",username="bob",response=d388`, "", ""},
	{"DIGEST-MD5", `username="chris",Username="bob",response=d388`, "", ""},
	{"DIGEST-MD5", `username="chris"bob,response=d388`, "", ""},
	{"DIGEST-MD5", `username="",response=d388`, "", ""},
	{"DIGEST-MD5", `username="",realm="x",response=d388`, "", ""},
	{"DIGEST-MD5", `username="chris"`, "", ""},
	{"DIGEST-MD5", `realm="x",response=d388`, "", ""},
	{"DIGEST-MD5", "username=\"ch\x00ris\",response=d388", "", ""},
	{"DIGEST-MD5", "charset=utf-8,username=\"ren\u00e9\",response=d388", "ren\u00e9", ""},
	{"DIGEST-MD5", "username=\"ren\u00e9\",response=d388", "", ""},
	{"DIGEST-MD5", "charset=utf-8,username=\"ren\xe9\",response=d388", "", ""},
	{"DIGEST-MD5", "", "", ""},
	// RFC 5802 §5 and RFC 7677 §3
	{"SCRAM-SHA-1", "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", "user", ""},
	{"SCRAM-SHA-256", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "user", ""},
	{"SCRAM-SHA3-512", "y,,n=user,r=x,ext=1", "user", ""},
	{"SCRAM-SHA-1", "n,a=bob,n=user,r=x", "user", "bob"},
	{"SCRAM-SHA-1", "n,a=user,n=user,r=x", "user", ""},
	{"SCRAM-SHA-1", "n,a=b=2Co=3Db,n=us=3D2Cer=2C,r=x", "us=2Cer,", "b,o=b"},
	{"SCRAM-SHA-1", "n,,n=us=er,r=x", "", ""},
	{"SCRAM-SHA-1", "n,,n=us=2cer,r=x", "", ""},
	{"SCRAM-SHA-1", "n,,n=user=,r=x", "", ""},
	{"SCRAM-SHA-1", "p=tls-unique,,n=user,r=x", "", ""},
	{"SCRAM-SHA-1", "F,n,,n=user,r=x", "", ""},
	{"SCRAM-SHA-1", "n,,m=1,n=user,r=x", "", ""},
	{"SCRAM-SHA-1", "n,,n=user", "", ""},
	{"SCRAM-SHA-1", "n,,n=,r=x", "", ""},
	{"SCRAM-SHA-1", "n,a=,n=user,r=x", "", ""},
	{"SCRAM-SHA-1", "n,bob,n=user,r=x", "", ""},
	{"SCRAM-SHA-1", "n=user,r=x", "", ""},
	{"SCRAM-SHA-1", "n,,n=us\x00er,r=x", "", ""},
	{"SCRAM-SHA-1", "n,a=b\nb,n=user,r=x", "", ""},
	{"SCRAM-SHA-1", "", "", ""},
	// RFC 7628 §4.1
	{"OAUTHBEARER", "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01", "user@example.com", ""},
	{"OAUTHBEARER", "y,a=a=2Cb,\x01auth=bearer x\x01\x01", "a,b", ""},
	{"OAUTHBEARER", "n,,\x01auth=Bearer x\x01\x01", "", ""},
	{"OAUTHBEARER", "n,a=user,auth=Bearer x\x01\x01", "", ""},
	{"OAUTHBEARER", "n,a=user,\x01auth=Bearer x\x01", "", ""},
	{"OAUTHBEARER", "n,a=user,\x01host=x\x01\x01", "", ""},
	{"OAUTHBEARER", "n,a=user,\x01user=bob\x01auth=Bearer x\x01\x01", "", ""},
	{"OAUTHBEARER", "n,a=user,\x01auth=Bearer x\x01auth=Bearer y\x01\x01", "", ""},
	{"OAUTHBEARER", "p=tls-unique,a=user,\x01auth=Bearer x\x01\x01", "", ""},
	{"OAUTHBEARER", "\x01", "", ""},
	// developers.google.com/gmail/imap/xoauth2-protocol
	{"XOAUTH2", "user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01", "someuser@example.com", ""},
	{"XOAUTH2", "user=some=user\x01auth=Bearer x\x01\x01", "some=user", ""},
	{"XOAUTH2", "user=\x01auth=Bearer x\x01\x01", "", ""},
	{"XOAUTH2", "auth=Bearer x\x01\x01", "", ""},
	{"XOAUTH2", "user=a\x01user=b\x01auth=Bearer x\x01\x01", "", ""},
	{"XOAUTH2", "user=a\x01User=b\x01auth=Bearer x\x01\x01", "", ""},
	{"XOAUTH2", "user=a\x01auth=Basic x\x01\x01", "", ""},
	{"XOAUTH2", "user=a\x01auth=Bearer x", "", ""},
	{"XOAUTH2", "user=a\x01auth=Bearer \x01\x01", "", ""},
	{"XOAUTH2", "user=a\x00\x01auth=Bearer x\x01\x01", "", ""},
	{"XOAUTH2", "user=a\x01\x01auth=Bearer x\x01\x01", "", ""},
}

func TestNames(t *testing.T) {
	for _, tt := range nameTests {
		got, refusal := familyOf(tt.mech).read([]byte(tt.message))
		if got != (account{tt.authcid, tt.authzid}) || (refusal == nil) != (tt.authcid != "") {
			t.Errorf("%s %q: got %q, %v", tt.mech, tt.message, got, refusal)
		}
		if refusal != nil && refusal.Verdict != proto.Reject {
			t.Errorf("%s %q: got %v", tt.mech, tt.message, refusal.Verdict)
		}
	}
}

func TestFamilies(t *testing.T) {
	for mech, want := range map[string]bool{
		"CRAM-MD5": true, "DIGEST-MD5": true, "SCRAM-SHA-1": true, "SCRAM-SHA-256": true, "SCRAM-SHA-512": true, "OAUTHBEARER": true, "XOAUTH2": true,
		"SCRAM-SHA-1-PLUS": false, "SCRAM-SHA-256-PLUS": false, "SCRAM-": false, "SCRAM-sha-1": false, "SCRAM-SHA-1 X": false, "SCRAM-SHA-1\r\nT2 NOOP": false,
		"PLAIN": false, "LOGIN": false, "ANONYMOUS": false, "EXTERNAL": false, "GSSAPI": false, "NTLM": false, "APOP": false, "cram-md5": false, "": false,
	} {
		if got := familyOf(mech) != nil; got != want {
			t.Errorf("%q: got %v want %v", mech, got, want)
		}
	}
}

// TestLaterMessages: what may follow the message with the name carries none.
func TestLaterMessages(t *testing.T) {
	for _, tt := range []struct {
		mech    string
		n       int
		message string
		want    bool
	}{
		{"CRAM-MD5", 1, "", false},
		{"CRAM-MD5", 1, "bob b913a602c7eda7a495b4e6e7334d3890", false},
		{"DIGEST-MD5", 1, "", true},
		{"DIGEST-MD5", 1, rfc2831, false},
		{"DIGEST-MD5", 2, "", false},
		{"SCRAM-SHA-1", 1, "c=biws,r=x,p=y", true},
		{"SCRAM-SHA-1", 1, "n,,n=bob,r=x", false},
		{"SCRAM-SHA-1", 1, "", false},
		{"SCRAM-SHA-1", 2, "", true},
		{"SCRAM-SHA-1", 2, "c=biws,r=x,p=y", false},
		{"SCRAM-SHA-1", 3, "", false},
		{"XOAUTH2", 1, "", true},
		{"OAUTHBEARER", 1, "\x01", true},
		{"OAUTHBEARER", 1, "n,a=bob,\x01auth=Bearer x\x01\x01", false},
		{"XOAUTH2", 2, "", false},
	} {
		if got := familyOf(tt.mech).has(tt.n, []byte(tt.message)); got != tt.want {
			t.Errorf("%s %d %q: got %v want %v", tt.mech, tt.n, tt.message, got, tt.want)
		}
	}
}

func TestBearerToken(t *testing.T) {
	for _, message := range []string{"n,a=u,\x01host=h\x01auth=Bearer abc=\x01\x01", "user=u\x01auth=bearer  abc=\x01\x01", "auth=Bearer abc="} {
		if got := bearerToken([]byte(message)); got != "abc=" {
			t.Errorf("%q: got %q", message, got)
		}
	}
}

// fuzzNames holds for every message of a mechanism: a name or a *Refusal, and a name
// is one that a Request may have.
func fuzzNames(f *testing.F, mechs ...string) {
	for _, tt := range nameTests {
		for i, mech := range mechs {
			if tt.mech == mech {
				f.Add([]byte(tt.message), byte(i))
			}
		}
	}
	f.Fuzz(func(t *testing.T, message []byte, which byte) {
		mech := mechs[int(which)%len(mechs)]
		got, refusal := familyOf(mech).read(message)
		if (refusal == nil) != (got.authcid != "") || refusal != nil && got != (account{}) {
			t.Fatalf("got %q, %v", got, refusal)
		}
		if refusal != nil {
			return
		}
		req := proto.Request{Authcid: got.name(), Authzid: got.authcid, Password: proto.NewPassword("x")}
		if err := req.Validate(1); err != nil {
			t.Errorf("%q: %v", got, err)
		}
		// Escaped again, a name is what stands in the message.
		local, _, _ := strings.Cut(got.authcid, "@")
		for _, name := range []string{local, got.authzid} {
			if escaped := escape[mech].Replace(name); !strings.Contains(string(message), escaped) {
				t.Errorf("%q is not in %q", escaped, message)
			}
		}
	})
}

var (
	asItIs = strings.NewReplacer()
	gs2    = strings.NewReplacer(",", "=2C", "=", "=3D")
	escape = map[string]*strings.Replacer{"CRAM-MD5": asItIs, "DIGEST-MD5": quoter, "SCRAM-SHA-1": gs2, "OAUTHBEARER": gs2, "XOAUTH2": asItIs}
)

func FuzzCRAMName(f *testing.F)   { fuzzNames(f, "CRAM-MD5") }
func FuzzDigestName(f *testing.F) { fuzzNames(f, "DIGEST-MD5") }
func FuzzSCRAMName(f *testing.F)  { fuzzNames(f, "SCRAM-SHA-1") }
func FuzzOAuthName(f *testing.F)  { fuzzNames(f, "OAUTHBEARER", "XOAUTH2") }
