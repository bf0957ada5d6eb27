package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A daemon that Exim cannot connect to is 435, at each AUTH of a session. Exim 4.96
// then keeps a closed socket's number, unless the snippet makes it forget: the next
// AUTH would go into Exim's main log, and the end of the next mail would close what
// has the number, so that lines of the log go into the mails' files.
func TestStale(t *testing.T) {
	sockets := map[string]func(t *testing.T, socket string){
		"no socket":          func(*testing.T, string) {},
		"Connection refused": killDaemon,
		"Permission denied": func(t *testing.T, socket string) {
			killDaemon(t, socket)
			if err := os.Chmod(socket, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for _, file := range []string{"extended.conf", "plain.conf", "20_local_imapauthd"} {
		for name, prepare := range sockets {
			t.Run(file+" "+name, func(t *testing.T) {
				t.Parallel()
				socket := filepath.Join(shortDir(t), "s")
				prepare(t, socket)
				e := startExim(t, snippet(file), socket, "queue_only = true", "AUTH_SERVER_ALLOW_NOTLS_PASSWORDS = yes")
				for name, c := range map[string]*smtpClient{"-bd": e.dialClear(t), "-bs": e.session(t)} {
					e.staleSession(t, name, c)
				}
				// A daemon that is back is asked, in the same session too.
				c := e.dialClear(t)
				if got := c.login("alice", accounts["alice"]); got.code != authTempFail {
					t.Errorf("got %v, want %d", got, authTempFail)
				}
				d := startDaemon(t, socket, "--server", startIMAP(t, verdicts(users(accounts))).url(), "--socket", socket)
				openToAll(t, d.socket)
				if got := c.login("alice", accounts["alice"]); got.code != authAccepted {
					t.Errorf("with a daemon: got %v, want %d", got, authAccepted)
				}
				c.goesOn()
			})
		}
	}
}

// Who leaves the macro out in a condition of his own learns it at the first login, not
// from the log of the first outage.
func TestStaleMacro(t *testing.T) {
	conf, err := os.ReadFile(snippet("extended.conf"))
	if err != nil {
		t.Fatal(err)
	}
	definition := regexp.MustCompile(`(?m)^IMAPAUTHD_FORGET = .*\n`)
	if !definition.Match(conf) {
		t.Fatal("extended.conf does not define IMAPAUTHD_FORGET")
	}
	file := filepath.Join(shortDir(t), "extended.conf")
	writeFile(t, file, string(definition.ReplaceAll(conf, nil)))
	d := serve(t, startIMAP(t, verdicts(users(accounts))).url())
	openToAll(t, d.socket)
	e := startExim(t, file, d.socket)
	c := e.dial(t)
	if got := c.login("alice", accounts["alice"]); got.code != authTempFail {
		t.Errorf("got %v, want %d", got, authTempFail)
	}
	c.goesOn()
	if countLines(e.logText(t), "unknown variable", "IMAPAUTHD_FORGET") == 0 {
		t.Error("Exim's log does not name the macro")
	}
}

// staleSession authenticates and sends, in turn. Every line of the log must be in the
// log, and no password.
func (e *exim) staleSession(t *testing.T, name string, c *smtpClient) {
	t.Helper()
	const rounds = 3
	defer e.hides(t, name, accounts["alice"])
	before := countLines(e.logText(t), " <= ")
	for range rounds {
		for mechanism, authenticate := range mechanisms {
			got, want := authenticate(c, "alice", accounts["alice"]), reply{authTempFail, authTempText + " (no answer)"}
			if got != want {
				t.Errorf("%s, %s: got %v, want %v", name, mechanism, got, want)
			}
		}
		for _, step := range []struct {
			line string
			code int
		}{{"MAIL FROM:<>", 250}, {"RCPT TO:<a@exim.test>", 250}, {"DATA", 354}, {"Subject: x\r\n\r\nx\r\n.", 250}} {
			if got := c.command(step.line); got.code != step.code {
				t.Fatalf("%s, %q: got %v, want %d", name, step.line, got, step.code)
			}
		}
	}
	c.goesOn()
	if n := countLines(e.logText(t), " <= ") - before; n != rounds {
		t.Errorf("%s: Exim logged %d mails, want %d", name, n, rounds)
	}
}

// hides searches all of Exim's logs for a password, and for Exim's own troubles.
func (e *exim) hides(t *testing.T, name, password string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(e.log, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, leak := range leaks(string(text), []string{password}) {
			t.Errorf("%s, %s: %s", name, filepath.Base(file), leak)
		}
		if strings.HasSuffix(file, "paniclog") {
			t.Errorf("%s: Exim panicked: %s", name, text)
		}
	}
}

// killDaemon leaves what a daemon leaves that was killed: a socket, open to all, that
// nobody listens on.
func killDaemon(t *testing.T, socket string) {
	t.Helper()
	cmd := exec.Command(daemonBinary(t), "serve", "--server", "imap://localhost", "--socket", socket)
	startGroup(t, cmd)
	eventually(t, "imapauthd to listen", func() bool {
		conn, err := dialSocket(socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	cmd.Process.Kill()
	cmd.Wait()
	openToAll(t, socket)
}
