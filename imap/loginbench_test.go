//go:build unix

package imap

import (
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"imapauthd/proto"
)

// BenchmarkColdLogin measures what logins cost this process, and not the server, which
// is another: the warm connection's use, its good-bye, and the dial and handshake of
// the one that takes its place. cpu-us is the CPU time of one login, all threads
// together; dials the connections made for one; resumed the share of them that
// resumed a TLS session.
func BenchmarkColdLogin(b *testing.B) {
	for _, kind := range []string{"clear", "tls13-resumed", "tls13-x25519", "tls13-full", "tls12-resumed", "tls12-full"} {
		b.Run(kind, func(b *testing.B) {
			for _, callers := range []int{1, 8} {
				name := map[int]string{1: "one", 8: "eight"}[callers]
				b.Run(name, func(b *testing.B) { benchLogins(b, kind, callers) })
			}
		})
	}
}

func benchLogins(b *testing.B, kind string, callers int) {
	addr, ca, stop := startBenchServer(b, kind)
	scheme := "imaps://"
	if kind == "clear" {
		scheme = "imap://"
	}
	r := newRouter(b, scheme+addr, func(c *Config) { c.CAFile = ca })
	req := proto.Request{
		Authcid:  "alice@example.com",
		Password: proto.NewPassword("correct horse battery staple"),
		Client:   netip.MustParseAddrPort("192.0.2.1:4711"),
	}
	login := func() {
		one := req
		if v, err := r.Authenticate(b.Context(), &one); v != proto.Accept {
			b.Errorf("got %v: %v", v, err)
		}
	}
	for range 20 {
		login()
	}
	runtime.GC()
	b.ReportAllocs()
	before := cpuTime(b)
	logins := make(chan struct{})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range logins {
				login()
			}
		})
	}
	for b.Loop() {
		logins <- struct{}{}
	}
	close(logins)
	wg.Wait()
	used := cpuTime(b) - before
	r.Close()
	all, resumed := stop()
	b.ReportMetric(float64(used.Nanoseconds())/1000/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(all)/float64(b.N+20), "dials/op")
	b.ReportMetric(float64(resumed)/float64(all), "resumed")
}

// cpuTime is what this process has used so far.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
