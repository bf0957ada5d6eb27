package imap

import (
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"
)

// TestProof: what verified is believed again for a while, and only as it was shown and
// while it is valid.
func TestProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		show := func(notAfter time.Time) (*verifier, []*x509.Certificate) {
			t.Helper()
			cert, ca := certificate(t, notAfter, "mail.example.com")
			roots, err := (&Config{CAFile: ca}).roots()
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(cert.Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			return &verifier{roots: roots, names: []string{"mail.example.com"}}, []*x509.Certificate{leaf}
		}
		v, certs := show(time.Now().Add(time.Hour))
		check := func(what string, certs []*x509.Certificate, want bool) {
			t.Helper()
			if err := v.verify(certs); (err == nil) != want {
				t.Errorf("%s: got %v", what, err)
			}
		}
		check("the right one", certs, true)
		_, others := show(time.Now().Add(time.Hour))
		check("another of the same name", others, false)
		check("another before it", append(others, certs...), false)
		if v.last.Load().holds(certs[:0], time.Now()) || v.last.Load().holds(certs, time.Now().Add(-49*time.Hour)) {
			t.Error("holds for none, or before the certificate is valid")
		}

		v.roots = x509.NewCertPool() // so that only the proof can tell
		check("a moment later", certs, true)
		time.Sleep(proofTime)
		check("a minute later", certs, false)

		v, certs = show(time.Now().Add(30 * time.Second))
		check("at its end", certs, true)
		time.Sleep(31 * time.Second)
		check("expired", certs, false)
	})
}

// TestProofOfAChain: the shortest validity in it counts.
func TestProofOfAChain(t *testing.T) {
	now := time.Now()
	of := func(from, to time.Duration) *x509.Certificate {
		return &x509.Certificate{NotBefore: now.Add(from), NotAfter: now.Add(to)}
	}
	p := newProof(nil, []*x509.Certificate{of(-3, 9), of(-2, 8), of(-4, 7), of(-5, 10)}, now)
	for after, want := range map[time.Duration]bool{-3: false, -2: true, 7: true, 8: false} {
		if got := p.holds(nil, now.Add(after)); got != want {
			t.Errorf("after %v: got %v", after, got)
		}
	}
}
