package cache

import (
	"sync"
	"time"
)

// shard is the part of the cache that some of the accounts have. A hit that finds
// the lock taken is parked, and comes back behind all that is ready to run: with
// one lock that is the other logins.
type shard struct {
	mu                 sync.Mutex
	positive, negative *ledger // protects these, and flights
	flights            flights
	_                  [64]byte // the next one's lock is in another cache line
}

// A hundred logins that begin at once leave the lock of a sixteenth free.
const maxShards = 16

// newShards divides the bounds. A small cache is not divided: chance would fill one
// part and leave another empty.
func newShards(cfg Config) []shard {
	n := maxShards
	if min(cfg.Accounts, cfg.NegativeAccounts) < 1000*maxShards {
		n = 1
	}
	shards := make([]shard, n)
	for i := range shards {
		shards[i].positive = newLedger(cfg.Accounts/n, time.Duration(cfg.PositiveTTL))
		shards[i].negative = newLedger(cfg.NegativeAccounts/n, time.Duration(cfg.NegativeTTL))
		shards[i].flights = make(flights)
	}
	return shards
}

func (c *Cache) shard(account Key) *shard { return &c.shards[int(account[0])%len(c.shards)] }
