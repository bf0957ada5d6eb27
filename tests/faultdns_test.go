package tests

import (
	"fmt"
	"testing"
	"time"
)

// DNS goes, or hangs, after a server's name was found: its last addresses stay in use,
// nobody waits for an answer that does not come, and what DNS says is followed again
// when it is back.
func TestFaultDNS(t *testing.T) {
	for name, tt := range map[string]struct{ fail, mend func(*dnsServer, *testing.T) }{
		"gone": {(*dnsServer).stop, (*dnsServer).start},
		"hung": {(*dnsServer).hang, (*dnsServer).resume},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			imap := acceptAll(t)
			dns := startDNS(t, "host-record=mail.example.test,127.0.0.1")
			d := serveDNS(t, dns, serverTOML(fmt.Sprint("imap://mail.example.test:", imap.port), "any_domain = true", "warm = 0"))
			n := 0
			right := func() (string, time.Duration) {
				n++
				start := time.Now()
				return ask(t, d.socket, plainRequest(fmt.Sprint("user", n), accounts["alice"])), time.Since(start)
			}
			expect := func(phase string) {
				t.Helper()
				if got, took := right(); got != yes || took > quick {
					t.Errorf("%s: got %q after %v", phase, got, took)
				}
			}
			expect("before")
			tt.fail(dns, t)
			until := time.Now().Add(3 * time.Second) // longer than addresses are in force without being looked up
			pace := time.NewTicker(50 * time.Millisecond)
			defer pace.Stop()
			for time.Now().Before(until) {
				<-pace.C
				expect("meanwhile")
			}
			tt.mend(dns, t)
			expect("after")
			dns.set(t) // no such name
			eventually(t, "what DNS says to be followed", func() bool { got, _ := right(); return got == temp })
			dns.set(t, "host-record=mail.example.test,127.0.0.1")
			eventually(t, "the name to be found again", func() bool { got, _ := right(); return got == yes })
		})
	}
}
