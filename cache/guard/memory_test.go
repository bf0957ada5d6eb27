package guard

import (
	"encoding/binary"
	"testing"
	"time"

	"imapauthd/proto"
)

func numbered(i int) (p pair) {
	binary.BigEndian.PutUint64(p[:], uint64(i))
	return p
}

// Nobody gets free by making up names: not by wrong passwords for others, and not by
// other blocks as long as he is asked for.
func TestEviction(t *testing.T) {
	const pairs = 10
	m := newMemory(Config{2, proto.Duration(time.Minute), proto.Duration(time.Hour)}, pairs)
	block := func(i int) {
		m.wrong(numbered(i), 0)
		if m.wrong(numbered(i), 0) != time.Minute {
			t.Errorf("pair %d was not blocked", i)
		}
	}
	block(0)
	block(1)
	for i := range 100 * pairs {
		m.wrong(numbered(1000+i), 0)
	}
	if !m.blocked(numbered(0), 1) || !m.blocked(numbered(1), 1) {
		t.Error("new pairs put a block out")
	}
	for i := range 100 * pairs {
		block(10_000 + i)
		m.blocked(numbered(0), 1)
	}
	if !m.blocked(numbered(0), 1) {
		t.Error("other blocks put out the one that is asked for")
	}
	if m.blocked(numbered(1), 1) {
		t.Error("the block that is not asked for is still there")
	}
	if m.counts.Len() > pairs || m.blocks.Len() > pairs {
		t.Errorf("got %d counts and %d blocks, want at most %d", m.counts.Len(), m.blocks.Len(), pairs)
	}
}

// The longest times that a file can hold do not wrap around.
func TestLongestTimes(t *testing.T) {
	const long = 150 * 365 * 24 * time.Hour
	m := newMemory(Config{1, proto.Duration(long), proto.Duration(290 * 365 * 24 * time.Hour)}, 10)
	now := time.Duration(1)
	for _, want := range []time.Duration{long, m.longest} {
		if got := m.wrong(numbered(1), now); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
		if !m.blocked(numbered(1), now) {
			t.Error("not blocked")
		}
		now += long
	}
}
