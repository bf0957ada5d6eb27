package tests

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dovecot is a Dovecot of the test's own: its folder, its users, its ports.
type dovecot struct {
	port, tlsPort int
	ca            *authority

	program, dir string
	conf, log    string
	cmd          *exec.Cmd
	done         chan struct{}
	stopped      bool
	version      int        // of the file of users
	held         []net.Conn // sessions, and connections of tests
}

// dovecotOptions are the settings that tests differ in. Zero: as written in
// dovecotConf.
type dovecotOptions struct {
	users           map[string]string // name to password
	mechanisms      string            // "plain login"
	trustedNetworks string            // whose ID command is believed
	failureDelay    string            // "0s"; Dovecot's own default is 2s
	penalty         bool              // the delay that grows with each failure from one address
	tlsRequired     bool              // LOGINDISABLED before STARTTLS, at strictURL
	userIPLimit     string            // sessions of one user from one address; "0": any number, Dovecot's default is 10
	add             string            // lines behind all others; DIR is Dovecot's folder
}

// dovecotConf is a whole configuration; %s are the options. Without a penalty
// service (mode 0) Dovecot delays by auth_failure_delay alone.
const dovecotConf = `
base_dir = DIR/run
state_dir = DIR/state
instance_name = imapauthd-test
log_path = DIR/dovecot.log
auth_verbose = yes
protocols = imap
listen = 127.0.0.1, 127.0.0.2, 127.0.0.3
auth_mechanisms = %s
login_trusted_networks = %s
auth_failure_delay = %s
auth_cache_size = 0
disable_plaintext_auth = %s
ssl = %s
ssl_cert = <DIR/cert.pem
ssl_key = <DIR/key.pem
mail_location = maildir:DIR/mail/%%u
mail_max_userip_connections = %s
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%%u DIR/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=DIR/mail/%%u
}
first_valid_uid = 1
default_vsz_limit = 0
service imap-login {
  inet_listener imap {
    port = %d
  }
  inet_listener imaps {
    port = %d
    ssl = yes
  }
  unix_listener DIR/imap.sock {
    mode = 0666
  }
  process_min_avail = 1
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
%s`

const noPenalty = `
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`

// startDovecot starts Dovecot and waits until it greets.
func startDovecot(t testing.TB, o dovecotOptions) *dovecot {
	t.Helper()
	d := &dovecot{program: needPeer(t, "dovecot", "dovecot-imapd")}
	if _, err := os.Stat("/usr/lib/dovecot/imap-login"); errors.Is(err, os.ErrNotExist) {
		missingPeer(t, "dovecot's imap-login (Debian package dovecot-imapd)")
	}
	needRoot(t, "dovecot")
	d.dir = shortDir(t)
	d.conf, d.log = filepath.Join(d.dir, "dovecot.conf"), filepath.Join(d.dir, "dovecot.log")
	d.port, d.tlsPort = freePort(t), freePort(t)
	d.ca = newAuthority(t, d.dir, "localhost", "127.0.0.1", "127.0.0.2")
	mail := filepath.Join(d.dir, "mail")
	if err := errors.Join(os.Mkdir(mail, 0o755), os.Chown(mail, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	d.writeUsers(t, o.users)
	def := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return value
	}
	plaintext, ssl, penalty := "no", "yes", noPenalty
	if o.tlsRequired {
		plaintext, ssl = "yes", "required"
	}
	if o.penalty {
		penalty = ""
	}
	text := fmt.Sprintf(dovecotConf, def(o.mechanisms, "plain login"), o.trustedNetworks,
		def(o.failureDelay, "0s"), plaintext, ssl, def(o.userIPLimit, "0"), d.port, d.tlsPort, penalty+o.add)
	writeFile(t, d.conf, strings.ReplaceAll(text, "DIR", d.dir))
	d.start(t)
	t.Cleanup(func() { d.stop(t) })
	return d
}

// start runs Dovecot as configured; stop ends it. A test may do both again and again.
func (d *dovecot) start(t testing.TB) {
	t.Helper()
	// A file and no pipe: Dovecot's children hold it for a while after the master
	// has ended, and Wait would wait for them.
	stderr, err := os.Create(filepath.Join(d.dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	d.cmd = exec.Command(d.program, "-F", "-c", d.conf)
	d.cmd.Stderr = stderr
	startGroup(t, d.cmd)
	d.done, d.stopped = make(chan struct{}), false
	go func(cmd *exec.Cmd, done chan struct{}) { cmd.Wait(); close(done) }(d.cmd, d.done)
	eventually(t, "dovecot to greet", func() bool {
		select {
		case <-d.done:
			said, _ := os.ReadFile(stderr.Name())
			t.Fatalf("dovecot ended at start: %s\n%s", said, d.logText(t))
		default:
		}
		return greets(loopback(d.port), "* OK")
	})
}

func (d *dovecot) stop(t testing.TB) {
	t.Helper()
	if d.stopped {
		return
	}
	d.stopped = true
	d.resume(t)
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(patience):
		t.Errorf("dovecot still ran %v after SIGTERM", patience)
	}
	// Processes of a session outlive the master for a moment.
	syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	if t.Failed() {
		t.Logf("dovecot said:\n%.20000s", d.logText(t))
	}
}

// add has a Dovecot run with more configuration.
func (d *dovecot) add(t *testing.T, text string) {
	t.Helper()
	d.stop(t)
	conf, err := os.ReadFile(d.conf)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, d.conf, string(conf)+text)
	d.start(t)
}

// hang stops all of Dovecot's processes where they are: connections are still
// accepted, by the kernel, and nobody answers. resume lets them go on.
func (d *dovecot) hang(t testing.TB) {
	t.Helper()
	if err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

func (d *dovecot) resume(t testing.TB) {
	t.Helper()
	if err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
}

// setUsers replaces the users and waits until Dovecot has seen it, which may take
// a second: it looks at the file once per second of the clock.
func (d *dovecot) setUsers(t *testing.T, users map[string]string) {
	t.Helper()
	marker := d.writeUsers(t, users)
	eventually(t, "dovecot to read its users again", func() bool {
		return strings.HasPrefix(imapLogin(t, d, marker, marker), "a OK")
	})
}

// writeUsers writes the file of users, and one more user, by whom the version of
// the file can be told. Base64 carries every byte that the file's own syntax could
// stumble over.
func (d *dovecot) writeUsers(t testing.TB, users map[string]string) (marker string) {
	t.Helper()
	d.version++
	marker = fmt.Sprintf("version%d", d.version)
	var text strings.Builder
	for name, password := range users {
		fmt.Fprintf(&text, "%s:{PLAIN.b64}%s\n", name, base64.StdEncoding.EncodeToString([]byte(password)))
	}
	fmt.Fprintf(&text, "%s:{PLAIN}%s\n", marker, marker)
	path := filepath.Join(d.dir, "users")
	// A rename, because a login may be reading the file; and a time of its own,
	// in whole seconds, because that and the size are what Dovecot compares.
	writeFile(t, path+".new", text.String())
	stamp := time.Now().Add(time.Duration(d.version-3600) * time.Second)
	if err := errors.Join(os.Chtimes(path+".new", stamp, stamp), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
	return marker
}

func (d *dovecot) url() string { return "imap://" + loopback(d.port) }

// strictURL is an address that Dovecot demands TLS at, if configured so. It holds a
// connection between one address and itself for secure without.
func (d *dovecot) strictURL() string { return fmt.Sprint("imap://127.0.0.2:", d.port) }

func (d *dovecot) socket() string  { return filepath.Join(d.dir, "imap.sock") }
func (d *dovecot) tlsAddr() string { return loopback(d.tlsPort) }

func (d *dovecot) logText(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(d.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

// logins returns how many logins of a user Dovecot has answered, by its log: a
// line with "Login:" or with a failure each.
func (d *dovecot) logins(t *testing.T, user string) (accepted, rejected int) {
	t.Helper()
	text := d.logText(t)
	return countLines(text, "imap-login: Info: Login: user=<"+user+">"),
		countLines(text, "passwd-file("+user+",", "Password mismatch")
}

// expectLogins ends the daemon, after which no login comes, and compares how many
// Dovecot has logged. Its log is written by a process of its own and may be late.
func (d *dovecot) expectLogins(t *testing.T, from *daemon, user string, accepted, rejected int) {
	t.Helper()
	from.stop()
	eventually(t, fmt.Sprintf("%d accepted and %d rejected logins of %s in Dovecot's log", accepted, rejected, user), func() bool {
		a, r := d.logins(t, user)
		if a > accepted || r > rejected {
			t.Fatalf("Dovecot's log has %d accepted and %d rejected logins of %s, want %d and %d", a, r, user, accepted, rejected)
		}
		return a == accepted && r == rejected
	})
	d.stop(t) // and whatever is late is written now
	if a, r := d.logins(t, user); a != accepted || r != rejected {
		t.Errorf("Dovecot's log has %d accepted and %d rejected logins of %s, want %d and %d", a, r, user, accepted, rejected)
	}
}

// greets reports whether a server at addr says its first word.
func greets(addr, prefix string) bool {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.HasPrefix(line, prefix)
}
