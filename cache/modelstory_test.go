package cache

import (
	"strings"
	"time"
)

// expiry is a wait for when one of the last verdicts becomes something else.
func (a *author) expiry(last int) step {
	return step{
		expiry:   1 + a.IntN(last),
		fraction: pick(a, []float64{1, 1, 4. / 5, 4. / 5, 1 + float64(a.cfg.Grace)/float64(testPositive)}),
		off:      pick(a, []time.Duration{-1, 0, 1}),
		ask:      []asking{a.asking(question{})},
		lookToo:  a.IntN(2) == 0,
	}
}

// plots are what chance alone would bring about once in thousands of sequences. Each
// letter is a step about one account: see tell.
var plots = []string{
	"nede",    // what has expired is rejected, and that forgotten, when an outage begins
	"te",      // a trouble at the expiry
	"dg",      // an outage until grace has ended
	"owqwloq", // two entries are due
	"tlq",     // a refresh that fails
	"fsfswq",  // a login ends while its successor is in progress
	"nwlwq",   // a refresh that is rejected
	"qosnqq",  // a password is proved and changed at the same time
}

// story tells a plot with variations, or some things of few kinds in a row.
func (a *author) story() (steps []step) {
	const all = "qqosnbeelgduttfw"
	letter := func() byte { return all[a.IntN(len(all))] }
	plot := []byte(plots[a.IntN(len(plots))])
	if a.IntN(2) == 0 {
		kinds := []byte{'q', letter(), letter(), letter()}
		plot = make([]byte, 4+a.IntN(8))
		for i := range plot {
			plot[i] = pick(a, kinds)
		}
	}
	q := a.question()
	q.respell(a)
	other := q
	other.password = pick(a, a.passwords)
	steps = []step{a.tell('u', q, other), a.tell('b', q, other), a.tell('q', q, other)}
	for _, l := range plot {
		if a.IntN(12) == 0 {
			l = letter()
		}
		steps = append(steps, a.tell(l, q, other))
	}
	return steps
}

func (a *author) tell(letter byte, q, other question) step {
	s := step{after: a.about(100 * time.Millisecond)}
	right := func(passwords ...string) {
		s.change = map[string]string{q.account(): strings.Join(passwords, " ")}
	}
	expire := func(fraction float64) {
		after := s.after
		s = a.expiry(1 + a.IntN(4)/3)
		s.after, s.fraction = after, fraction
		if a.IntN(2) == 0 {
			s.ask[0].takes = a.about(15 * time.Second)
		}
	}
	switch letter {
	case 'q':
		s.ask = []asking{a.asking(q)}
	case 'o':
		s.ask = []asking{a.asking(other)}
	case 's': // slowly
		s.ask = []asking{a.asking(q)}
		s.ask[0].takes = a.about(15 * time.Second)
	case 'n':
		right(other.password)
	case 'b':
		right(q.password, other.password)
	case 'e':
		expire(1)
	case 'l': // the last fifth
		expire(4. / 5)
	case 'g':
		expire(1 + float64(a.cfg.Grace)/float64(testPositive))
	case 'd':
		s.server, s.conduct = q.server, down
	case 'u':
		s.server, s.conduct = q.server, answering
	case 't':
		s.server, s.conduct = q.server, pick(a, troubles)
	case 'f':
		s.flush = &q
	case 'w':
		s.after = a.about(10 * time.Second)
	}
	return s
}
