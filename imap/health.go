package imap

import (
	"math/rand/v2"
	"time"
)

const (
	// firstPause is how long a URL is passed over after one failed dial; each
	// further failure doubles it, up to lastPause.
	firstPause = time.Second
	lastPause  = time.Minute
)

// health tells whether a URL is passed over while others can be asked. Only its
// dials decide: what happens to credentials says nothing about the server, for a
// mail client chooses them. The owner locks.
type health struct {
	failures int           // in a row
	since    time.Time     // the first of them
	took     time.Duration // the last of them
	retry    time.Time     // the pause's end
	probing  bool          // it is over, and a dial is under way to see
}

// failed notes a dial that failed, and reports whether it is the first after a
// success. Those that were under way with the first count as one.
func (h *health) failed(now time.Time, took time.Duration) (first bool) {
	if h.sick() && !h.probing && now.Before(h.retry) {
		return false
	}
	if first = !h.sick(); first {
		h.since = now
	}
	pause := min(lastPause, firstPause<<min(h.failures, 10))
	h.failures++
	h.took = took
	h.probing = false
	// Between three and five quarters, so that many relays do not knock at once.
	h.retry = now.Add(pause*3/4 + rand.N(pause/2))
	return first
}

// succeeded notes a dial that did not fail, and returns how long others had failed
// before it; 0: none had.
func (h *health) succeeded(now time.Time) (down time.Duration) {
	if h.sick() {
		down = max(1, now.Sub(h.since))
	}
	*h = health{}
	return down
}

// sick reports whether the URL is to be asked last.
func (h *health) sick() bool { return h.failures > 0 }

// probe reports whether the pause is over. It says so once: the caller dials.
func (h *health) probe(now time.Time) bool {
	if !h.sick() || h.probing || now.Before(h.retry) {
		return false
	}
	h.probing = true
	return true
}
