package cache

import (
	"runtime"
	"testing"
)

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
