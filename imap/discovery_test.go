package imap

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imapauthd/proto"
)

// fakeDNS answers lookups as it is told.
type fakeDNS struct {
	answer srvAnswer
	err    error
	takes  time.Duration // over 5 s: it hangs
	asked  int
}

func (f *fakeDNS) lookup(ctx context.Context, domain string) (srvAnswer, error) {
	f.asked++
	select {
	case <-time.After(f.takes):
		return f.answer, f.err
	case <-ctx.Done():
		return srvAnswer{}, context.Cause(ctx)
	}
}

// targets are servers of one priority each.
func targets(scheme string, hosts ...string) (all []srvTarget) {
	for i, h := range hosts {
		all = append(all, srvTarget{URL{Scheme: scheme, Host: h, Port: 993}, uint16(i), 0})
	}
	return all
}

// withDiscovery runs test on synthetic time.
func withDiscovery(t *testing.T, dns *fakeDNS, test func(t *testing.T, d *discovery)) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		d := newDiscovery("example.test", &cfg, slog.New(slog.DiscardHandler))
		d.lookup = dns.lookup
		test(t, d)
		d.close()
	})
}

// found acquires and releases, and returns what a login would try, and how long
// it waited for that.
func found(t *testing.T, d *discovery) (string, time.Duration) {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 9*time.Second, proto.ErrDeadline)
	defer cancel()
	pools, release, err := d.acquire(ctx)
	if err != nil {
		return err.Error(), time.Since(start)
	}
	defer release()
	var names []string
	for _, p := range pools {
		names = append(names, p.url.Scheme+"/"+p.url.Host)
		if !p.strict || p.others.Load() != (len(pools) > 1) {
			t.Errorf("%s: strict %v, others %v of %d", p.url, p.strict, p.others.Load(), len(pools))
		}
	}
	return strings.Join(names, " "), time.Since(start)
}

func TestDiscovery(t *testing.T) {
	dns := &fakeDNS{answer: srvAnswer{imaps: targets("imaps", "a", "b"), imap: targets("imap", "a"), ttl: time.Minute}}
	withDiscovery(t, dns, func(t *testing.T, d *discovery) {
		step := func(what, want string, waited time.Duration, asked int) {
			t.Helper()
			got, took := found(t, d)
			synctest.Wait()
			if !strings.Contains(got, want) || took != waited || dns.asked != asked {
				t.Errorf("%s: got %q after %v, %d lookups; want %q after %v, %d", what, got, took, dns.asked, want, waited, asked)
			}
		}
		step("first", "imaps/a imaps/b imap/a", 0, 1)
		step("remembered", "imaps/a imaps/b imap/a", 0, 1)
		time.Sleep(time.Minute)
		dns.answer = srvAnswer{imaps: targets("imaps", "c"), ttl: time.Minute}
		step("moved", "imaps/c", 0, 2)
		time.Sleep(time.Minute)
		dns.err = errors.New("SERVFAIL")
		step("an outage of DNS", "imaps/c", 0, 3)
		step("not asked again at once", "imaps/c", 0, 3)
		time.Sleep(keptPause)
		dns.takes = time.Hour
		step("and now it hangs", "imaps/c", 0, 4)
		time.Sleep(lookupTimeout)
		dns.err, dns.takes = nil, 0
		dns.answer.imaps = targets("imaps", "d")
		time.Sleep(keptPause)
		step("back, for the next login", "imaps/c", 0, 5)
		synctest.Wait()
		step("back", "imaps/d", 0, 5)
		time.Sleep(time.Minute)
		dns.takes = time.Hour
		step("hangs from one moment to the next", "imaps/d", lookupPatience, 6)
		step("while it hangs", "imaps/d", 0, 6)
		time.Sleep(lookupTimeout)
		dns.answer, dns.takes = srvAnswer{ttl: time.Minute}, 0
		time.Sleep(keptPause)
		found(t, d)
		synctest.Wait()
		step("no service", "names no IMAP server for example.test", 0, 7)
	})
}

// TestDiscoveryAtStart: without DNS there is no answer, and soon after it is back
// there is one.
func TestDiscoveryAtStart(t *testing.T) {
	dns := &fakeDNS{err: errors.New("SERVFAIL")}
	withDiscovery(t, dns, func(t *testing.T, d *discovery) {
		for range 10 {
			if got, took := found(t, d); got != "SERVFAIL" || took != 0 {
				t.Errorf("got %q after %v", got, took)
			}
		}
		if dns.asked != 1 {
			t.Errorf("%d lookups for ten logins at once, want 1", dns.asked)
		}
		dns.takes = time.Hour
		time.Sleep(lookupPause)
		if got, took := found(t, d); !strings.Contains(got, "wait for DNS") || took != 9*time.Second {
			t.Errorf("hung: got %q after %v", got, took)
		}
		time.Sleep(lookupTimeout)
		synctest.Wait()
		dns.answer, dns.err, dns.takes = srvAnswer{imap: targets("imap", "a"), ttl: time.Minute}, nil, 0
		time.Sleep(lookupPause)
		if got, took := found(t, d); got != "imap/a" || took != 0 {
			t.Errorf("back: got %q after %v", got, took)
		}
	})
}

// TestDiscoveryInPart: a service that gets no answer keeps the servers it had.
func TestDiscoveryInPart(t *testing.T) {
	dns := &fakeDNS{answer: srvAnswer{imaps: targets("imaps", "a"), imap: targets("imap", "b"), ttl: time.Minute}}
	withDiscovery(t, dns, func(t *testing.T, d *discovery) {
		for _, tt := range []struct {
			answer srvAnswer
			want   string
		}{
			{dns.answer, "imaps/a imap/b"},
			{srvAnswer{imap: targets("imap", "c"), missing: "imaps", ttl: minTTL}, "imaps/a imap/c"},
			{srvAnswer{imaps: targets("imaps", "d"), missing: "imap", ttl: minTTL}, "imaps/d imap/c"},
			{srvAnswer{imaps: targets("imaps", "e"), ttl: minTTL}, "imaps/e"},
		} {
			dns.answer = tt.answer
			time.Sleep(time.Minute)
			found(t, d) // which may still get the half answer of before
			synctest.Wait()
			if got, _ := found(t, d); got != tt.want {
				t.Errorf("%+v: got %s want %s", tt.answer, got, tt.want)
			}
		}
	})
}

// TestDroppedPool: a target that DNS no longer names is closed when nobody uses it,
// and one that it still names is the same pool as before.
func TestDroppedPool(t *testing.T) {
	dns := &fakeDNS{answer: srvAnswer{imaps: targets("imaps", "a", "b"), ttl: time.Minute}}
	withDiscovery(t, dns, func(t *testing.T, d *discovery) {
		before, release, err := d.acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		dns.answer.imaps = slices.Clone(dns.answer.imaps[1:])
		time.Sleep(time.Minute)
		after, release2, err := d.acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(after) != 1 || after[0] != before[1] {
			t.Errorf("got %d pools, the same one: %v", len(after), len(after) > 0 && after[0] == before[1])
		}
		closed := func() bool {
			synctest.Wait()
			before[0].mu.Lock()
			defer before[0].mu.Unlock()
			return before[0].closed
		}
		if closed() {
			t.Error("closed in use")
		}
		release()
		if !closed() {
			t.Error("not closed after its last login")
		}
		release2()
	})
}

// TestFoundIdentity: whose certificate is good enough, by where the name came from.
func TestFoundIdentity(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SRVTargets = []string{"Mail.Hoster.test."}
	for target, want := range map[string]string{
		"example.test":          "example.test: example.test",
		"imap.example.test":     "imap.example.test: example.test imap.example.test",
		"a.b.example.test":      "a.b.example.test: example.test a.b.example.test",
		"mail.hoster.test":      "mail.hoster.test: example.test mail.hoster.test",
		"x.mail.hoster.test":    "example.test: example.test",
		"attacker.test":         "example.test: example.test",
		"notexample.test":       "example.test: example.test",
		"example.test.evil.com": "example.test: example.test",
	} {
		who := cfg.foundIdentity("example.test", target)
		if got := who.sni + ": " + strings.Join(who.names, " "); got != want {
			t.Errorf("%s: got %q want %q", target, got, want)
		}
	}
	cfg.TLSName = "F\u00fcxed.test"
	if who := cfg.foundIdentity("example.test", "imap.example.test"); who.sni != "xn--fxed-0ra.test" || !slices.Equal(who.names, []string{"xn--fxed-0ra.test"}) {
		t.Errorf("tls_name: got %+v", who)
	}
}

// TestDiscoveryRoute: only accounts of the listed domains, and only these domains,
// lead to DNS.
func TestDiscoveryRoute(t *testing.T) {
	cfg := DefaultConfig()
	cfg.URL, cfg.Domains = []URL{{Scheme: srvScheme}}, []string{"B\u00fccher.test", "example.test"}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r, err := NewRouter([]Config{cfg}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var asked []string
	for _, d := range r.byName["default"].found {
		d.lookup = func(_ context.Context, domain string) (srvAnswer, error) {
			asked = append(asked, domain)
			return srvAnswer{ttl: time.Minute}, nil
		}
	}
	for _, tt := range []struct {
		authcid, server string
		want            proto.Verdict
		asked           string
	}{
		{"bob@example.test", "", proto.TempFail, "example.test"},
		{"bob@B\u00dcCHER.test", "default", proto.TempFail, "xn--bcher-kva.test"},
		{"bob@other.test", "", proto.Reject, ""},
		{"bob@other.test", "default", proto.Reject, ""},
		{"bob@sub.example.test", "default", proto.Reject, ""},
		{"bob", "default", proto.Reject, ""}, // of which one?
	} {
		asked = nil
		req := &proto.Request{Authcid: tt.authcid, Server: tt.server, Password: proto.NewPassword("x")}
		v, err := r.Authenticate(t.Context(), req)
		if v != tt.want || strings.Join(asked, " ") != tt.asked {
			t.Errorf("%s at %q: got %v (%v), asked %v; want %v, %s", tt.authcid, tt.server, v, err, asked, tt.want, tt.asked)
		}
		if v == proto.Reject && req.Trail.Source != proto.SourceRouter {
			t.Errorf("%s: the source is %v", tt.authcid, req.Trail.Source)
		}
	}
}
