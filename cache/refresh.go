package cache

import (
	"time"

	"imapauthd/proto"
)

// refreshPart is which part of an entry's life is its last, in which a hit has it proved
// again: a regular client comes within two minutes of ten and so never waits for IMAP.
const refreshPart = 5

// due reports whether a hit on a live entry is to begin a login ahead of its end. One at
// a time for an account, with that request's own password, which nothing else knows; and
// one for an entry: what could not be decided is asked when the entry has ended.
func (s *shard) due(e *entry, account Key, now time.Duration) bool {
	return e.expires-now <= s.positive.ttl/refreshPart && e.flags&refreshed == 0 && !s.flights.refreshing(account)
}

// refresh begins it. Its verdict is stored as that of any other flight: an Accept renews
// the entry, a NO removes it. The caller holds mu.
func (c *Cache) refresh(s *shard, e *entry, account Key, route proto.Route, req *proto.Request) {
	e.flags |= refreshed
	f := c.prepare(account, e.key, route, req)
	f.ahead = true
	c.begin(s, f, req)
}

func (fs flights) refreshing(account Key) bool {
	for _, f := range fs[account] {
		if f.ahead {
			return true
		}
	}
	return false
}
