//go:build linux

package tests

import (
	"flag"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var (
	benchFull   = flag.Bool("bench-full", false, "run TestBench: what answers cost, ours and the others'")
	benchQuick  = flag.Bool("bench-quick", false, "with it: some minutes, for a look")
	benchTime   = flag.Duration("bench-time", time.Second, "with it: how long each server is asked in each round")
	benchRounds = flag.Int("bench-rounds", 7, "with it: rounds")
	updateBench = flag.Bool("update-bench", false, "with it: write the tables into README.md, and packaging/bench.svg")
)

// benchOptions are how long it is measured.
type benchOptions struct {
	warm, run time.Duration // of one case in one round
	rounds    int
	flood     time.Duration // run beside wrong passwords, where replies can take many seconds
	delay     string        // of Dovecot there
	accounts  []int         // that are remembered, in the chapter of memory, from 0
	smoke     bool          // as few accounts and cases as show that it works
}

// benchFigures are what one round of one case shows. Zero: this case has no such figure.
type benchFigures struct {
	Rate                     float64       // replies per second
	P50, P90, P99, P999, Max time.Duration // of a reply, as its client sees it
	CPU                      time.Duration // of the server's processes, for each reply
	Server                   time.Duration // of Dovecot's processes, for each login
	Warm                     float64       // the part of the logins that found a warm connection
	LoadCPU                  float64       // of the load generator: the part of the machine that it took
	Wrong                    int           // replies that were wrong or missing; any fails the benchmark
	RSS, Heap                float64       // of the daemon, bytes: resident, and alive
	Stop, LongestStop        time.Duration // of the daemon, by the collector: half of them are shorter than Stop
	Startup                  time.Duration // of the daemon
}

// benchCase is one thing that is measured: a server under one load.
type benchCase struct {
	Chapter, Server string
	Place           string // what else there is to say of the load ("TLS, 20 ms away"); may be empty
	Clients         int
	Round           func(t *testing.T, warm, run time.Duration) benchFigures
}

// benchSeries is a case with what each round has shown.
type benchSeries struct {
	benchCase
	Rounds []benchFigures
}

// benchChapter is a part of the benchmark: run starts its servers, has them measured by
// runBench, and stops them with t; table shows that in Markdown.
type benchChapter struct {
	name  string
	run   func(t *testing.T, o benchOptions) []*benchSeries
	table func(series []*benchSeries) string
}

// benchChapters are in the order of the README.
var benchChapters = []benchChapter{
	{"hits", benchHits, hitsTable},
	{"cold", benchCold, coldTable},
	{"flood", benchFlood, floodTable},
	{"memory", benchMemory, memoryTable},
	{"start", benchStart, startTable},
}

// benchResults are the series of each chapter.
type benchResults map[string][]*benchSeries

// TestBench is "make bench".
func TestBench(t *testing.T) {
	if !*benchFull {
		t.Skip("runs for a quarter of an hour; make bench asks for it (-bench-full)")
	}
	// 2 s is Dovecot's own default (auth_failure_delay).
	o := benchOptions{*benchTime / 4, *benchTime, *benchRounds, 15 * *benchTime, "2s", []int{0, 100_000, 1_000_000}, false}
	if *benchQuick {
		o = benchOptions{50 * time.Millisecond, 200 * time.Millisecond, 3, 8 * time.Second, "2s", []int{0, 10_000}, false}
	}
	results := measure(t, o)
	if t.Failed() {
		return
	}
	tables := benchTables(results)
	t.Logf("\n%s", tables)
	if hits := results["hits"]; hits != nil {
		t.Log(hitsGoals(hits))
	}
	if !*updateBench {
		return
	}
	for _, c := range benchChapters {
		if results[c.name] == nil {
			t.Fatalf("the chapter %s was not measured: nothing is written", c.name)
		}
	}
	before, _, after := readmeBlockOf(t, "bench")
	writeReadme(t, before+tables+after)
	writeFile(t, filepath.Join(moduleRoot(), "packaging", "bench.svg"), benchSVG(results))
}

// measure runs every chapter. One that is skipped leaves no series.
func measure(t *testing.T, o benchOptions) benchResults {
	results := make(benchResults)
	for _, c := range benchChapters {
		t.Run(c.name, func(t *testing.T) { results[c.name] = c.run(t, o) })
	}
	return results
}

// runBench measures the cases in turn, round by round, so that what else the machine
// does in a while falls on all of them.
func runBench(t *testing.T, cases []benchCase, o benchOptions) []*benchSeries {
	t.Helper()
	var all []*benchSeries
	for _, c := range cases {
		all = append(all, &benchSeries{benchCase: c})
	}
	for range o.rounds {
		for _, s := range all {
			f := s.Round(t, o.warm, o.run)
			if f.Wrong > 0 {
				t.Fatalf("%s, %s, %d clients %s: %d wrong replies", s.Chapter, s.Server, s.Clients, s.Place, f.Wrong)
			}
			s.Rounds = append(s.Rounds, f)
		}
	}
	return all
}

// figure picks one out of a round's.
type figure func(benchFigures) float64

func rateOf(f benchFigures) float64 { return f.Rate }
func cpuOf(f benchFigures) float64  { return f.CPU.Seconds() }
func p50Of(f benchFigures) float64  { return f.P50.Seconds() }
func p99Of(f benchFigures) float64  { return f.P99.Seconds() }
func loadOf(f benchFigures) float64 { return f.LoadCPU }

// spread is the median of the rounds, and the quartiles.
type spread struct{ low, median, high float64 }

func (s *benchSeries) of(what figure) spread {
	var values []float64
	for _, f := range s.Rounds {
		values = append(values, what(f))
	}
	return spreadOf(values)
}

// against is a figure as a multiple of another case's in the same round.
func (s *benchSeries) against(base *benchSeries, what figure) spread {
	var values []float64
	for i, f := range s.Rounds {
		if b := what(base.Rounds[i]); b > 0 {
			values = append(values, what(f)/b)
		}
	}
	return spreadOf(values)
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	slices.Sort(values)
	at := func(quarter int) float64 { // between two values, where it falls between
		i := (len(values) - 1) * quarter
		lower, part := values[i/4], float64(i%4)/4
		return lower + part*(values[min(i/4+1, len(values)-1)]-lower)
	}
	return spread{at(1), at(2), at(3)}
}

// find returns the series of a server under a load, nil if there is none.
func find(series []*benchSeries, server, place string, clients int) *benchSeries {
	for _, s := range series {
		if s.Server == server && s.Place == place && s.Clients == clients {
			return s
		}
	}
	return nil
}
