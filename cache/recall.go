package cache

import "imapauthd/proto"

// memory is what is known about a request without asking.
type memory struct {
	verdict proto.Verdict
	source  proto.Source
	due     *entry // to be refreshed; nil: none
}

// recall returns what is remembered, TempFail for nothing. down: the server is known not
// to be reached. The caller holds mu.
func (c *Cache) recall(s *shard, account, key Key, req *proto.Request, down bool) memory {
	now := c.now()
	e := s.positive.find(account, key, now-c.grace.time())
	if e != nil && e.flags&marked != 0 {
		e = nil
	}
	switch {
	case e != nil && e.expires > now:
		if !s.due(e, account, now) || c.isDown(req) {
			e = nil
		}
		return memory{proto.Accept, proto.SourceCache, e}
	case s.negative.find(account, key, now) != nil:
		return memory{verdict: proto.Reject, source: proto.SourceCache}
	case e != nil && (down || c.grace != nil && c.isDown(req)):
		c.grace.given(req.Trail.Server, req)
		return memory{verdict: proto.Accept, source: proto.SourceGrace}
	}
	return memory{source: proto.SourceCache}
}

// isDown reports whether the request's server is known not to be reached.
func (c *Cache) isDown(req *proto.Request) bool { return c.down != nil && c.down(req) }

// again looks once more for a caller that would get a TempFail: the entry may have been
// renewed, removed or marked since. unreachable: the caller's own login could not reach
// the server, which tells before Options.Down does.
func (c *Cache) again(s *shard, f *flight, req *proto.Request, unreachable bool) memory {
	if c.grace == nil {
		return memory{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.recall(s, f.account, f.key, req, unreachable)
}
