//go:build linux

package tests

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// memoryClients ask the daemon that remembers so many accounts.
const memoryClients = 16

// sampled are as many of its accounts as they ask for: those of a file that the load
// generator can read at once, spread over all.
const sampled = 10_000

// benchMemory is the chapter of what accounts cost in memory, and what their number
// does to a hit.
func benchMemory(t *testing.T, o benchOptions) []*benchSeries {
	url := startYes(t)
	var cases []benchCase
	for _, n := range o.accounts {
		d, socket := startFilled(t, url, n)
		l := benchLoad{socket: socket, protocol: "readsocket", clients: memoryClients}
		if n > 0 {
			l.file = askedFile(t, extendedAsked(benchAccounts(n, max(1, n/sampled)), yes))
		}
		afterFill := len(collections(d))
		collect(t, d, socket)
		cases = append(cases, benchCase{Chapter: "memory", Server: ours, Place: count(float64(n)), Clients: memoryClients,
			Round: func(t *testing.T, warm, run time.Duration) (f benchFigures) {
				if n > 0 {
					f = l.run(t, d.pid, warm, run)
				}
				gcs := collections(d)
				f.RSS, f.Heap = residentBytes(t, d.pid), gcs[len(gcs)-1].live
				var stops []time.Duration
				for _, gc := range gcs[afterFill:] {
					stops = append(stops, gc.stop)
				}
				f.Stop, f.LongestStop = median(stops), slices.Max(stops)
				return f
			}})
	}
	return runBench(t, cases, o)
}

// startFilled starts a daemon that remembers n accounts, and reports its collections.
func startFilled(t *testing.T, url string, n int) (d *notified, socket string) {
	t.Helper()
	socket, file := configFile(t, serverTOML(url, "connections = 64", "warm = 64")+
		fmt.Sprintf("[cache]\npositive_ttl = \"2h\"\naccounts = %d\n[log]\nlevel = \"warn\"\n", max(n, 100_000)))
	d = startNotified(t, file, "GODEBUG=gctrace=1")
	prime(t, socket, 64, func(yield func(asked) bool) {
		for i := range n {
			name, password := benchAccount(i)
			if !yield(extendedAsked(map[string]string{name: password}, yes)[0]) {
				return
			}
		}
	})
	return d, socket
}

// startYes runs an IMAP server that says OK to everything, as fast as it can, at a
// socket: a million logins are more than there are ports.
func startYes(t *testing.T) (url string) {
	t.Helper()
	path := filepath.Join(shortDir(t), "imap")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var g gauge
	var served sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		g.closeAll()
		served.Wait()
	})
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			g.mu.Lock()
			if g.open == nil {
				g.open = make(map[net.Conn]bool)
			}
			g.open[conn] = true
			g.mu.Unlock()
			served.Go(func() {
				defer g.remove(conn)
				sayYes(conn)
			})
		}
	})
	return "unix://" + path
}

// sayYes reads whole lines at a time, for so the daemon writes them.
func sayYes(conn net.Conn) {
	fmt.Fprint(conn, "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n")
	for buf := make([]byte, 4096); ; {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		var replies strings.Builder
		for line := range strings.Lines(string(buf[:n])) {
			tag, command, _ := strings.Cut(strings.TrimSpace(line), " ")
			if command == "LOGOUT" {
				fmt.Fprintf(conn, "%s* BYE\r\n%s OK\r\n", &replies, tag)
				return
			}
			fmt.Fprintf(&replies, "%s OK\r\n", tag)
		}
		fmt.Fprint(conn, replies.String())
	}
}

// collection is a line of GODEBUG=gctrace=1 (package runtime): what was alive, bytes,
// and how long the longer of its two stops was.
type collection struct {
	live float64
	stop time.Duration
}

var gcLine = regexp.MustCompile(`(?m)^gc \d+ @.*: ([0-9.]+)\+[0-9.]+\+([0-9.]+) ms clock, .* \d+->\d+->(\d+) MB, `)

func collections(d *notified) (all []collection) {
	for _, m := range gcLine.FindAllStringSubmatch(d.out.String(), -1) {
		number := func(s string) float64 {
			v, _ := strconv.ParseFloat(s, 64) // the expression lets nothing else through
			return v
		}
		all = append(all, collection{live: number(m[3]) * (1 << 20), stop: time.Duration(max(number(m[1]), number(m[2])) * 1e6)})
	}
	return all
}

// collect has the daemon work, without remembering anything, until two collections have
// begun since: what the second found alive is what there is.
func collect(t *testing.T, d *notified, socket string) {
	t.Helper()
	refused := askedFile(t, []asked{{strings.Repeat("x", 8000) + "\tx\tx\n", ""}})
	l := benchLoad{socket: socket, protocol: "readsocket", clients: memoryClients, file: refused}
	for start, want := time.Now(), len(collections(d))+2; len(collections(d)) < want; {
		if time.Since(start) > 2*patience {
			t.Fatalf("the daemon collected no garbage in %v", 2*patience)
		}
		l.run(t, 0, 0, 200*time.Millisecond)
	}
}

// residentBytes is a process's VmRSS (proc_pid_status(5)).
func residentBytes(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return float64(kib) * 1024
}

func rssOf(f benchFigures) float64     { return f.RSS }
func heapOf(f benchFigures) float64    { return f.Heap }
func maxOf(f benchFigures) float64     { return f.Max.Seconds() }
func stopOf(f benchFigures) float64    { return f.Stop.Seconds() }
func longestOf(f benchFigures) float64 { return f.LongestStop.Seconds() }

func memoryTable(series []*benchSeries) string {
	var b strings.Builder
	b.WriteString("Memory, and hits by 16 clients, while so many accounts are remembered:\n\n| accounts | resident | live heap | heap for each | hits/s | p50 | p99 | slowest | stop by the collector | longest |\n" +
		"|" + strings.Repeat(" --- |", 10) + "\n")
	empty := series[0].of(heapOf).median
	for _, s := range series {
		rss, heap := s.of(rssOf).median, s.of(heapOf).median
		n, _ := strconv.Atoi(strings.ReplaceAll(s.Place, ",", ""))
		fmt.Fprintf(&b, "| %s | %.0f MiB | %.0f MiB |", s.Place, rss/(1<<20), heap/(1<<20))
		if n == 0 {
			b.WriteString(" – | – | – | – | – | – | – |\n")
			continue
		}
		fmt.Fprintf(&b, " %.0f bytes | %s | %s | %s | %s | %s | %s |\n", (heap-empty)/float64(n), s.of(rateOf).text(count),
			s.of(p50Of).text(seconds), s.of(p99Of).text(seconds), s.of(maxOf).text(seconds), seconds(s.of(stopOf).median), seconds(s.of(longestOf).median))
	}
	return b.String()
}
