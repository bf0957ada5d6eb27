//go:build linux

package tests

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// benchStart is the chapter of how soon the daemon listens.
func benchStart(t *testing.T, o benchOptions) []*benchSeries {
	_, file := configFile(t, serverTOML("imap://localhost"))
	return runBench(t, []benchCase{{Chapter: "start", Server: ours, Round: func(t *testing.T, _, _ time.Duration) benchFigures {
		n := startNotified(t, file)
		n.stop()
		return benchFigures{Startup: n.took}
	}}}, o)
}

// notified is an imapauthd that was waited for as systemd does.
type notified struct {
	pid  int
	out  *output
	took time.Duration // until READY=1 (sd_notify(3))
	stop func()
}

// startNotified starts it with a file and more of an environment. Its log need not have
// the line that other tests wait for.
func startNotified(t *testing.T, file string, env ...string) *notified {
	t.Helper()
	notify := filepath.Join(shortDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(patience))
	n := &notified{out: &output{}}
	cmd := exec.Command(benchBinary(t), "serve", "--config", file)
	cmd.Env = append(append(os.Environ(), "NOTIFY_SOCKET="+notify), env...)
	cmd.Stdout, cmd.Stderr = n.out, n.out
	begin := time.Now()
	n.pid = startSession(t, cmd)
	n.stop = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	t.Cleanup(n.stop)
	for buf := make([]byte, 4096); ; {
		length, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("imapauthd did not say that it is ready: %v\n%s", err, n.out)
		}
		if strings.Contains(string(buf[:length]), "READY=1") {
			n.took = time.Since(begin)
			return n
		}
	}
}

func startTable(series []*benchSeries) string {
	return fmt.Sprintf("From the start of the process until it listens: %s.\n",
		series[0].of(func(f benchFigures) float64 { return f.Startup.Seconds() }).text(seconds))
}
