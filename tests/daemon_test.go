package tests

import (
	"encoding/base64"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// daemon is a running imapauthd.
type daemon struct {
	socket string
	out    *output // all that it prints, its log above all

	cmd  *exec.Cmd
	done chan error
	term func() // SIGTERM, once: a second one would end the daemon at once
	stop func()

	mu      sync.Mutex // protects secrets
	secrets []string
}

// serve starts "imapauthd serve --server url --socket PATH".
func serve(t *testing.T, url string) *daemon {
	t.Helper()
	socket := filepath.Join(shortDir(t), "s")
	return startDaemon(t, socket, "--server", url, "--socket", socket)
}

// serveConfig starts "imapauthd serve --config FILE". In the text SOCKET stands for
// the socket's path; the log's level is debug unless the text says otherwise.
func serveConfig(t *testing.T, text string) *daemon {
	t.Helper()
	socket, file := configFile(t, text)
	return startDaemon(t, socket, "--config", file)
}

// configFile writes the file for serveConfig.
func configFile(t *testing.T, text string) (socket, file string) {
	t.Helper()
	dir := shortDir(t)
	socket = filepath.Join(dir, "s")
	if !strings.Contains(text, "[log]") {
		text += "\n[log]\nlevel = \"debug\"\n"
	}
	file = filepath.Join(dir, "imapauthd.toml")
	writeFile(t, file, strings.ReplaceAll(text, "SOCKET", strconv.Quote(socket)))
	return socket, file
}

// readyLine is the log line of a daemon that listens, in any format.
var readyLine = regexp.MustCompile(`\bready\b`)

func startDaemon(t *testing.T, socket string, args ...string) *daemon {
	t.Helper()
	return startCommand(t, socket, exec.Command(daemonBinary(t), append([]string{"serve"}, args...)...))
}

// startCommand starts a daemon by a command that becomes it.
func startCommand(t *testing.T, socket string, cmd *exec.Cmd) *daemon {
	t.Helper()
	d := &daemon{socket: socket, out: &output{}, cmd: cmd, done: make(chan error, 1)}
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	startGroup(t, d.cmd)
	go func() { d.done <- d.cmd.Wait() }()
	d.term = sync.OnceFunc(func() {
		if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("SIGTERM: %v", err)
		}
	})
	d.stop = sync.OnceFunc(func() { d.terminate(t) })
	t.Cleanup(d.stop)
	eventually(t, "imapauthd to listen", func() bool {
		select {
		case err := <-d.done:
			d.done <- err
			t.Fatalf("imapauthd ended at start: %v\n%s", err, d.out)
		default:
		}
		// Its own word, because a trial connection would take one of the places
		// that some tests count.
		return readyLine.MatchString(d.out.String())
	})
	return d
}

// terminate asks the daemon to end, and judges how it ended and what it said.
func (d *daemon) terminate(t *testing.T) {
	t.Helper()
	d.term()
	select {
	case err := <-d.done:
		if err != nil {
			t.Errorf("imapauthd after SIGTERM: %v, want exit 0", err)
		}
	case <-time.After(patience):
		d.cmd.Process.Kill()
		t.Errorf("imapauthd still ran %v after SIGTERM", patience)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, leak := range leaks(d.out.String(), d.secrets) {
		t.Error(leak)
	}
	if t.Failed() {
		t.Logf("imapauthd said:\n%.20000s", d.out)
	}
}

// hides has the daemon's output searched for a password when it ends. Passwords
// that any text may contain prove nothing and are left out.
func (d *daemon) hides(password string) {
	if len(password) < 8 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.secrets = append(d.secrets, password)
}

// leaks returns a message for every form of a password that text contains.
func leaks(text string, passwords []string) []string {
	var found []string
	text = strings.ToLower(text) // response codes are shown in upper case
	for _, password := range passwords {
		// Base64 of a text within a longer one depends on where it starts, so
		// the three phases are looked for, less the characters at their ends that
		// the neighbours share.
		forms := map[string]string{"raw": password, "quoted": strings.Trim(strconv.Quote(password), `"`)}
		for phase := range 3 {
			b64 := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", phase) + password))
			first, last := (phase*8+5)/6, (phase+len(password))*8/6
			forms[fmt.Sprint("base64, phase ", phase)] = b64[first:last]
		}
		forms["quoted twice"] = strings.Trim(strconv.Quote(forms["quoted"]), `"`)
		for name, form := range forms {
			if strings.Contains(text, strings.ToLower(form)) {
				found = append(found, fmt.Sprintf("the output holds the password %q (%s)", password, name))
			}
		}
	}
	return found
}
