package tests

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// courier is a Courier IMAP server of the test's own. At port it takes passwords in
// clear, as Debian configures it; at port of 127.0.0.2 it does not (LOGINDISABLED,
// strictURL).
type courier struct {
	*rooted
	port, tlsPort int

	auth     []int // the processes of authdaemond
	authDone chan struct{}
}

type courierOptions struct {
	users  map[string]string // name to password
	denied []string          // names with disableimap=1
}

// courierEnv is what Debian's scripts set by /etc/courier/imapd and imapd-ssl, but for
// the certificate and the settings in startTCPD.
var courierEnv = []string{
	"IMAP_CAPABILITY=IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE",
	"IMAP_CAPABILITY_TLS=IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE AUTH=PLAIN",
	"IMAP_KEYWORDS=1", "IMAP_ACL=1", "IMAP_IDLE_TIMEOUT=60", "IMAP_USELOCKS=1", "IMAP_MAILBOX_SANITY_CHECK=1",
	"COURIERTLS=/usr/bin/couriertls", "TLS_CERTFILE=/srv/both.pem", "TLS_VERIFYPEER=NONE",
}

const courierAuthdaemonrc = `
authmodulelist="authuserdb"
authmodulelistorig="authuserdb"
daemons=5
authdaemonvar=/run/courier/authdaemon
DEBUG_LOGIN=0
DEFAULTOPTIONS=""
LOGGEROPTS=""
`

// startCourier starts Courier and waits until it greets.
func startCourier(t testing.TB, o courierOptions) *courier {
	t.Helper()
	c := &courier{rooted: newRooted(t, "courier"), port: freePort(t), tlsPort: freePort(t)}
	for _, dir := range []string{"etc/courier", "run/courier/authdaemon", "srv/Maildir/cur", "srv/Maildir/new", "srv/Maildir/tmp"} {
		if err := os.MkdirAll(c.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c.own(t, "srv/Maildir", "srv/Maildir/cur", "srv/Maildir/new", "srv/Maildir/tmp")
	writeFile(t, c.path("etc/courier/authdaemonrc"), courierAuthdaemonrc)
	var both []byte
	for _, file := range []string{c.ca.certFile, c.ca.keyFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, text...)
	}
	writeFile(t, c.path("srv/both.pem"), string(both))
	c.writeUsers(t, o)
	c.start(t)
	return c
}

// writeUsers makes the two databases of authuserdb, as its makeuserdb does: one of
// accounts and one of passwords.
func (c *courier) writeUsers(t testing.TB, o courierOptions) {
	t.Helper()
	var users, shadow strings.Builder
	for name, password := range o.users {
		options := ""
		if slices.Contains(o.denied, name) {
			options = "|options=disableimap=1"
		}
		fmt.Fprintf(&users, "%s\tuid=65534|gid=65534|home=/srv|mail=/srv/Maildir%s\n", name, options)
		sum := sha256.Sum256([]byte(password))
		fmt.Fprintf(&shadow, "%s\tsystempw={SHA256}%s\n", name, base64.StdEncoding.EncodeToString(sum[:]))
	}
	for name, text := range map[string]string{"userdb": users.String(), "userdbshadow": shadow.String()} {
		c.run(t, text+".\n", "/usr/lib/courier/courier-authlib/makedatprog", "-", "/etc/courier/"+name+".tmp", "/etc/courier/"+name+".dat")
	}
}

// start runs Courier as configured; stop ends it. A test may do both again and again.
func (c *courier) start(t testing.TB) {
	t.Helper()
	c.startAuth(t)
	imap := []string{"/usr/lib/courier/courier/imaplogin", "/usr/bin/imapd", "Maildir"}
	c.startTCPD(t, "127.0.0.1", c.port, []string{"IMAP_STARTTLS=YES", "IMAP_TLS_REQUIRED=0"}, imap)
	c.startTCPD(t, "127.0.0.2", c.port, []string{"IMAP_STARTTLS=YES", "IMAP_TLS_REQUIRED=1"}, imap)
	c.startTCPD(t, "127.0.0.1", c.tlsPort, []string{"IMAP_TLS=1"},
		append([]string{"/usr/bin/couriertls", "-server", "-tcpd", "-user=courier"}, imap...))
	c.greets(t, loopback(c.port), strings.TrimPrefix(c.strictURL(), "imap://"))
}

// startTCPD runs a listener. The limits are not Debian's (40 and 20), because here all
// of the tests' connections come from one address.
func (c *courier) startTCPD(t testing.TB, addr string, port int, env, program []string) {
	t.Helper()
	cmd := c.command("/usr/sbin/couriertcpd", append([]string{"-address=" + addr, "-maxprocs=200", "-maxperip=200",
		"-nodnslookup", "-noidentlookup", fmt.Sprint(port)}, program...)...)
	cmd.Env = slices.Concat(cmd.Env, courierEnv, env)
	c.spawn(t, cmd)
}

// startAuth runs authdaemond, which the listeners ask; stopAuth ends it alone.
func (c *courier) startAuth(t testing.TB) {
	t.Helper()
	others := c.processes(t)
	c.authDone = c.spawn(t, c.command("/usr/lib/courier/courier-authlib/authdaemond"))
	eventually(t, "authdaemond to listen", func() bool {
		conn, err := dialSocket(c.path("run/courier/authdaemon/socket"))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	c.auth = slices.DeleteFunc(c.processes(t), func(pid int) bool { return slices.Contains(others, pid) })
}

func (c *courier) stopAuth(t testing.TB) {
	t.Helper()
	for _, pid := range c.auth {
		syscall.Kill(pid, syscall.SIGTERM)
	}
	<-c.authDone
	c.running = slices.DeleteFunc(c.running, func(done chan struct{}) bool { return done == c.authDone })
}

func (c *courier) url() string       { return "imap://" + loopback(c.port) }
func (c *courier) tlsAddr() string   { return loopback(c.tlsPort) }
func (c *courier) strictURL() string { return fmt.Sprint("imap://127.0.0.2:", c.port) }

// logins returns how many logins of a user Courier has answered, by its log.
func (c *courier) logins(t testing.TB, user string) (accepted, rejected int) {
	t.Helper()
	text := c.logText(t)
	return countLines(text, " LOGIN, user="+user+","), countLines(text, " LOGIN FAILED, user="+user+",")
}
