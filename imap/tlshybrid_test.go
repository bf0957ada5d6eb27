package imap

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// buffered lets go of a write before the other end has read it: both ends of a
// handshake write at times.
type buffered struct {
	net.Conn
	out chan []byte
}

func (b *buffered) Write(p []byte) (int, error) {
	b.out <- bytes.Clone(p)
	return len(p), nil
}

func (b *buffered) drain() {
	defer b.Conn.Close()
	for p := range b.out {
		b.Conn.Write(p)
	}
}

// hybridTest is a pool whose server shows cert and knows groups, on synthetic time.
// dial makes a connection and reports whether it was offered a hybrid with ML-KEM.
func hybridTest(t *testing.T, version uint16, groups []tls.CurveID, test func(t *testing.T, cfg *tls.Config, dial func() (hybrid bool, conn *warmConn, err error))) {
	synctest.Test(t, func(t *testing.T) {
		cert, ca := certificate(t, time.Now().Add(100*time.Hour), "127.0.0.1")
		r := newRouter(t, "imaps://127.0.0.1", func(c *Config) { c.CAFile, c.Warm = ca, 0 })
		defer r.Close()
		hellos := make(chan bool, 1)
		cfg := &tls.Config{
			Certificates: []tls.Certificate{cert}, MaxVersion: version, CurvePreferences: groups,
			GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				hellos <- slices.ContainsFunc(hello.SupportedCurves, func(id tls.CurveID) bool { return !slices.Contains(classical, id) })
				return nil, nil
			},
		}
		p := r.fallback.pools[0]
		p.dialer = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				b := &buffered{theirs, make(chan []byte, 16)}
				go b.drain()
				defer close(b.out)
				c := tls.Server(b, cfg)
				io.WriteString(c, "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n")
				io.Copy(io.Discard, c)
			}()
			return ours, nil
		}
		test(t, cfg, func() (hybrid bool, conn *warmConn, err error) {
			conn, err = p.get(t.Context(), true)
			if err == nil {
				p.discard(conn)
			}
			return <-hellos, conn, err
		})
	})
}

// TestHybridOffered: a server that chooses no group with ML-KEM is offered one once an
// hour, by resumed handshakes too; one that has chosen it, each time.
func TestHybridOffered(t *testing.T) {
	tests := map[string]struct {
		version uint16
		groups  []tls.CurveID // nil: all
		always  bool
	}{
		"with ML-KEM":    {tls.VersionTLS13, nil, true},
		"another hybrid": {tls.VersionTLS13, []tls.CurveID{tls.SecP256r1MLKEM768}, true},
		"without":        {tls.VersionTLS13, []tls.CurveID{tls.X25519}, false},
		"P-384 alone":    {tls.VersionTLS13, []tls.CurveID{tls.CurveP384}, false}, // by a HelloRetryRequest
		"TLS 1.2":        {tls.VersionTLS12, nil, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			hybridTest(t, tt.version, tt.groups, func(t *testing.T, _ *tls.Config, dial func() (bool, *warmConn, error)) {
				var first *warmConn
				for hour := range 3 {
					for i := range 60 {
						hybrid, conn, err := dial()
						if err != nil {
							t.Fatal(err)
						}
						if first == nil {
							first = conn
						}
						if want := tt.always || i == 0; hybrid != want {
							t.Errorf("hour %d, minute %d: got %v want %v", hour, i, hybrid, want)
						}
						if resumed := conn.raw.(*tls.Conn).ConnectionState().DidResume; resumed != (conn != first) {
							t.Errorf("hour %d, minute %d: resumed %v", hour, i, resumed)
						}
						if conn.tls != first.tls {
							t.Error("what was kept warm before would not be used")
						}
						time.Sleep(time.Minute)
					}
				}
			})
		})
	}
}

// TestHybridOfManyServers: where one of those behind a name has ML-KEM, what others
// choose does not count.
func TestHybridOfManyServers(t *testing.T) {
	hybridTest(t, tls.VersionTLS13, nil, func(t *testing.T, cfg *tls.Config, dial func() (bool, *warmConn, error)) {
		for i := range 4 {
			if hybrid, _, err := dial(); err != nil || !hybrid {
				t.Errorf("%d: got %v, %v", i, hybrid, err)
			}
			cfg.CurvePreferences = classical
		}
	})
}

// TestHybridAfterFailure: a handshake that fails tells nothing of the server, though
// whoever was met had chosen a group already.
func TestHybridAfterFailure(t *testing.T) {
	hybridTest(t, tls.VersionTLS13, classical, func(t *testing.T, cfg *tls.Config, dial func() (bool, *warmConn, error)) {
		right := cfg.Certificates
		wrong, _ := certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
		cfg.Certificates = []tls.Certificate{wrong}
		for range 2 {
			if hybrid, _, err := dial(); err == nil || !hybrid {
				t.Errorf("wrong certificate: got %v, %v", hybrid, err)
			}
		}
		cfg.Certificates = right
		for _, want := range []bool{true, false} {
			if hybrid, _, err := dial(); err != nil || hybrid != want {
				t.Errorf("right certificate: got %v, %v want %v", hybrid, err, want)
			}
		}
	})
}

// TestHybridWantedOfLate: a server that comes to want a hybrid alone is offered one again
// after the first handshake that fails without.
func TestHybridWantedOfLate(t *testing.T) {
	hybridTest(t, tls.VersionTLS13, classical, func(t *testing.T, cfg *tls.Config, dial func() (bool, *warmConn, error)) {
		dial()
		if hybrid, _, err := dial(); err != nil || hybrid {
			t.Fatalf("before: got %v, %v", hybrid, err)
		}
		cfg.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768}
		if _, _, err := dial(); err == nil {
			t.Error("the server did without")
		}
		if hybrid, _, err := dial(); err != nil || !hybrid {
			t.Errorf("after: got %v, %v", hybrid, err)
		}
	})
}
