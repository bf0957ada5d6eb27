package imap

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	"imapauthd/proto"
)

// writes counts what is written at a time.
type writes struct {
	net.Conn
	note func(n int)
}

func (w *writes) Write(b []byte) (int, error) {
	w.note(len(b))
	return w.Conn.Write(b)
}

// TestOneWrite: the mail client's address and the credentials go in one, which is one
// packet and, under TLS, one record.
func TestOneWrite(t *testing.T) {
	f := &farm{greeting: "* OK [CAPABILITY IMAP4rev1 SASL-IR ID AUTH=PLAIN] ready"}
	withFarm(t, nil, func(t *testing.T, r *Router, p *pool) {
		var mu sync.Mutex
		var sizes []int
		p.dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := f.dial(ctx, network, address)
			return &writes{c, func(n int) {
				mu.Lock()
				defer mu.Unlock()
				sizes = append(sizes, n)
			}}, err
		}
		req := &proto.Request{Authcid: "alice", Password: proto.NewPassword("secret"), Client: netip.MustParseAddrPort("192.0.2.1:4711")}
		if v, err := r.Authenticate(t.Context(), req); v != proto.Accept {
			t.Fatalf("got %v: %v", v, err)
		}
		r.Close() // after the LOGOUT
		want := len(idCommand(req)) + len("T1 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n")
		if len(sizes) != 2 || sizes[0] != want || sizes[1] != len("L1 LOGOUT\r\n") {
			t.Errorf("wrote %v bytes, want %d and a LOGOUT", sizes, want)
		}
	}, f)
}
