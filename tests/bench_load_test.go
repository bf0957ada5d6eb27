//go:build linux

package tests

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// benchTools are the programs of the folder bench, built once.
var benchTools = sync.OnceValues(func() (string, error) {
	for _, command := range [][]string{
		{"gcc", "-O2", "-pthread", "-o", filepath.Join(binDir, "load"), filepath.Join("bench", "load.c")},
		{"gcc", "-O2", "-o", filepath.Join(binDir, "floor"), filepath.Join("bench", "floor.c")},
		{"go", "build", "-o", filepath.Join(binDir, "gofloor"), filepath.Join("bench", "floor.go")},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
		}
	}
	return binDir, nil
})

// benchTool returns the path of one of them.
func benchTool(t testing.TB, name string) string {
	t.Helper()
	needPeer(t, "gcc", "gcc")
	dir, err := benchTools()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// asked is a request, and the reply that it must get; "" is any.
type asked struct{ request, reply string }

// benchLoad is what the clients of bench/load.c do.
type benchLoad struct {
	socket, protocol string
	clients          int
	file             string // of requests, by askedFile
}

// askedFile writes requests for the load generator.
func askedFile(t testing.TB, all []asked) string {
	t.Helper()
	var b []byte
	for _, a := range all {
		for _, s := range []string{a.request, a.reply} {
			b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
			b = append(b, s...)
		}
	}
	path := filepath.Join(shortDir(t), "requests")
	writeFile(t, path, string(b))
	return path
}

// command is the load generator. It is ended with ctx, and no later than a reply can
// take that it waits for.
func (l benchLoad) command(t testing.TB, ctx context.Context, warm, run time.Duration) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, warm+run+2*patience)
	t.Cleanup(cancel)
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	cmd := exec.CommandContext(ctx, benchTool(t, "load"), l.socket, l.protocol, strconv.Itoa(l.clients), ms(warm), ms(run), l.file)
	cmd.Stderr = &output{}
	return cmd
}

// run has the clients ask, and charges the replies with what the server's process group
// (0: unknown) has worked meanwhile.
func (l benchLoad) run(t testing.TB, group int, warm, run time.Duration) benchFigures {
	t.Helper()
	cmd := l.command(t, context.Background(), warm, run)
	before, start := groupCPU(t, group), time.Now()
	out, err := cmd.Output()
	took, worked := time.Since(start), groupCPU(t, group)-before
	if err != nil {
		t.Fatalf("load: %v\n%s", err, cmd.Stderr)
	}
	var said struct {
		Replies, All, Wrong int
		Seconds, CPU        float64
		Times               map[string]time.Duration
	}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("load: %v in %q", err, out)
	}
	if said.Replies == 0 && run < patience {
		return l.run(t, group, warm, 2*run) // a very busy machine, or a very slow server
	}
	if said.Wrong > 0 {
		t.Logf("load: %d wrong replies\n%.500s", said.Wrong, cmd.Stderr)
	}
	return benchFigures{
		Rate: float64(said.Replies) / said.Seconds,
		P50:  said.Times["p50"], P90: said.Times["p90"], P99: said.Times["p99"], P999: said.Times["p999"], Max: said.Times["max"],
		CPU:     worked / time.Duration(said.All),
		LoadCPU: said.CPU / took.Seconds() / float64(runtime.NumCPU()),
		Wrong:   said.Wrong,
	}
}

// groupCPU is the CPU time of a process group so far: of those that live, by their
// clocks, to the nanosecond, and of those that they have waited for, in ticks.
func groupCPU(t testing.TB, group int) (sum time.Duration) {
	t.Helper()
	if group == 0 {
		return 0
	}
	const tick = time.Second / 100 // USER_HZ
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if pgid, err := syscall.Getpgid(pid); err != nil || pgid != group {
			continue
		}
		// proc_pid_stat(5): behind the name, which may hold anything, state is the
		// 3rd field; cutime and cstime are the 16th and 17th.
		text, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
		if f := strings.Fields(rest); len(f) > 14 {
			for _, ticks := range f[13:15] {
				n, _ := strconv.ParseInt(ticks, 10, 64)
				sum += time.Duration(n) * tick
			}
		}
		// The clock that clock_getcpuclockid(3) makes of a process.
		var ts unix.Timespec
		if unix.ClockGettime(int32(^pid<<3|2), &ts) == nil {
			sum += time.Duration(ts.Nano())
		}
	}
	return sum
}
