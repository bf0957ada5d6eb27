package readsocket

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imapauthd/proto/prototest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServe(t *testing.T) {
	path := prototest.Listen(t, &Frontend{MaxPassword: testMaxPassword}, time.Minute)
	big := strings.Repeat("x", 1<<20)
	tests := []struct {
		name  string
		half  bool
		parts []string
		want  string
	}{
		{"right", true, []string{"bob\tsecret\n"}, "yes"},
		{"right, no half-close", false, []string{"bob\tsecret\n"}, "yes"},
		{"right, in pieces", false, []string{"bo", "b\tsec", "ret", "\n"}, "yes"},
		{"wrong", true, []string{"bob\tx\n"}, "no"},
		{"undecided", true, []string{"bob\tunknown\n"}, "temporarily unavailable"},
		{"panic", true, []string{"bob\tpanic\n"}, "temporarily unavailable"},
		{"extended", true, []string{"user=Ym9i pass=c2VjcmV0\n"}, "yes"},
		{"extended, unknown key", true, []string{"user=Ym9i pass=c2VjcmV0 x=y\n"}, "temporarily unavailable"},
		{"no LF", true, []string{"bob\tsecret"}, "no"},
		{"nothing", true, nil, "no"},
		{"a second line", true, []string{"bob\tsecret\nbob\tsecret\n"}, "no"},
		{"1 MiB, no LF", true, []string{big}, "no"},
		{"1 MiB after the LF", true, []string{"bob\tsecret\n" + big}, "no"},
		{"32 KiB", true, []string{"bob\t" + big[:32<<10] + "\n"}, "no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := prototest.Exchange(path, tt.half, tt.parts...)
			if got != tt.want || err != nil {
				t.Errorf("got %q, %v want %q", got, err, tt.want)
			}
		})
	}
}

// TestSilence: half a line and then nothing is answered when the budget ends.
func TestSilence(t *testing.T) {
	path := prototest.Listen(t, &Frontend{MaxPassword: testMaxPassword}, 50*time.Millisecond)
	for _, part := range []string{"", "bob\tsec"} {
		if got, err := prototest.Exchange(path, false, part); got != "temporarily unavailable" || err != nil {
			t.Errorf("after %q: got %q, %v", part, got, err)
		}
	}
}

// BenchmarkRequest is a whole request as Exim makes it, over a UNIX socket, with
// the verdict at hand.
func BenchmarkRequest(b *testing.B) {
	path := prototest.Listen(b, &Frontend{MaxPassword: testMaxPassword}, time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		if got, err := prototest.Exchange(path, true, "bob\tsecret\n"); got != "yes" {
			b.Fatal(got, err)
		}
	}
}
