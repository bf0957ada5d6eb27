package tests

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// exim is an Exim of the test's own: its configuration includes a shipped snippet.
type exim struct {
	port int
	ca   *authority

	program, conf, log string
}

// eximConf is a whole configuration; the authenticators are the shipped file.
// Nothing in it looks anything up in the DNS.
const eximConf = `
primary_hostname = exim.test
spool_directory = DIR/spool
log_file_path = DIR/log/%%slog
pid_file_path = DIR/exim.pid
notifier_socket =
local_interfaces = 127.0.0.1
daemon_smtp_ports = %d
keep_environment =
message_logs = false
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = DIR/cert.pem
tls_privatekey = DIR/key.pem
log_selector = +pid
acl_smtp_mail = accept
acl_smtp_rcpt = accept
smtp_accept_max = 0
smtp_connect_backlog = 4096
smtp_accept_max_nonmail = 1000
IMAPAUTHD_SOCKET = %s
%s
begin authenticators
.include %s
`

// configureExim writes a configuration around a shipped file, for the daemon's
// socket. macros are more lines for the main section.
func configureExim(t *testing.T, include, socket, macros string) *exim {
	t.Helper()
	e := &exim{program: needPeer(t, "exim", "exim4-daemon-heavy"), port: freePort(t)}
	needRoot(t, "exim")
	// Exim drops root for this user, whose name is compiled in.
	owner, err := eximUser(e.program)
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	for _, sub := range []string{"spool", "log"} {
		path := filepath.Join(dir, sub)
		if err := errors.Join(os.Mkdir(path, 0o755), os.Chown(path, owner, -1)); err != nil {
			t.Fatal(err)
		}
	}
	e.ca = newAuthority(t, dir, "exim.test", "127.0.0.1")
	e.conf, e.log = filepath.Join(dir, "exim.conf"), filepath.Join(dir, "log")
	text := fmt.Sprintf(eximConf, e.port, socket, macros, include)
	writeFile(t, e.conf, strings.ReplaceAll(text, "DIR", dir))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("exim said:\n%.20000s", e.logText(t))
		}
	})
	return e
}

// startExim runs Exim as a daemon on a port and waits until it greets. macros are
// more lines for the main section.
func startExim(t *testing.T, include, socket string, macros ...string) *exim {
	t.Helper()
	e := configureExim(t, include, socket, strings.Join(macros, "\n"))
	var said output
	cmd := exec.Command(e.program, "-C", e.conf, "-bdf")
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = time.Second // its children inherit the pipe
	startGroup(t, cmd)
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-done
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	})
	eventually(t, "exim to greet", func() bool {
		select {
		case <-done:
			t.Fatalf("exim ended at start: %s", &said)
		default:
		}
		return greets(loopback(e.port), "220 ")
	})
	return e
}

// eximUser asks Exim for the number of the user that it runs as.
func eximUser(program string) (int, error) {
	out, err := exec.Command(program, "-C", os.DevNull, "-bP", "exim_user").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s -bP exim_user: %w: %s", program, err, out)
	}
	_, name, _ := strings.Cut(strings.TrimSpace(string(out)), " = ")
	if uid, err := strconv.Atoi(name); err == nil {
		return uid, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(u.Uid)
}

// dial opens an SMTP session and brings it under TLS.
func (e *exim) dial(t *testing.T) *smtpClient {
	t.Helper()
	c := e.dialClear(t)
	c.startTLS(e.ca)
	return c
}

// dialClear opens an SMTP session without TLS.
func (e *exim) dialClear(t *testing.T) *smtpClient {
	t.Helper()
	conn, err := net.Dial("tcp", loopback(e.port))
	if err != nil {
		t.Fatal(err)
	}
	return newSMTPClient(t, conn)
}

// session runs "exim -bs", which speaks SMTP on its standard input and output: no
// TLS, and no addresses but those given by args.
func (e *exim) session(t *testing.T, args ...string) *smtpClient {
	t.Helper()
	ours, theirs := socketPair(t)
	defer theirs.Close()
	cmd := exec.Command(e.program, append([]string{"-C", e.conf, "-bs"}, args...)...)
	cmd.Stdin, cmd.Stdout = theirs, theirs
	cmd.Stderr = &testWriter{t}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Wait() }) // after the client's own clean-up, which ends the session
	return newSMTPClient(t, ours)
}

// socketPair returns two ends of a connection, one of them to be inherited.
func socketPair(t *testing.T) (net.Conn, *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours := os.NewFile(uintptr(fds[0]), "ours")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	return conn, os.NewFile(uintptr(fds[1]), "theirs")
}

// testWriter shows what a process says on its standard error.
type testWriter struct{ t *testing.T }

func (w *testWriter) Write(p []byte) (int, error) {
	w.t.Logf("stderr: %s", p)
	return len(p), nil
}

// logText returns what Exim logs, but for its log of rejections, which repeats the
// others.
func (e *exim) logText(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(e.log, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		if strings.HasSuffix(file, "rejectlog") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

func (e *exim) portText() string { return strconv.Itoa(e.port) }
