//go:build linux

package tests

import (
	"fmt"
	"testing"
	"time"
)

// coldEvery is how often a login comes where there is time for a connection to be made
// ready between two.
const coldEvery = 100 * time.Millisecond

// coldView is how the IMAP server is reached.
type coldView struct {
	tls  bool
	trip time.Duration // added to each round trip
}

func (v coldView) String() string {
	s := "in clear"
	if v.tls {
		s = "TLS"
	}
	if v.trip > 0 {
		s += fmt.Sprintf(", %v away", v.trip)
	}
	return s
}

// benchCold is the chapter of right passwords that no cache answers.
func benchCold(t *testing.T, o benchOptions) []*benchSeries {
	views, clients := []coldView{{false, 0}, {false, trip}, {true, 0}, {true, trip}}, coldClients
	if o.smoke { // each peer once, and each way
		views, clients = []coldView{{false, 0}, {true, trip}}, []int{2}
	}
	imap := startColdDovecot(t)
	var cases []benchCase
	for _, view := range views {
		peers := startColdPeers(t, imap, view, clients[len(clients)-1])
		for _, n := range clients {
			for _, p := range peers {
				cases = append(cases, p.benchCase(imap, view.String(), coldPace{clients: n}))
			}
		}
		if view.tls && view.trip > 0 {
			paced := fmt.Sprintf("%v, one every %v", view, coldEvery)
			for _, p := range append(startColdOwn(t, imap, view.trip), peers...) {
				if p.name == ours || p.name == coldOwn || p.name == coldOwnFar {
					cases = append(cases, p.benchCase(imap, paced, coldPace{1, coldEvery}))
				}
			}
		}
	}
	o.rounds = (2*o.rounds + 2) / 3 // what is compared here is not near to each other
	return runBench(t, cases, o)
}

// startColdPeers starts all that can ask an IMAP server in this way.
func startColdPeers(t *testing.T, imap *dovecot, view coldView, clients int) (peers []*coldPeer) {
	t.Helper()
	at := coldPlace{port: imap.port, tls: view.tls, ca: imap.ca, clients: clients}
	if view.tls {
		at.port = imap.tlsPort
	}
	if view.trip > 0 {
		at.port = startDistance(t, loopback(at.port), view.trip)
	}
	for _, s := range coldStarts {
		if view.tls && s.tls || !view.tls && s.clear {
			p := &coldPeer{name: s.name}
			s.start(t, p, at)
			peers = append(peers, p)
		}
	}
	return peers
}

func (p *coldPeer) benchCase(imap *dovecot, place string, pace coldPace) benchCase {
	return benchCase{Chapter: "cold", Server: p.name, Place: place, Clients: pace.clients,
		Round: func(t *testing.T, warm, run time.Duration) benchFigures {
			run = max(run, 200*time.Millisecond) // for the sake of some logins
			if pace.every > 0 {
				run = max(2*run, 3*pace.every)
			}
			return p.load(t, imap, pace, warm, run)
		}}
}
