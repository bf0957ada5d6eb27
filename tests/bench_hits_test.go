//go:build linux

package tests

import (
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// hitClients are how many ask at a time.
var hitClients = []int{1, 8, 64, 256}

// hitAccounts are as many as are asked for in turn: more than a CPU's nearest cache
// holds, and far from filling saslauthd's 1711 slots of 6.
const hitAccounts = 1000

// benchAccount returns the name and the password of an account, of varied length.
func benchAccount(i int) (name, password string) {
	return fmt.Sprintf("%su%d@example.com", strings.Repeat("user.name.", i%3), i*7919),
		fmt.Sprintf("%s%08x", strings.Repeat("pass word ", i%3), uint32(i)*2654435761)
}

// benchAccounts returns every step-th of the first n.
func benchAccounts(n, step int) map[string]string {
	all := make(map[string]string)
	for i := 0; i < n; i += step {
		name, password := benchAccount(i)
		all[name] = password
	}
	return all
}

// extendedAsked are the requests that extended.conf sends, for each account from an
// address of its own.
func extendedAsked(accounts map[string]string, reply string) (all []asked) {
	i := 0
	for name, password := range accounts {
		i++
		all = append(all, asked{fmt.Sprintf("user=%s pass=%s rip=198.51.%d.%d lip=192.0.2.1 secured\n",
			encode(name), encode(password), i>>8&0xff, i&0xff), reply})
	}
	return all
}

// muxAsked are the same in saslauthd's protocol. "OK" without more is how saslauthd
// answers from its cache; after a login it has more to say.
func muxAsked(accounts map[string]string, reply string) (all []asked) {
	for name, password := range accounts {
		all = append(all, asked{counted(name, password, "smtp", ""), counted(reply)})
	}
	return all
}

// benchTarget is a server that runs, with what to ask it.
type benchTarget struct {
	name  string
	group int
	load  benchLoad // without its clients
}

// startTargets starts what is compared, and has those that remember learn every account
// from Dovecot.
func startTargets(t *testing.T, imap *dovecot, accounts map[string]string) []benchTarget {
	t.Helper()
	extended, mux := extendedAsked(accounts, yes), muxAsked(accounts, "OK")
	extendedFile, muxFile := askedFile(t, extended), askedFile(t, mux)
	floor, floorGroup := startFloor(t, "floor", strconv.Itoa(2*runtime.NumCPU()))
	inGo, inGoGroup := startFloor(t, "gofloor")
	sasl, saslGroup := startCachingSaslauthd(t, imap.port)
	muxSocket := shortDir(t) + "/mux"
	socket, file := configFile(t, saslauthdTOML(muxSocket)+
		// No entry may come to its end while it is measured.
		serverTOML(imap.url())+"[cache]\npositive_ttl = \"2h\"\n[log]\nlevel = \"info\"\n")
	group := startNotified(t, file).pid
	for at, requests := range map[string][]asked{socket: extended, sasl: mux} {
		prime(t, at, 16, slices.Values(requests))
	}
	return []benchTarget{
		{cFloor, floorGroup, benchLoad{socket: floor, protocol: "readsocket", file: extendedFile}},
		{goFloor, inGoGroup, benchLoad{socket: inGo, protocol: "readsocket", file: extendedFile}},
		{saslOld, saslGroup, benchLoad{socket: sasl, protocol: "saslauthd", file: muxFile}},
		{ours, group, benchLoad{socket: socket, protocol: "readsocket", file: extendedFile}},
		{oursForSASL, group, benchLoad{socket: muxSocket, protocol: "saslauthd", file: muxFile}},
	}
}

// prime asks everything once, by so many clients.
func prime(t *testing.T, socket string, clients int, requests iter.Seq[asked]) {
	t.Helper()
	next := make(chan asked)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for a := range next {
				reply, err := exchange(socket, a.request, true)
				if err != nil || !strings.HasSuffix(a.reply, "OK") && reply != a.reply || len(reply) < len(a.reply) {
					t.Errorf("the first time, %.40q: got %q, %v", a.request, reply, err)
				}
			}
		})
	}
	for a := range requests {
		next <- a
	}
	close(next)
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// benchHits is the chapter of remembered accounts.
func benchHits(t *testing.T, o benchOptions) []*benchSeries {
	n := hitAccounts
	if o.smoke {
		n = 20
	}
	accounts := benchAccounts(n, 1)
	imap := startDovecot(t, dovecotOptions{users: accounts, trustedNetworks: "127.0.0.0/8"})
	var cases []benchCase
	targets := startTargets(t, imap, accounts)
	for _, clients := range hitClients {
		for _, target := range targets {
			l := target.load
			l.clients = clients
			cases = append(cases, benchCase{Chapter: "hits", Server: target.name, Clients: clients,
				Round: func(t *testing.T, warm, run time.Duration) benchFigures { return l.run(t, target.group, warm, run) }})
		}
	}
	return runBench(t, cases, o)
}
