package tests

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// trip is the round trip that is added between the relay and the IMAP server.
const trip = 20 * time.Millisecond

// places start the servers that logins are measured at. Dovecot is told the mail
// client's address by ID, and believes it; go-imap's server has no ID.
var places = []struct {
	name  string
	start func(testing.TB) place
}{
	{"go-imap", startEmbedded},
	{"dovecot", func(t testing.TB) place {
		d := startDovecot(t, dovecotOptions{users: accounts, trustedNetworks: "127.0.0.0/8"})
		return place{loopback(d.port), d.tlsAddr(), d.ca, d}
	}},
}

// place is where an IMAP server listens, host:port.
type place struct {
	clear, tls string
	ca         *authority
	dovecot    *dovecot // nil: another server
}

// ways are how a connection for a login comes about. Under TLS 1.3 resuming a session
// saves work and no round trip; Dovecot 2.3 resumes none, for each connection has a
// process of its own there, with keys of its own.
var ways = []struct {
	name   string
	scheme string
	warm   int  // connections kept warm
	anew   bool // a router for each login, which has no TLS session to resume
}{
	{"imaps-warm", "imaps", 4, false},
	{"imaps-fresh", "imaps", 0, true},
	{"imaps-fresh-resumed", "imaps", 0, false},
	{"clear-warm", "imap", 4, false},
	{"clear-fresh", "imap", 0, false},
}

// BenchmarkLogin measures logins that no cache answers, 20 ms away from the server:
// how long one takes (median), how many round trips that is, how many of them are
// left without the server's own time (near-ms: the same without the distance), and
// how much faster the warm connection of the same scheme was.
func BenchmarkLogin(b *testing.B) {
	for _, p := range places {
		b.Run(p.name, func(b *testing.B) {
			at := p.start(b)
			warm := make(map[string]time.Duration) // by scheme
			for _, w := range ways {
				b.Run(w.name, func(b *testing.B) {
					near := newCaller(b, at, w.scheme, w.warm, w.anew, 0)
					own := median(near.repeat(20))
					far := newCaller(b, at, w.scheme, w.warm, w.anew, trip)
					far.prime()
					var took []time.Duration
					for b.Loop() {
						b.StopTimer()
						far.ready()
						b.StartTimer()
						took = append(took, far.login())
					}
					m := median(took)
					if w.warm > 0 {
						warm[w.scheme] = m
						b.ReportMetric(float64(far.log.cold.Load()), "cold")
					} else if warm[w.scheme] > 0 {
						b.ReportMetric(float64(m)/float64(warm[w.scheme]), "x-warm")
					}
					b.ReportMetric(m.Seconds()*1000, "median-ms")
					b.ReportMetric(own.Seconds()*1000, "near-ms")
					b.ReportMetric(float64(m)/float64(trip), "rtt/op")
					b.ReportMetric(float64(m-own)/float64(trip), "rtt-added/op")
				})
			}
		})
	}
}

// startEmbedded runs go-imap's own server, in clear and under TLS 1.3.
func startEmbedded(t testing.TB) place {
	t.Helper()
	ca := newAuthority(t, shortDir(t), "127.0.0.1")
	cert, err := tls.LoadX509KeyPair(ca.certFile, ca.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	mem := imapmemserver.New()
	for name, password := range accounts {
		mem.AddUser(imapmemserver.NewUser(name, password))
	}
	server := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return mem.NewSession(), nil, nil
		},
		Caps:         goimap.CapSet{goimap.CapIMAP4rev1: {}},
		InsecureAuth: true, // loopback
		Logger:       discard{},
	})
	t.Cleanup(func() { server.Close() })
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	plain, secure := listen(), listen()
	go server.Serve(plain)
	go server.Serve(tls.NewListener(secure, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}))
	return place{plain.Addr().String(), secure.Addr().String(), ca, nil}
}
