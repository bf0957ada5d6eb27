//go:build !race

package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"imapauthd/cache"
	"imapauthd/imap"
	"imapauthd/proto"
	"imapauthd/proto/readsocket"
	"imapauthd/proto/saslauthd"
)

// hits are requests as they come off the wire, with what answers them from memory.
func hits(t testing.TB) map[string]func() proto.Verdict {
	t.Helper()
	byDomain := imap.DefaultConfig()
	byDomain.Domains = []string{"other.example", "*.example.com"}
	byDomain.PerAddress = true
	fallback := imap.DefaultConfig()
	fallback.Name = "fallback"
	router, err := imap.NewRouter([]imap.Config{byDomain, fallback}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	memory := cache.New(cache.DefaultConfig(), cache.Options{
		Next: proto.AuthenticatorFunc(func(_ context.Context, req *proto.Request) (proto.Verdict, error) {
			req.Trail.Source = proto.SourceIMAP
			return proto.Accept, nil
		}),
		Route:        router.Route,
		LoginTimeout: time.Second,
		Log:          slog.New(slog.DiscardHandler),
	})
	t.Cleanup(memory.Close)

	const name, password, host = "alice", "correct horse battery staple", "mail.example.com"
	b64 := base64.StdEncoding.EncodeToString
	var counted []byte
	for _, field := range []string{name, password, "smtp", host, "192.0.2.1;587"} {
		counted = append(binary.BigEndian.AppendUint16(counted, uint16(len(field))), field...)
	}
	all := make(map[string]func() proto.Verdict)
	for kind, x := range map[string]struct {
		frontend proto.Instant
		line     string
	}{
		"plain":     {&readsocket.Frontend{MaxPassword: 1024}, name + "\t" + password + "\n"},
		"extended":  {&readsocket.Frontend{MaxPassword: 1024}, "user=" + b64([]byte(name+"@"+host)) + " pass=" + b64([]byte(password)) + " rip=192.0.2.1\n"},
		"saslauthd": {&saslauthd.Frontend{MaxPassword: 1024, JoinRealm: true}, string(counted)},
	} {
		read, raw := x.frontend.Reader(), []byte(x.line)
		own := *x.frontend.Reader()([]byte(x.line))
		if v, err := memory.Authenticate(t.Context(), &own); v != proto.Accept {
			t.Fatalf("%s: got %v, %v", kind, v, err)
		}
		all[kind] = func() proto.Verdict { return memory.Look(read(raw)) }
	}
	return all
}

// TestHitAllocatesNothing: parsing, routing, key and look. Under -race a sync.Pool drops
// items at random.
func TestHitAllocatesNothing(t *testing.T) {
	for kind, hit := range hits(t) {
		if v := hit(); v != proto.Accept {
			t.Errorf("%s: got %v", kind, v)
		}
		if n := testing.AllocsPerRun(1000, func() { hit() }); n >= 1 {
			t.Errorf("%s: got %v allocations", kind, n)
		}
	}
}

func BenchmarkHit(b *testing.B) {
	for kind, hit := range hits(b) {
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hit()
			}
		})
	}
}
