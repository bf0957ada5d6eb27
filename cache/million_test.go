package cache

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"imapauthd/proto"
)

// million is what a large provider has.
const million = 1_000_000

// numbered returns a key of its own for each number.
func numbered(n int) (key Key) {
	binary.LittleEndian.PutUint64(key[:], uint64(n)+1)
	return key
}

// filled returns a ledger of that many accounts, each with that many entries.
func filled(accounts, entries int) *ledger {
	l := newLedger(accounts, testPositive)
	for i := range accounts {
		for j := range entries {
			key := numbered(i*perAccount + j)
			l.put(numbered(i), key, key, 0)
		}
	}
	return l
}

// heapNow is what the heap holds once the garbage is gone.
func heapNow() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

var sizes = []int{100_000, million}

// BenchmarkLedgerHit finds accounts in no order, so that none is in the processor's
// cache.
func BenchmarkLedgerHit(b *testing.B) {
	for _, n := range sizes {
		l := filled(n, 1)
		b.Run(fmt.Sprint("accounts=", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				account := int(uint64(i) * 0x9e3779b97f4a7c15 % uint64(n))
				if l.find(numbered(account), numbered(account*perAccount), 0) == nil {
					b.Fatal("a miss")
				}
			}
		})
	}
}

// BenchmarkLedgerEvict puts accounts into a full ledger.
func BenchmarkLedgerEvict(b *testing.B) {
	for _, n := range sizes {
		l := filled(n, 1)
		next := n
		b.Run(fmt.Sprint("accounts=", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.put(numbered(next), numbered(next), numbered(next), 0)
				next++
			}
		})
	}
}

// BenchmarkAccountSize reports what an account costs. -benchtime=1x is enough.
func BenchmarkAccountSize(b *testing.B) {
	for _, n := range sizes {
		for _, entries := range []int{1, 3, perAccount} {
			b.Run(fmt.Sprint("accounts=", n, "/entries=", entries), func(b *testing.B) {
				var size float64
				for b.Loop() {
					before := heapNow()
					l := filled(n, entries)
					size = float64(heapNow()-before) / float64(n)
					runtime.KeepAlive(l)
				}
				b.ReportMetric(size, "B/account")
			})
		}
	}
}

// full returns a cache with both sides full. The entries are nobody's.
func full(b *testing.B, accounts int, next proto.Authenticator) *Cache {
	c := newCache(b, next, accounts, theServer)
	fill(c, accounts)
	return c
}

// fill fills both sides.
func fill(c *Cache, accounts int) {
	for i := range c.shards {
		n := accounts / len(c.shards)
		c.shards[i].positive, c.shards[i].negative = filled(n, 1), filled(n, 1)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		newCache(b, nil, million, theServer)
	}
}

// BenchmarkFlushAll is how long it holds the lock. Use -benchtime=3x: it fills the
// cache anew for each.
func BenchmarkFlushAll(b *testing.B) {
	c := newCache(b, nil, million, theServer)
	for b.Loop() {
		b.StopTimer()
		fill(c, million)
		runtime.GC()
		b.StartTimer()
		c.FlushAll()
	}
}

// BenchmarkCacheHitParallel is hits by all processors at once, of accounts in no
// order.
func BenchmarkCacheHitParallel(b *testing.B) {
	for _, n := range []int{1000, million} {
		c := newCache(b, nil, n+n/8, theServer) // shards are not equally full
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprint("user", i, "@example.com")
			key := c.keys.entry(theServer, request(names[i], "right"))
			account := c.keys.account("s", names[i])
			c.shard(account).positive.put(account, key, key, c.now())
		}
		b.Run(fmt.Sprint("accounts=", n), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				req := request("", "right")
				for i := uint64(0); pb.Next(); i++ {
					req.Authcid = names[i*0x9e3779b97f4a7c15%uint64(n)]
					if v, _ := c.Authenticate(context.Background(), req); v != yes {
						b.Error("a miss")
						return
					}
				}
			})
		})
	}
}

// BenchmarkHitAmong reports the latency of hits in a cache of a million accounts,
// alone and beside other work, in turn: the 99th percentile and the longest of a
// round, medians of the rounds, in ns. And the pauses of the garbage
// collector in all of it. Hits come one by one, as from sockets: one that never
// rests is preempted when its time is up, and measures that. The hundred logins of a
// round begin at once, then go on as they end. -benchtime=20x.
func BenchmarkHitAmong(b *testing.B) {
	slow := proto.AuthenticatorFunc(func(ctx context.Context, req *proto.Request) (proto.Verdict, error) {
		select {
		case <-time.After(10*time.Millisecond + rand.N(20*time.Millisecond)): // not all at once
		case <-ctx.Done():
			return proto.TempFail, ctx.Err()
		}
		req.Trail = proto.Trail{Source: proto.SourceIMAP}
		return proto.Verdict(1 + len(req.Authcid)%2), nil // of either kind
	})
	c := full(b, million, slow)
	alice := request("alice@example.com", "right")
	account, key := c.keys.account("s", alice.Authcid), c.keys.entry(theServer, alice)
	s := c.shard(account)
	s.positive.put(account, key, key, c.now())

	pace := time.NewTicker(20 * time.Microsecond)
	defer pace.Stop()
	other := full(b, 100_000, slow)
	login := func(c *Cache) func(worker, i int) {
		return func(worker, i int) {
			c.Authenticate(context.Background(), request(fmt.Sprint(worker, "-", i), "x"))
		}
	}
	rows := []struct {
		name    string
		workers int
		work    func(worker, i int)
	}{
		{"alone", 0, nil},
		{"logins", 100, login(c)},
		{"logins-elsewhere", 100, login(other)}, // what no sharding could better
		{"evictions", 1, func(_, i int) {
			<-pace.C
			s.mu.Lock()
			s.positive.put(numbered(-i-2), key, key, c.now())
			s.mu.Unlock()
		}},
		{"gc", 1, func(int, int) { runtime.GC() }},
	}
	p99s, longest := make([][]float64, len(rows)), make([][]float64, len(rows))
	var before, after debug.GCStats
	debug.ReadGCStats(&before)
	for b.Loop() {
		for r, row := range rows {
			stop := make(chan struct{})
			var wg sync.WaitGroup
			for worker := range row.workers {
				wg.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
							row.work(worker, i)
						}
					}
				})
			}
			took, tick := make([]time.Duration, 0, 10_000), time.NewTicker(20*time.Microsecond)
			for begun := time.Now(); time.Since(begun) < 200*time.Millisecond; {
				<-tick.C
				start := time.Now()
				c.Authenticate(context.Background(), alice)
				took = append(took, time.Since(start))
			}
			tick.Stop()
			close(stop)
			wg.Wait()
			slices.Sort(took)
			p99s[r] = append(p99s[r], float64(took[len(took)*99/100]))
			longest[r] = append(longest[r], float64(took[len(took)-1]))
		}
	}
	debug.ReadGCStats(&after)
	for r, row := range rows {
		slices.Sort(p99s[r])
		slices.Sort(longest[r])
		b.ReportMetric(p99s[r][len(p99s[r])/2], row.name+"-p99")
		b.ReportMetric(longest[r][len(longest[r])/2], row.name+"-max")
	}
	pauses := after.Pause[:min(len(after.Pause), int(after.NumGC-before.NumGC))]
	if len(pauses) > 0 {
		slices.Sort(pauses)
		b.ReportMetric(float64(pauses[len(pauses)/2]), "gc-pause-p50")
		b.ReportMetric(float64(pauses[len(pauses)-1]), "gc-pause-max")
	}
	b.ReportMetric(0, "ns/op")
}
