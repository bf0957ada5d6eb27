package cache

import (
	"runtime"
	"testing"

	"imapauthd/proto"
)

// TestEvictedIsForgotten holds that an account which takes another's place takes
// nothing else of it.
func TestEvictedIsForgotten(t *testing.T) {
	for _, entries := range []int{1, 2, perAccount} {
		l := newLedger(1, testPositive)
		old, young := numbered(1000), numbered(2000)
		for i := range entries {
			l.put(old, numbered(i), numbered(i), 0)
		}
		l.mark(old)
		l.put(young, numbered(100), numbered(100), 0)
		for i := range entries {
			if l.find(old, numbered(i), 0) != nil || l.find(young, numbered(i), 0) != nil || l.proved(young, numbered(i), 0) {
				t.Errorf("of %d entries, number %d is still there", entries, i)
			}
		}
		e := l.find(young, numbered(100), 0)
		if e == nil {
			t.Fatal("the new account is not there")
		}
		if e.flags&marked != 0 {
			t.Error("the new account's entry is marked")
		}
		if n := l.accounts.Len(); n != 1 {
			t.Errorf("got %d accounts want 1", n)
		}
	}
}

// TestFlushAllKeepsBounds: what is remembered afterwards is as much, and as long.
func TestFlushAllKeepsBounds(t *testing.T) {
	c := New(Config{PositiveTTL: proto.Duration(testPositive), NegativeTTL: proto.Duration(testNegative), Accounts: 2, NegativeAccounts: 3}, Options{})
	c.FlushAll()
	for i, l := range []*ledger{c.shards[0].positive, c.shards[0].negative} {
		for account := range 10 {
			l.put(numbered(account), numbered(account), numbered(account), 0)
		}
		if got, want := l.accounts.Len(), 2+i; got != want {
			t.Errorf("got %d accounts want %d", got, want)
		}
	}
	if c.shards[0].positive.ttl != testPositive || c.shards[0].negative.ttl != testNegative {
		t.Errorf("got lifetimes %v, %v", c.shards[0].positive.ttl, c.shards[0].negative.ttl)
	}
}

// TestAccountSize holds what Config.Accounts promises. The map is at its fullest at
// this number, so that little else can hide in it.
func TestAccountSize(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	const accounts = 100_000
	for _, row := range []struct{ entries, bytes int }{{1, 171}, {3, 235}, {perAccount, 395}} {
		before := heapNow()
		l := filled(accounts, row.entries)
		size := int(heapNow()-before) / accounts
		runtime.KeepAlive(l)
		if size > row.bytes*21/20 {
			t.Errorf("an account with %d entries: got %d bytes want %d", row.entries, size, row.bytes)
		}
	}
}
