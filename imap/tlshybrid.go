package imap

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"time"
)

// hybridPause is how long a server that did not choose a post-quantum hybrid is not
// offered one: its administrator may teach it one at any time.
const hybridPause = time.Hour

// classical are the groups that crypto/tls offers besides its hybrids with ML-KEM.
var classical = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

// clientTLS is the TLS of connections to one server, under the files of one moment.
//
// It offers X25519MLKEM768, so that what is sent now cannot be kept until it can be
// read. To a server that has no such group (OpenSSL before 3.5) the offer costs us a
// quarter of what a login does, in vain, and is left out for a while.
//
// Nobody but the server can bring that about. A handshake counts when it is over:
// its Finished covers the list we offered and the group that was chosen, and
// VerifyConnection has accepted the certificate by then. What somebody in between
// strikes out or makes fail changes nothing. A resumed handshake tells as much as a
// full one: it is bound to a session that was verified so, and chooses a group anew
// (RFC 8446 §4.2.9). In TLS 1.2, where it does not, there is no hybrid to choose.
type clientTLS struct {
	full, lean *tls.Config // with the hybrids and without; sessions of one are the other's too

	mu     sync.Mutex
	has    bool      // protects both; a server of this name has chosen a hybrid: always offered
	paused time.Time // until when none is offered
}

func newClientTLS(full *tls.Config) *clientTLS {
	lean := full.Clone() // which shares ClientSessionCache
	lean.CurvePreferences = classical
	return &clientTLS{full: full, lean: lean}
}

// handshake puts TLS on a connection.
func (c *clientTLS) handshake(ctx context.Context, base net.Conn) (*tls.Conn, error) {
	offers := c.offers()
	cfg := c.lean
	if offers {
		cfg = c.full
	}
	t := tls.Client(base, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		if !offers {
			c.resume() // it may want a hybrid by now
		}
		return nil, err
	}
	if offers {
		c.chosen(t.ConnectionState().CurveID)
	}
	return t, nil
}

// offers reports whether the next handshake is to offer hybrids.
func (c *clientTLS) offers() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.has || !time.Now().Before(c.paused)
}

// chosen notes what a server chose that was offered all.
func (c *clientTLS) chosen(group tls.CurveID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(classical, group) {
		c.paused = time.Now().Add(hybridPause)
	} else {
		c.has = true
	}
}

// resume ends the pause.
func (c *clientTLS) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = time.Time{}
}
