package imap

import (
	"crypto/x509"
	"slices"
	"time"
)

// proofTime bounds how long a proof is used: where the system verifies (macOS,
// Windows), it may have stopped trusting since.
const proofTime = time.Minute

// proof remembers the certificates that a server showed when they last verified. The
// next connection to it shows the same, and the same roots and names would come to
// the same chain, for as long as that is valid. Under the keys of public authorities
// (P-384) verifying it is three quarters of what a login costs us.
type proof struct {
	certs    []*x509.Certificate // as they were shown
	at       time.Time           // when they verified
	from, to time.Time           // when every certificate of the chain is valid
}

func newProof(certs, chain []*x509.Certificate, now time.Time) *proof {
	p := &proof{certs: certs, at: now, from: chain[0].NotBefore, to: chain[0].NotAfter}
	for _, c := range chain[1:] {
		if c.NotBefore.After(p.from) {
			p.from = c.NotBefore
		}
		if c.NotAfter.Before(p.to) {
			p.to = c.NotAfter
		}
	}
	return p
}

// holds reports whether certs would verify now too. nil holds for nothing.
func (p *proof) holds(certs []*x509.Certificate, now time.Time) bool {
	return p != nil &&
		now.Sub(p.at) < proofTime && !now.Before(p.from) && !now.After(p.to) && // the clock may have been set
		slices.EqualFunc(certs, p.certs, (*x509.Certificate).Equal)
}
