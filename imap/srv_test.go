package imap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	imapsName = "_imaps._tcp.example.test"
	imapName  = "_imap._tcp.example.test"
)

// records is a reply of records of one TTL, each "priority weight port target".
func records(name string, ttl uint32, lines ...string) dnsReply {
	var r dnsReply
	for _, line := range lines {
		var priority, weight, port uint16
		var target string
		if _, err := fmt.Sscan(line, &priority, &weight, &port, &target); err != nil {
			panic(err)
		}
		r.answers = append(r.answers, srvRecord(name, ttl, priority, weight, port, target))
	}
	return r
}

func (t srvTarget) String() string { return fmt.Sprint(t.priority, " ", t.weight, " ", t.url) }

var (
	servFail = dnsReply{rcode: dnsmessage.RCodeServerFailure}
	silence  = dnsReply{silent: true}
	noData   = dnsReply{authority: []dnsmessage.Resource{soaRecord("example.test", 900, 60)}}
	refused  = dnsReply{rcode: dnsmessage.RCodeRefused}
)

// forgery is an answer to nobody's query: it names a server and a TTL.
func forgery(name string) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{Response: true, RecursionAvailable: true, ID: 4711},
		Questions: []dnsmessage.Question{{Name: header(name, 0).Name, Type: dnsmessage.TypeSRV, Class: dnsmessage.ClassINET}},
		Answers:   []dnsmessage.Resource{srvRecord(name, 7, 0, 0, 993, "attacker.test.")},
	}
	msg, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return msg
}

func TestSRVLookup(t *testing.T) {
	one := records(imapsName, 300, "0 1 993 mail.example.test.")
	oneIs := []string{"0 1 imaps://mail.example.test"}
	with := func(change func(*dnsReply)) dnsReply {
		r := one
		change(&r)
		return r
	}
	alias := func(ttl uint32) dnsmessage.Resource {
		return dnsmessage.Resource{Header: header(imapsName, ttl), Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("srv.hoster.test.")}}
	}
	for _, tt := range []struct {
		name        string
		imaps, imap *dnsReply // nil: NXDOMAIN, without a SOA record
		wantImaps   []string
		wantImap    []string
		wantTTL     time.Duration // 0: an error
	}{
		// What there is.
		{"both", &one, new(records(imapName, 200, "0 0 143 mail.example.test.")), oneIs, []string{"0 0 imap://mail.example.test"}, 200 * time.Second},
		{"imaps alone", &one, nil, oneIs, nil, 300 * time.Second},
		{"imap alone", nil, new(records(imapName, 200, "0 0 1143 Mail.EXAMPLE.test.")), nil, []string{"0 0 imap://mail.example.test:1143"}, 200 * time.Second},
		{"neither", nil, nil, nil, nil, minTTL},
		{"sorted", new(records(imapsName, 60, "20 0 993 d.test.", "10 1 993 c.test.", "10 5 993 b.test.", "10 5 993 a.test.")), nil,
			[]string{"10 5 imaps://a.test", "10 5 imaps://b.test", "10 1 imaps://c.test", "20 0 imaps://d.test"}, nil, time.Minute},

		// What is left out.
		{"none, said so", new(records(imapsName, 300, "0 0 0 .")), new(records(imapName, 300, "0 0 0 .")), nil, nil, 300 * time.Second},
		{"none with a port", new(records(imapsName, 300, "0 0 993 .")), nil, nil, nil, 300 * time.Second},
		{"none beside one", new(records(imapsName, 300, "0 0 993 .", "0 1 993 mail.example.test.")), nil, oneIs, nil, 300 * time.Second},
		{"port 0", new(records(imapsName, 300, "0 0 0 a.test.", "0 1 993 mail.example.test.")), nil, oneIs, nil, 300 * time.Second},
		{"twice", new(records(imapsName, 300, "9 1 993 mail.example.test.", "0 1 993 mail.example.test.", "0 0 993 MAIL.example.test.")), nil, oneIs, nil, 300 * time.Second},
		{"addresses", new(records(imapsName, 300, "0 0 993 192.0.2.1.", "0 0 993 0x7f.0x1.", "0 0 993 2001:db8::1.", "0 1 993 mail.example.test.")), nil, oneIs, nil, 300 * time.Second},
		{"addresses alone", new(records(imapsName, 300, "0 0 993 192.0.2.1.", "0 0 993 127.1.")), nil, nil, nil, 300 * time.Second},
		{"no host names", new(records(imapsName, 300, "0 0 993 a/b.test.", "0 0 993 a\\000b.test.", "0 0 993 -a.test.", "0 0 993 a@b.test.", "0 1 993 mail.example.test.")), nil, oneIs, nil, 300 * time.Second},

		// For how long.
		{"TTL 0", new(records(imapsName, 0, "0 1 993 mail.example.test.")), nil, oneIs, nil, minTTL},
		{"TTL of a week", new(records(imapsName, 604800, "0 1 993 mail.example.test.")), nil, oneIs, nil, maxTTL},
		{"greatest TTL", new(records(imapsName, 1<<31-1, "0 1 993 mail.example.test.")), nil, oneIs, nil, maxTTL},
		{"TTL past that is 0", new(records(imapsName, 1<<31, "0 1 993 mail.example.test.")), nil, oneIs, nil, minTTL},
		{"two TTLs", &dnsReply{answers: []dnsmessage.Resource{srvRecord(imapsName, 99, 0, 1, 993, "mail.example.test."), srvRecord(imapsName, 11, 0, 0, 993, ".")}}, nil, oneIs, nil, 11 * time.Second},
		{"an alias", &dnsReply{answers: []dnsmessage.Resource{alias(12), srvRecord("srv.hoster.test", 300, 0, 1, 993, "mail.example.test.")}}, nil, oneIs, nil, 12 * time.Second},
		{"an alias of nothing", &dnsReply{answers: []dnsmessage.Resource{alias(12)}, authority: noData.authority}, &noData, nil, nil, 12 * time.Second},
		{"no such record", &one, &noData, oneIs, nil, time.Minute},
		{"no such name", &one, &dnsReply{rcode: dnsmessage.RCodeNameError, authority: noData.authority}, oneIs, nil, time.Minute},
		{"SOA of shorter life than its minimum", &one, &dnsReply{authority: []dnsmessage.Resource{soaRecord("example.test", 30, 60)}}, oneIs, nil, 30 * time.Second},

		// Failures.
		{"both fail", &servFail, &servFail, nil, nil, 0},
		{"both refused", &refused, &refused, nil, nil, 0},
		{"one fails, one is none", &servFail, nil, nil, nil, 0},
		{"imap fails", &one, &servFail, oneIs, nil, minTTL},
		{"imaps fails", &servFail, new(records(imapName, 200, "0 0 143 a.test.")), nil, []string{"0 0 imap://a.test"}, minTTL},
		{"imap is silent", &one, &silence, oneIs, nil, minTTL},
		{"both are silent", &silence, &silence, nil, nil, 0},

		// Hostile answers, and strangers' before the true one.
		{"truncated", new(with(func(r *dnsReply) { r.truncated = true })), nil, oneIs, nil, 300 * time.Second},
		{"truncated, then a lie about the length", new(with(func(r *dnsReply) { r.truncated, r.before = true, [][]byte{{255, 255, 0}} })), nil, nil, nil, 0},
		{"forged ID before it", new(with(func(r *dnsReply) { r.before = [][]byte{forgery(imapsName), forgery(imapsName)} })), nil, oneIs, nil, 300 * time.Second},
		{"forged ID, none behind it", &dnsReply{before: [][]byte{forgery(imapsName)}, silent: true}, nil, nil, nil, 0},
		{"garbage before it", new(with(func(r *dnsReply) { r.before = [][]byte{{}, {1}, []byte(strings.Repeat("\xc0", 1300))} })), nil, oneIs, nil, 300 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			answers := make(map[string]dnsReply)
			for name, r := range map[string]*dnsReply{imapsName: tt.imaps, imapName: tt.imap} {
				if r != nil {
					answers[name] = *r
				}
			}
			// Two seconds: what is silent is waited for so long.
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			s := startDNS(t, answers)
			got, err := s.resolver().lookup(ctx, "example.test")
			if tt.wantTTL == 0 {
				if err == nil {
					t.Errorf("got %v, want an error", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if imaps := fmt.Sprint(got.imaps); imaps != fmt.Sprint(tt.wantImaps) {
				t.Errorf("imaps: got %v, want %v", imaps, tt.wantImaps)
			}
			if imap := fmt.Sprint(got.imap); imap != fmt.Sprint(tt.wantImap) {
				t.Errorf("imap: got %v, want %v", imap, tt.wantImap)
			}
			if got.ttl != tt.wantTTL {
				t.Errorf("ttl: got %v, want %v", got.ttl, tt.wantTTL)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if overTCP := slices.Contains(s.asked, imapsName+". tcp"); overTCP != (tt.imaps != nil && tt.imaps.truncated) {
				t.Errorf("asked %v", s.asked)
			}
		})
	}
}

// A hundred targets come over TCP, and the last in priority are dropped.
func TestSRVMany(t *testing.T) {
	var lines []string
	for i := range 100 {
		lines = append(lines, fmt.Sprintf("%d 0 993 host%d.example.test.", 100-i, i))
	}
	reply := records(imapsName, 300, lines...)
	reply.truncated = true
	got, err := startDNS(t, map[string]dnsReply{imapsName: reply}).resolver().lookup(t.Context(), "example.test")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.imaps); n != maxSRVTargets {
		t.Fatalf("got %d, want %d", n, maxSRVTargets)
	}
	if first, last := got.imaps[0].String(), got.imaps[maxSRVTargets-1].String(); first != "1 0 imaps://host99.example.test" || last != "32 0 imaps://host68.example.test" {
		t.Errorf("got %s … %s", first, last)
	}
}

// A lookup that is cancelled ends at once, though net.Resolver would wait for its
// own timeout of 5 s. That no goroutine stays is TestMain's.
func TestSRVCancelled(t *testing.T) {
	s := startDNS(t, map[string]dnsReply{imapsName: silence, imapName: silence})
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	timer := time.AfterFunc(100*time.Millisecond, func() { cancel(why) })
	defer timer.Stop()
	start := time.Now()
	if _, err := s.resolver().lookup(ctx, "example.test"); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
}

// Nothing listens there.
func TestSRVNoServer(t *testing.T) {
	r := &srvResolver{dial: (&dnsServer{addr: "127.0.0.1:1"}).resolver().dial}
	if got, err := r.lookup(t.Context(), "example.test"); err == nil {
		t.Errorf("got %v", got)
	} else if !strings.Contains(err.Error(), imapsName) || !strings.Contains(err.Error(), imapName) {
		t.Errorf("the error hides what was asked: %v", err)
	}
}

// FuzzMessageTTLs: whatever a message says, the TTLs are none or legal ones, and at
// most as many as it has room for.
func FuzzMessageTTLs(f *testing.F) {
	for _, r := range []dnsReply{
		records(imapsName, 300, "0 1 993 mail.example.test."),
		{answers: []dnsmessage.Resource{srvRecord(imapsName, 1<<32-1, 0, 0, 0, ".")}},
		noData,
		{answers: records(imapName, 5, "0 0 143 a.test.").answers, authority: noData.authority},
	} {
		m := dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Answers: r.answers, Authorities: r.authority}
		msg, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(msg)
	}
	f.Add(forgery(imapsName))
	f.Fuzz(func(t *testing.T, msg []byte) {
		ttls := messageTTLs(msg)
		if len(ttls) > len(msg)/11 { // RFC 1035 §4.1.3: the shortest record
			t.Errorf("%d TTLs out of %d bytes", len(ttls), len(msg))
		}
		for _, ttl := range ttls {
			if ttl < 0 || ttl >= 1<<31*time.Second {
				t.Errorf("TTL %v", ttl)
			}
		}
	})
}
