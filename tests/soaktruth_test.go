package tests

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// truth knows which passwords are right, and were, and judges replies by it.
type truth struct {
	mu      sync.Mutex // protects all below
	eras    map[string][]*era
	stormy  bool
	since   time.Time // of that
	replies map[string]int
}

// era is the time of one password of an account. The server takes it over at some time
// between two moments, and lets go of it likewise.
type era struct {
	password           string
	from, surelyFrom   time.Time // surelyFrom zero: the server may not know it yet
	surelyUntil, until time.Time // zero: it is right now
}

func newTruth() *truth {
	return &truth{eras: make(map[string][]*era), replies: make(map[string]int)}
}

// set notes the users that are about to be told to a server; seen, that it knows them.
func (tr *truth) set(users map[string]string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	now := time.Now()
	for user, password := range users {
		eras := tr.eras[user]
		if last := len(eras) - 1; last >= 0 {
			if eras[last].password == password {
				continue
			}
			eras[last].surelyUntil = now
		}
		tr.eras[user] = append(eras, &era{password: password, from: now})
	}
}

func (tr *truth) seen() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	now := time.Now()
	for _, eras := range tr.eras {
		for _, e := range eras {
			if e.surelyFrom.IsZero() {
				e.surelyFrom = now
			}
			if !e.surelyUntil.IsZero() && e.until.IsZero() {
				e.until = now
			}
		}
	}
}

func (tr *truth) storm() { tr.turn(true) }
func (tr *truth) calm()  { tr.turn(false) }

func (tr *truth) turn(stormy bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.stormy, tr.since = stormy, time.Now()
}

// password returns an account's newest password.
func (tr *truth) password(user string) string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	eras := tr.eras[user]
	if len(eras) == 0 {
		return "a password of nobody's"
	}
	return eras[len(eras)-1].password
}

// judge says what is wrong with a reply to a question that was asked at a time. A
// verdict may be as old as the cache's memory and a login that had begun before.
func (tr *truth) judge(t *testing.T, f string, p pair, asked time.Time, got string) {
	now := time.Now()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	mayBeRight, surelyRight := false, false
	for _, e := range tr.eras[p.user] {
		if e.password != p.password {
			continue
		}
		if e.until.IsZero() || e.until.After(asked.Add(-soakPositive-soakLogin)) {
			mayBeRight = true
		}
		if !e.surelyFrom.IsZero() && e.surelyFrom.Before(asked.Add(-soakNegative-soakLogin)) && (e.surelyUntil.IsZero() || e.surelyUntil.After(now)) {
			surelyRight = true
		}
	}
	if got == yes && !mayBeRight || got == no && surelyRight {
		t.Errorf("%s: %q: got %q", f, p, got)
	}
	what := "right"
	switch moody := strings.HasSuffix(p.user, "@moody.test"); {
	case !mayBeRight && moody:
		what = "moody, wrong"
	case !mayBeRight:
		what = "wrong"
	case moody:
		what = "moody, right"
	case surelyRight && !tr.stormy && tr.since.Add(soakCalm).Before(asked):
		tr.replies["right, and calm: "+got]++
	}
	tr.replies[what+": "+got]++
}
