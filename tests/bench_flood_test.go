//go:build linux

package tests

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// floodClients are as many as ask for remembered accounts, and as many as send wrong
// passwords.
const floodClients = 16

const (
	quiet   = "alone"
	flooded = "beside wrong passwords"
)

// benchFlood is the chapter of remembered accounts while others send wrong passwords,
// for each of which Dovecot lets its caller wait.
func benchFlood(t *testing.T, o benchOptions) []*benchSeries {
	accounts := benchAccounts(20, 1)
	imap := startDovecot(t, dovecotOptions{users: accounts, trustedNetworks: "127.0.0.0/8", failureDelay: o.delay})
	clients := floodClients
	if o.smoke {
		clients = 2
	}
	var cases []benchCase
	for _, target := range startTargets(t, imap, accounts) {
		if target.name != saslOld && target.name != ours {
			continue
		}
		hits, flood := target.load, target.load
		hits.clients, flood.clients, flood.file = clients, clients, askedFile(t, wrongAsked(target, accounts))
		for _, place := range []string{quiet, flooded} {
			cases = append(cases, benchCase{Chapter: "flood", Server: target.name, Place: place, Clients: clients,
				Round: func(t *testing.T, warm, run time.Duration) benchFigures {
					if place == quiet {
						return hits.run(t, target.group, warm, run)
					}
					run, warm = o.flood, o.flood/5 // by then the flood stands
					// It ends when its last wrong password is answered, so the next
					// round finds the server idle.
					others := flood.command(t, context.Background(), 0, warm+run)
					startGroup(t, others)
					f := hits.run(t, target.group, warm, run)
					if err := others.Wait(); err != nil {
						t.Fatalf("the flood: %v\n%s", err, others.Stderr)
					}
					f.CPU = 0 // the wrong passwords' is in it
					return f
				}})
		}
	}
	o.rounds = (o.rounds + 2) / 3 // long ones
	return runBench(t, cases, o)
}

// wrongAsked are passwords that nobody has sent before, each from an address of its own:
// no cache answers them, and who counts by address has nothing to count.
func wrongAsked(target benchTarget, accounts map[string]string) (all []asked) {
	for i := range 200 {
		wrong := make(map[string]string, len(accounts))
		for name := range accounts {
			wrong[name] = fmt.Sprint("wrong ", i)
		}
		if target.load.protocol == "saslauthd" {
			all = append(all, muxAsked(wrong, "")...)
			continue
		}
		for _, a := range extendedAsked(wrong, "") {
			a.request = strings.Replace(a.request, " rip=198.51.", fmt.Sprintf(" rip=10.%d.", i), 1)
			all = append(all, a)
		}
	}
	for i := range all {
		all[i].reply = "" // any: it is refused, or too many are waiting
	}
	return all
}

func floodTable(series []*benchSeries) string {
	var b strings.Builder
	b.WriteString("The same, by 16 clients, beside wrong passwords:\n\n| server | other clients | replies/s | p50 | p99 | p99 × alone |\n" + "|" + strings.Repeat(" --- |", 6) + "\n")
	for _, s := range series {
		alone := find(series, s.Server, quiet, s.Clients)
		wrong := "none"
		if s.Place == flooded {
			wrong = fmt.Sprintf("%d send wrong passwords", s.Clients)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.2f |\n", s.Server, wrong,
			s.of(rateOf).text(count), s.of(p50Of).text(seconds), s.of(p99Of).text(seconds), s.against(alone, p99Of).median)
	}
	return b.String()
}
