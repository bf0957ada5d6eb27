package tests

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is what the kernel tells of a daemon.
type process struct {
	files   map[string]int // open descriptors, by what they are
	threads int
	memory  int // resident, bytes
}

// process looks at the daemon from outside (proc(5)).
func (d *daemon) process(t *testing.T) process {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid))
	text, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	p := process{files: make(map[string]int)}
	field := func(name string) (n int) {
		_, rest, _ := strings.Cut(string(text), "\n"+name+":")
		fmt.Sscan(rest, &n)
		return n
	}
	p.threads, p.memory = field("Threads"), field("VmRSS")<<10
	entries, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if what, err := os.Readlink(filepath.Join(dir, "fd", e.Name())); err == nil {
			what, _, _ = strings.Cut(what, ":[") // "socket:[inode]"
			p.files[what]++
		}
	}
	return p
}

func (p process) String() string {
	return fmt.Sprintf("%d MiB, %d threads, files %v", p.memory>>20, p.threads, p.files)
}

// heap returns how much of the daemon's heap was in use after its last collection of
// garbage, in MB, and how many there have been, by what GODEBUG=gctrace=1 has it print.
func (d *daemon) heap() (live, collections int) {
	all := heapLine.FindAllStringSubmatch(d.out.String(), -1)
	if len(all) > 0 {
		live, _ = strconv.Atoi(all[len(all)-1][1])
	}
	return live, len(all)
}

var heapLine = regexp.MustCompile(`(?m)^gc [0-9]+ @.* [0-9]+->[0-9]+->([0-9]+) MB, `)

// collect makes garbage until the daemon has collected it twice (the second time finds
// what pools gave up the first time), and returns what it then holds.
func (s *soak) collect() (live int) {
	_, before := s.d.heap()
	request := strings.Repeat("x", 16<<10-1) + "\n" // copied whole, before it is refused
	for deadline := time.Now().Add(patience); ; {
		for range 100 {
			if got := ask(s.t, s.socket("readsocket"), request); got != temp {
				s.t.Fatalf("got %q, want %q", got, temp)
			}
		}
		live, n := s.d.heap()
		if n >= before+2 {
			return live
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no collection of garbage in %v", patience)
		}
	}
}

// soakQuiet is how long a daemon may keep what it needs no more: connections stay warm
// for 60 s, and exchanges that were begun wait 30 s for their answer.
const soakQuiet = 90 * time.Second

// goneQuiet waits until the daemon holds what it held at its start. worst is the most
// that it needed in the first half of its time: the second brings nothing more.
func (s *soak) goneQuiet(start, worst process) {
	t, since := s.t, time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	now := s.d.process(t)
	for ; !maps.Equal(now.files, start.files) && time.Since(since) < soakQuiet; now = s.d.process(t) {
		<-tick.C
	}
	took := time.Since(since).Round(time.Second)
	live := s.collect()
	eventually(t, "the last connections to be closed", func() bool {
		return maps.Equal(s.d.process(t).files, now.files)
	})
	now.memory = s.d.process(t).memory
	t.Logf("at the start: %v; at worst: %d MiB, %d threads; quiet after %v: %v, %d MB of heap",
		start, worst.memory>>20, worst.threads, took, now, live)
	if !maps.Equal(now.files, start.files) {
		t.Errorf("files %v after %v, at the start %v", now.files, soakQuiet, start.files)
	}
	if live > soakHeap {
		t.Errorf("%d MB of heap in use, want at most %d", live, soakHeap)
	}
	// The race detector keeps some bytes of each defer of a goroutine, as long as that
	// lives (go.dev/doc/articles/race_detector), and goroutines that accept live for ever.
	if !*soakRace && now.memory > worst.memory+soakGrowth {
		t.Errorf("%d MiB of memory, at worst %d before", now.memory>>20, worst.memory>>20)
	}
	if now.threads > worst.threads+soakThreads {
		t.Errorf("%d threads, at worst %d before", now.threads, worst.threads)
	}
}

const (
	// soakHeap is what a daemon may hold that has nothing to do, in MB: it has 1 to
	// begin with, and 200 accounts in its caches are less.
	soakHeap = 3
	// soakGrowth is by how much the worst moment may differ from one half to the other.
	soakGrowth = 8 << 20
	// soakThreads is likewise; Go ends no threads.
	soakThreads = 16
)

var (
	goroutineHead = regexp.MustCompile(`(?m)^goroutine [1-9][0-9]* .*\[.*\]:$`)
	createdBy     = regexp.MustCompile(`(?m)^created by (\S+)`)
	waitGroup     = regexp.MustCompile(`(?m)^(\S+)\(.*\)\n.*\nsync\.\(\*WaitGroup\)\.Go\.func1`)
)

// goroutines ends the daemon by SIGQUIT, for which Go prints where every goroutine is,
// and returns how many there were, by where they were created.
func (d *daemon) goroutines(t *testing.T) []string {
	t.Helper()
	said := len(d.out.String())
	d.term = func() {} // it ends here
	if err := d.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.done:
		d.done <- nil
	case <-time.After(patience):
		t.Fatalf("still there %v after SIGQUIT", patience)
	}
	dump := d.out.String()[said:]
	heads := goroutineHead.FindAllStringIndex(dump, -1)
	counts := make(map[string]int)
	for i, head := range heads {
		end := len(dump)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		kind := "main"
		if by := createdBy.FindStringSubmatch(dump[head[0]:end]); by != nil {
			kind = by[1]
		}
		if by := waitGroup.FindStringSubmatch(dump[head[0]:end]); by != nil {
			kind = by[1]
		}
		if !strings.HasPrefix(kind, "runtime.") { // Go's own, which come with the first collection
			counts[kind]++
		}
	}
	if counts["main"] != 1 {
		t.Errorf("the dump cannot be read:\n%.5000s", dump)
	}
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	return all
}
