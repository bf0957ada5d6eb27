package tests

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A clock that is stepped: the wall clock's reading moves, the monotonic one does not, as
// at settimeofday(2). The machine's own clock is left alone, so the daemon is built with
// another time.Now in each of our packages; the libraries keep theirs.
const steppedClock = `
import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

var steppedBy = func() *atomic.Int64 {
	f, err := os.Open(os.Getenv("IMAPAUTHD_TEST_CLOCK"))
	if err != nil {
		panic(err)
	}
	defer f.Close()
	b, err := syscall.Mmap(int(f.Fd()), 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return (*atomic.Int64)(unsafe.Pointer(&b[0]))
}()

func steppedNow() time.Time {
	t := time.Now()
	// The seconds are above 30 bits of nanoseconds where there is a monotonic reading.
	(*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t)).wall += uint64(steppedBy.Load()) << 30
	return t
}

func steppedSince(t time.Time) time.Duration { return steppedNow().Sub(t) }
func steppedUntil(t time.Time) time.Duration { return t.Sub(steppedNow()) }
`

// buildStepped builds that daemon.
func buildStepped(t *testing.T) string {
	t.Helper()
	dir := shortDir(t)
	replace := make(map[string]string)
	n := 0
	add := func(path, text string) {
		n++
		replace[path] = filepath.Join(dir, fmt.Sprint(n, ".go"))
		writeFile(t, replace[path], text)
	}
	names := strings.NewReplacer("time.Now", "steppedNow", "time.Since", "steppedSince", "time.Until", "steppedUntil")
	for _, p := range listPackages(t) {
		if p.ImportPath == "imapauthd/tests" {
			continue
		}
		changed := false
		for _, name := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if other := names.Replace(string(text)); other != string(text) {
				add(filepath.Join(p.Dir, name), other+"\nvar _ time.Duration\n")
				changed = true
			}
		}
		if changed {
			add(filepath.Join(p.Dir, "stepped.go"), "package "+p.Name+"\n"+steppedClock)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file, path := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "imapauthd")
	writeFile(t, file, string(overlay))
	cmd := exec.Command("go", "build", "-race", "-tags", tags, "-overlay", file, "-o", path, ".")
	cmd.Dir = moduleRoot()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// stepped is a daemon whose clock can be stepped.
type stepped struct {
	*daemon
	clock string
}

func serveStepped(t *testing.T, binary, text string) *stepped {
	t.Helper()
	socket, file := configFile(t, text)
	s := &stepped{clock: filepath.Join(filepath.Dir(file), "clock")}
	writeFile(t, s.clock, strings.Repeat("\x00", 8))
	cmd := exec.Command(binary, "serve", "--config", file)
	cmd.Env = append(os.Environ(), "IMAPAUTHD_TEST_CLOCK="+s.clock)
	s.daemon = startCommand(t, socket, cmd)
	return s
}

// step sets how far the clock is off.
func (s *stepped) step(t *testing.T, by time.Duration) {
	t.Helper()
	f, err := os.OpenFile(s.clock, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var seconds bytes.Buffer
	binary.Write(&seconds, binary.NativeEndian, int64(by/time.Second))
	if _, err := f.WriteAt(seconds.Bytes(), 0); err != nil {
		t.Fatal(err)
	}
}

// expect asks, and judges the reply and how long it took.
func (s *stepped) expect(t *testing.T, phase, request, want string, least, most time.Duration) {
	t.Helper()
	start := time.Now()
	if got := ask(t, s.socket, request); got != want {
		t.Errorf("%s: got %q, want %q", phase, got, want)
	}
	if took := time.Since(start); took < least || took > most {
		t.Errorf("%s: took %v, want %v to %v", phase, took, least, most)
	}
}
