package tests

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Exit statuses of "imapauthd check" (DESIGN §5).
const (
	checkAccepted  = 0
	checkRejected  = 1
	checkUsage     = 2
	checkUndecided = 75
)

// check runs "imapauthd check" and returns its exit status and what it printed.
func check(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(daemonBinary(t), append([]string{"check"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// One login without a daemon, against Dovecot over TLS from the first byte.
func TestCheck(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts})
	other := newAuthority(t, shortDir(t), "localhost", "127.0.0.1")
	server, right, wrong := imap.tlsAddr(), accounts["alice"], "a wrong password"
	closed := loopback(freePort(t))
	hung := loopback(hungPort(t))

	for _, tt := range []struct {
		name   string
		stdin  string
		args   []string
		code   int
		stdout string // its beginning
	}{
		{"right password", "", []string{"--ca-file", imap.ca.caFile, server, "alice", right}, checkAccepted, "OK\n"},
		{"right password, URL", "", []string{"--ca-file", imap.ca.caFile, "imaps://" + server, "alice", right}, checkAccepted, "OK\n"},
		{"right password, in clear on loopback", "", []string{imap.url(), "alice", right}, checkAccepted, "OK\n"},
		{"right password, read", right + "\n", []string{"--ca-file", imap.ca.caFile, server, "alice"}, checkAccepted, "OK\n"},
		{"right password, read without line end", right, []string{"--ca-file", imap.ca.caFile, server, "alice"}, checkAccepted, "OK\n"},
		{"wrong password", "", []string{"--ca-file", imap.ca.caFile, server, "alice", wrong}, checkRejected, "error: "},
		{"wrong password, read", wrong + "\n", []string{"--ca-file", imap.ca.caFile, server, "alice"}, checkRejected, "error: "},
		{"unknown account", "", []string{"--ca-file", imap.ca.caFile, server, "nobody", right}, checkRejected, "error: "},
		{"nothing to read", "", []string{"--ca-file", imap.ca.caFile, server, "alice"}, checkRejected, "error: "},
		{"too few arguments", "", []string{server}, checkUsage, "too few arguments\n"},
		{"no argument", "", nil, checkUsage, "too few arguments\n"},
		{"no CA file", "", []string{"--ca-file", "/nonexistent", server, "alice", right}, checkUsage, "error: "},
		{"no such scheme", "", []string{"pop3://" + server, "alice", right}, checkUsage, "error: "},
		{"closed port", "", []string{"--ca-file", imap.ca.caFile, closed, "alice", right}, checkUndecided, "error: "},
		{"certificate of nobody we trust", "", []string{server, "alice", right}, checkUndecided, "error: "},
		{"certificate of somebody else", "", []string{"--ca-file", other.caFile, server, "alice", right}, checkUndecided, "error: "},
		{"certificate for another name", "", []string{"--ca-file", imap.ca.caFile, strings.Replace(server, "127.0.0.1", "127.0.0.3", 1), "alice", right}, checkUndecided, "error: "},
		{"TLS where there is none", "", []string{"imaps://" + loopback(imap.port), "alice", right}, checkUndecided, "error: "},
		{"hung port", "", []string{"--ca-file", imap.ca.caFile, hung, "alice", right}, checkUndecided, "error: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			code, stdout, stderr := check(t, tt.stdin, tt.args...)
			if code != tt.code || !strings.HasPrefix(stdout, tt.stdout) || strings.Count(stdout, "\n") != 1 {
				t.Errorf("got status %d and %q, want %d and one line that begins with %q (standard error: %s)", code, stdout, tt.code, tt.stdout, stderr)
			}
			for _, leak := range leaks(stdout+stderr, []string{right, wrong}) {
				t.Error(leak)
			}
			within(t, start, patience)
		})
	}
}

// The certificate that does not verify is told from a port that is closed: who
// runs check looks for the cause.
func TestCheckSaysWhy(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts})
	for want, args := range map[string][]string{
		"certificate":        {imap.tlsAddr(), "alice", accounts["alice"]},
		"connection refused": {loopback(freePort(t)), "alice", accounts["alice"]},
	} {
		if code, stdout, _ := check(t, "", args...); code != checkUndecided || !strings.Contains(stdout, want) {
			t.Errorf("got status %d and %q, want %d and %q in it", code, stdout, checkUndecided, want)
		}
	}
}

// STARTTLS where the server demands it, and the steps shown without the secrets.
func TestCheckStartTLS(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts, tlsRequired: true})
	args := []string{"--trace", "--ca-file", imap.ca.caFile, imap.strictURL(), "alice", accounts["alice"]}
	code, stdout, stderr := check(t, "", args...)
	if code != checkAccepted || stdout != "OK\n" || stderr == "" {
		t.Errorf("got status %d, %q and %q, want 0, OK and a trace", code, stdout, stderr)
	}
	for _, leak := range leaks(stdout+stderr, []string{accounts["alice"]}) {
		t.Error(leak)
	}
	// Without our authority there is no TLS, and without TLS no password.
	if code, _, _ := check(t, "", imap.strictURL(), "alice", accounts["alice"]); code != checkUndecided {
		t.Errorf("certificate of nobody we trust: got status %d, want %d", code, checkUndecided)
	}
	eventually(t, "Dovecot to log a login under TLS", func() bool {
		return countLines(imap.logText(t), "Login: user=<alice>", "TLS") == 1
	})
}

// With the daemon's file, a login is tried as the daemon would: the server by its
// name or by the account's domain, with its keys.
func TestCheckConfig(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts})
	_, file := configFile(t, serverTOML("imaps://"+imap.tlsAddr(), `domains = ["example.test"]`, `username = "{local}"`, fmt.Sprintf("ca_file = %q", imap.ca.caFile))+
		"[[server]]\nname = \"dead\"\nurl = [\"imap://"+loopback(freePort(t))+"\"]\n")
	right := accounts["alice"]
	for _, tt := range []struct {
		name   string
		args   []string
		code   int
		stdout string // a part of it
	}{
		{"by domain", []string{"--config", file, "-", "alice@example.test", right}, checkAccepted, "OK\n"},
		{"by domain, wrong", []string{"--config", file, "-", "alice@example.test", "a guess"}, checkRejected, "AUTHENTICATIONFAILED"},
		{"by domain, the other", []string{"--config=" + file, "-", "alice@elsewhere.test", right}, checkUndecided, "connection refused"},
		{"by name", []string{"--config", file, "default", "alice", right}, checkAccepted, "OK\n"},
		{"by name, the other", []string{"--config", file, "dead", "alice", right}, checkUndecided, "connection refused"},
		{"option last", []string{"dead", "alice", right, "--config", file}, checkUsage, ""},
		{"no such server", []string{"--config", file, "other", "alice", right}, checkUsage, `no [[server]] of the name "other"`},
		{"a host", []string{"--config", file, "imap.example.com", "alice", right}, checkUsage, "no [[server]] of the name"},
		{"no such file", []string{"--config", "/nonexistent", "-", "alice", right}, checkUsage, "/nonexistent"},
		{"both", []string{"--config", file, "--ca-file", imap.ca.caFile, "-", "alice", right}, checkUsage, "do not go together"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, _ := check(t, "", tt.args...)
			if code != tt.code || !strings.Contains(out, tt.stdout) {
				t.Errorf("got status %d and %q, want %d and %q", code, out, tt.code, tt.stdout)
			}
		})
	}
}
