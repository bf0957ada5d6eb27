package cache

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"imapauthd/proto"
)

// grace lets entries outlive their time while their server cannot be reached: those
// that nothing has been said against. nil gives none.
type grace struct {
	most time.Duration
	gone func(req *proto.Request) bool // Options.Down
	log  *slog.Logger

	mu     sync.Mutex
	spells map[string]*spell // protects it; by server
}

// spell is a time in which grace is given. The log has its beginning and its end, for a
// line of each login would be a flood.
type spell struct {
	first    proto.Request // where it went is what has to come back
	since    time.Time
	accepted int
}

func newGrace(most time.Duration, o Options) *grace {
	return &grace{most: most, gone: o.Down, log: o.Log, spells: make(map[string]*spell)}
}

// time is how long past its lifetime an entry may be accepted.
func (g *grace) time() time.Duration {
	if g == nil {
		return 0
	}
	return g.most
}

// given counts an Accept.
func (g *grace) given(server string, req *proto.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.spells[server]
	if s == nil {
		s = &spell{first: proto.Request{Authcid: strings.Clone(req.Authcid), Server: strings.Clone(req.Server)}, since: time.Now()}
		g.spells[server] = s
		g.log.Warn("grace begins: what is past its lifetime is accepted", proto.KeyServer, server, "at_most", g.most)
	}
	s.accepted++
}

// answered takes note of a server's verdict. The first one ends the spell, unless it
// came over a connection of before, or from another domain's servers.
func (g *grace) answered(server string) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.spells[server]; s != nil && !g.gone(&s.first) {
		delete(g.spells, server)
		g.log.Info("grace is over", proto.KeyServer, server, "accepted", s.accepted, "after", time.Since(s.since).Round(time.Millisecond))
	}
}
