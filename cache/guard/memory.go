package guard

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxPairs bounds the pairs that are counted, and apart from them those that were
// blocked: so new pairs, of which a wrong password each makes as many as anybody likes,
// put no block out. A pair takes 170 bytes of heap, all of them 33 MB; nothing is taken
// before it is needed.
const maxPairs = 100_000

// memory is what is known of pairs. When it is full, the one goes that was not asked for
// longest. It is safe for concurrent use.
type memory struct {
	attempts       int
	block, longest time.Duration

	mu     sync.Mutex
	counts *simplelru.LRU[pair, count] // protected by mu
	blocks *simplelru.LRU[pair, block] // protected by mu
}

// count is the wrong passwords since the last right one, or the last block.
type count struct {
	wrong int
	last  time.Duration // on the guard's clock
}

// block is the last one of a pair, which may be over. Its end is not kept, for it may be
// past what a Duration holds.
type block struct{ since, length time.Duration }

func newMemory(cfg Config, pairs int) *memory {
	counts, err := simplelru.NewLRU[pair, count](pairs, nil)
	if err != nil {
		panic(err) // pairs < 1
	}
	blocks, _ := simplelru.NewLRU[pair, block](pairs, nil) // as above
	return &memory{
		attempts: cfg.Attempts,
		block:    time.Duration(cfg.Block),
		longest:  time.Duration(cfg.MaxBlock),
		counts:   counts,
		blocks:   blocks,
	}
}

// blocked reports whether a pair is.
func (m *memory) blocked(p pair, now time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blocks.Get(p)
	return ok && now-b.since < b.length
}

// right forgets the wrong passwords of a pair. A block stands: the account's owner is
// there, but who guessed may be there too.
func (m *memory) right(p pair) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.Remove(p)
}

// wrong counts a wrong password and returns for how long the pair is blocked from now on;
// 0: not for that.
func (m *memory) wrong(p pair, now time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, before := m.blocks.Get(p)
	over := now - last.since - last.length // since the last block's end
	if before && over < 0 {
		return 0 // a login that began before the block
	}
	c, _ := m.counts.Get(p)
	if now-c.last >= m.longest {
		c.wrong = 0
	}
	c.wrong, c.last = c.wrong+1, now
	if c.wrong < m.attempts {
		m.counts.Add(p, c)
		return 0
	}
	m.counts.Remove(p)
	next := block{since: now, length: m.block}
	if before && over < m.longest {
		next.length = m.longest
		if last.length < m.longest/2 { // 2 × length may be past what a Duration holds
			next.length = 2 * last.length
		}
	}
	m.blocks.Add(p, next)
	return next.length
}
