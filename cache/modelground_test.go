package cache

import (
	"fmt"
	"time"

	"imapauthd/proto"
)

// ground is what there is, at an instant, for each answer that is given without asking.
type ground struct {
	accept, reject certainty
	grace          certainty // to accept what has expired, if
	down           bool      // the server cannot be reached
	due            certainty // a hit begins a refresh
}

// ground is the promises: Accept only if a server said OK to exactly these credentials
// within the positive lifetime, and since then neither NO to them nor OK to another
// password without an entry; while the server cannot be reached, for the grace time
// more; Reject only if it said NO within the negative one, and no OK later.
func (o *oracle) ground(q question) ground {
	life, grace := o.lifetime(proto.Accept), time.Duration(o.cfg.Grace)
	account, key := q.account(), q.key()
	same := func(l *login) bool { return l.key == key }
	g := ground{
		accept: o.unmarked(q, 0, life),
		reject: o.has(proto.Reject, o.lifetime(proto.Reject), account, same),
		down:   o.down[q.server].Load(),
	}
	if grace > 0 && life > 0 {
		g.grace = o.unmarked(q, life, life+grace)
	}
	if g.accept > never && !g.down {
		g.due = o.due(q, life)
	}
	if o.has(proto.Accept, life+grace, account, same) > never { // a look at a marked entry is a use, too
		o.used(proto.Accept, account, false)
	}
	if g.reject > never {
		o.used(proto.Reject, account, false)
	}
	return g
}

// unmarked tells whether there is an entry of that age which counts.
func (o *oracle) unmarked(q question, from, to time.Duration) (c certainty) {
	key := q.key()
	for _, l := range o.of[q.account()] {
		if l.verdict == proto.Accept && l.key == key && time.Since(l.ended) >= from && c < surely {
			c = max(c, min(o.lives(l, to), o.superseded(l).not()))
		}
	}
	return c
}

// due tells whether a hit begins a refresh: the entry is in the last fifth of its life,
// none was begun for it, and none is in progress for the account.
func (o *oracle) due(q question, life time.Duration) (c certainty) {
	var last *login
	key, all := q.key(), o.of[q.account()]
	began := make(map[*login]bool) // for these OKs
	for _, l := range all {
		if l.key == key && l.verdict == proto.Accept && l.stored > never {
			if last == nil || l.ended.After(last.ended) {
				last = l
			}
			for _, r := range all {
				began[l] = began[l] || r.ahead && r.key == key && r.began.After(l.ended)
			}
		}
	}
	for _, l := range all {
		if l.key != key || l.verdict != proto.Accept || began[l] || time.Since(l.ended) < life-life/5 {
			continue
		}
		lives := min(o.lives(l, life), o.superseded(l).not())
		if l != last {
			lives = min(lives, perhaps)
		}
		c = max(c, lives)
	}
	for _, r := range all {
		if r.ahead && r.ended.IsZero() {
			c = min(c, o.void(r))
		}
	}
	return c
}

// must returns what has to be answered without asking; TempFail: nothing.
func (g ground) must() proto.Verdict {
	switch {
	case g.accept == surely:
		return proto.Accept
	case g.accept == never && g.reject == surely:
		return proto.Reject
	case g.accept == never && g.reject == never && g.grace == surely && g.down:
		return proto.Accept
	}
	return proto.TempFail
}

// may tells whether there is ground for an answer from memory.
func (g ground) may(v proto.Verdict, source proto.Source) bool {
	switch {
	case v == proto.Accept && source == proto.SourceCache:
		return g.accept > never
	case v == proto.Reject && source == proto.SourceCache:
		return g.reject > never && g.accept < surely
	case v == proto.Accept && source == proto.SourceGrace:
		return g.grace > never && g.down && g.accept < surely && g.reject < surely
	}
	return false
}

func (g ground) String() string {
	return fmt.Sprintf("ground to accept: %v, to reject: %v, for grace: %v, down: %v, due: %v", g.accept, g.reject, g.grace, g.down, g.due)
}

func (c certainty) String() string { return [...]string{"never", "perhaps", "surely"}[c] }
