package saslauthd

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imapauthd/proto/prototest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServe(t *testing.T) {
	path := prototest.Listen(t, &Frontend{MaxPassword: testMaxPassword, JoinRealm: true}, time.Minute)
	request := func(password string) string { return counted("bob", password, "smtp", "example.com") }
	long := strings.Repeat("x", maxField+1)
	tests := []struct {
		name  string
		half  bool
		parts []string
		want  string
	}{
		{"right", true, []string{request("secret")}, "OK"},
		{"right, no half-close", false, []string{request("secret")}, "OK"},
		{"right, string by string", false, []string{counted("bob"), counted("secret"), counted("smtp"), counted("")}, "OK"},
		{"right, byte by byte", false, strings.Split(request("secret"), ""), "OK"},
		{"right, with the client", false, []string{request("secret") + counted("192.0.2.1;587")}, "OK"},
		{"right, and more", true, []string{request("secret") + counted("") + strings.Repeat("x", 1<<20)}, "OK"},
		{"wrong", true, []string{request("x")}, "NO authentication failed"},
		{"undecided", true, []string{request("unknown")}, ""},
		{"panic", true, []string{request("panic")}, ""},
		{"login too long", true, []string{counted(long)}, "NO "},
		{"login too long, the rest behind it", true, []string{counted(long, "secret", "smtp", "")}, "NO "},
		{"realm too long", true, []string{counted("bob", "secret", "smtp", long)}, "NO "},
		{"no login", true, []string{counted("", "secret", "smtp", "")}, "NO NULL login received"},
		{"no password", true, []string{request("")}, "NO NULL password received"},
		{"a NUL", true, []string{request("secret\x00")}, "NO authentication failed"},
		{"cut", true, []string{request("secret")[:9]}, ""},
		{"client is no address", true, []string{request("secret") + counted("localhost;1")}, ""},
		{"nothing", true, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want != "" {
				want = counted(want)
			}
			if got, err := prototest.Exchange(path, tt.half, tt.parts...); got != want || err != nil {
				t.Errorf("got %q, %v want %q", got, err, want)
			}
		})
	}
}

// TestSilence: a request that is not whole when the budget ends gets no reply, and one
// that is gets it though its sender goes on waiting.
func TestSilence(t *testing.T) {
	path := prototest.Listen(t, &Frontend{MaxPassword: testMaxPassword}, 50*time.Millisecond)
	for _, part := range []string{"", "\x00", "\x00\x03bo", counted("bob", "secret", "smtp"), counted("bob", "secret", "smtp", "") + "\x00\x01"} {
		if got, err := prototest.Exchange(path, false, part); got != "" || err != nil {
			t.Errorf("after %q: got %q, %v", part, got, err)
		}
	}
}

// BenchmarkRequest is a whole request as libsasl2 makes it, over a UNIX socket, with
// the verdict at hand.
func BenchmarkRequest(b *testing.B) {
	path := prototest.Listen(b, &Frontend{MaxPassword: testMaxPassword}, time.Minute)
	request, want := counted("bob", "secret", "smtp", ""), counted("OK")
	b.ReportAllocs()
	for b.Loop() {
		if got, err := prototest.Exchange(path, false, request); got != want {
			b.Fatal(got, err)
		}
	}
}
