package imap

import (
	"math"
	"time"
)

// demand tells from the logins of late how many connections to have ready. Its
// two rates forget at different speeds: keep answers whether a connection kept
// warm will be used before it is too old, ahead how many must be on their way at
// any time for the dialling to keep up. The owner locks.
type demand struct {
	slow, fast rate
	dial       time.Duration // how long dialling takes, smoothed
}

// rate counts events, each forgotten exponentially over tau.
type rate struct {
	count float64
	last  time.Time
}

// fastTau is the memory of the fast rate: a few seconds follow a surge.
const fastTau = 2 * time.Second

// at returns the count as it stands at now.
func (r *rate) at(now time.Time, tau time.Duration) float64 {
	return r.count * math.Exp(-float64(now.Sub(r.last))/float64(tau))
}

func (r *rate) add(now time.Time, tau time.Duration) {
	r.count, r.last = r.at(now, tau)+1, now
}

// login notes that a connection is wanted.
func (d *demand) login(now time.Time) {
	d.slow = rate{d.expected(now) + 1, now}
	d.fast.add(now, fastTau)
}

// dialled notes how long a connection took.
func (d *demand) dialled(took time.Duration) {
	if d.dial == 0 {
		d.dial = took
	}
	d.dial += (took - d.dial) / 4
}

// keep returns how many connections to keep warm, at most warm: about as many as
// logins came within a connection's life, less one, so that a lone login leaves
// none behind to be logged by the server as a client that never logged in.
func (d *demand) keep(now time.Time, warm int) int {
	return min(warm, int(d.expected(now)-0.5))
}

// expected returns how many logins will come within a connection's life: as many as
// before, but no more than if each took as long as this one is taking. A crowd is
// forgotten slowly; this tells at once that it has gone, and does not touch a steady
// stream, since 1/x > 1/(eˣ-1).
func (d *demand) expected(now time.Time) float64 {
	return min(d.slow.at(now, maxAge), float64(maxAge)/float64(now.Sub(d.slow.last)))
}

// ahead returns how many connections to have on their way: rate × dial time, rounded
// down, for one that comes and finds all of warm there is closed again.
func (d *demand) ahead(now time.Time) int {
	perSecond := d.fast.at(now, fastTau) / fastTau.Seconds()
	return int(perSecond * d.dial.Seconds())
}
