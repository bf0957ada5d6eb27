package tests

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// cyrus is a Cyrus IMAP server of the test's own. At port it takes passwords in
// clear, as Debian configures it; at port of 127.0.0.2 it does not (LOGINDISABLED,
// strictURL); at orphanPort it asks an authentication server that is not there.
type cyrus struct {
	*rooted
	port, tlsPort, orphanPort int
}

type cyrusOptions struct {
	users      map[string]string // name to password
	denied     []string          // names that cyr_deny keeps out
	loginPause string            // failedloginpause: "0s"; Cyrus's own is 3s
}

// cyrusIMAPDConf is Debian's, but for paths, users and what the services differ in: a
// service's name before an option makes the option the service's own.
const cyrusIMAPDConf = `
configdirectory: /srv/config
proc_path: /srv/proc
mboxname_lockpath: /srv/lock
defaultpartition: default
partition-default: /srv/mail
cyrus_user: nobody
servername: localhost
admins: cyrus
umask: 077
allowplaintext: yes
strict_allowplaintext: no
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: /srv/sasldb2
sasl_mech_list: PLAIN LOGIN
sasl_auto_transition: no
orphan_sasl_pwcheck_method: saslauthd
orphan_sasl_saslauthd_path: /run/saslauthd/mux
failedloginpause: %s
tls_server_cert: /srv/cert.pem
tls_server_key: /srv/key.pem
syslog_prefix: cyrus
`

const cyrusConf = `
START {
  recover cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -r"
}
SERVICES {
  imap cmd="imapd -U 30" listen="127.0.0.1:%[1]d" prefork=0 maxchild=100
  strict cmd="imapd -U 30" listen="127.0.0.2:%[1]d" prefork=0 maxchild=100
  imaps cmd="imapd -s -U 30" listen="127.0.0.1:%[2]d" prefork=0 maxchild=100
  orphan cmd="imapd -U 30" listen="127.0.0.1:%[3]d" prefork=0 maxchild=100
}
EVENTS {
  checkpoint cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -c" period=30
}
`

// startCyrus starts Cyrus and waits until it greets.
func startCyrus(t testing.TB, o cyrusOptions) *cyrus {
	t.Helper()
	c := &cyrus{rooted: newRooted(t, "cyrus"), port: freePort(t), tlsPort: freePort(t), orphanPort: freePort(t)}
	if o.loginPause == "" {
		o.loginPause = "3s"
	}
	writeFile(t, c.path("etc/imapd.conf"), fmt.Sprintf(cyrusIMAPDConf, o.loginPause))
	writeFile(t, c.path("etc/cyrus.conf"), fmt.Sprintf(cyrusConf, c.port, c.tlsPort, c.orphanPort))
	for _, dir := range []string{"config", "config/db", "config/log", "config/msg", "config/quota", "config/socket", "config/user", "lock", "mail", "proc"} {
		if err := os.Mkdir(c.path("srv/"+dir), 0o755); err != nil {
			t.Fatal(err)
		}
		c.own(t, "srv/"+dir)
	}
	// Without a list of time zones it does not start.
	if err := os.MkdirAll(c.path("usr/share/zoneinfo"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, c.path("usr/share/zoneinfo/zone.tab"), "GB\t+513030-0000731\tEurope/London\n")
	c.setUsers(t, o.users)
	for _, user := range o.denied {
		c.run(t, "", "/usr/lib/cyrus/bin/cyr_deny", "-C", "/etc/imapd.conf", "-m", "locked", user)
	}
	c.start(t)
	return c
}

// start runs Cyrus as configured; stop ends it. A test may do both again and again.
func (c *cyrus) start(t testing.TB) {
	t.Helper()
	c.spawn(t, c.command("/usr/lib/cyrus/bin/master", "-C", "/etc/imapd.conf", "-M", "/etc/cyrus.conf", "-p", "/srv/master.pid"))
	c.greets(t, loopback(c.port), strings.TrimPrefix(c.strictURL(), "imap://"), loopback(c.orphanPort))
}

// setUsers adds users, or gives them other passwords. Cyrus sees it at once.
func (c *cyrus) setUsers(t testing.TB, users map[string]string) {
	t.Helper()
	for name, password := range users {
		c.run(t, password, "/usr/sbin/saslpasswd2", "-p", "-c", "-u", "localhost", "-f", "/srv/sasldb2", name)
	}
	c.own(t, "srv/sasldb2")
}

func (c *cyrus) url() string       { return "imap://" + loopback(c.port) }
func (c *cyrus) orphanURL() string { return "imap://" + loopback(c.orphanPort) }
func (c *cyrus) tlsAddr() string   { return loopback(c.tlsPort) }
func (c *cyrus) strictURL() string { return fmt.Sprint("imap://127.0.0.2:", c.port) }

// logins returns how many logins of a user Cyrus has answered, by its log.
func (c *cyrus) logins(t testing.TB, user string) (accepted, rejected int) {
	t.Helper()
	text := c.logText(t)
	return countLines(text, " login: ", "] "+user+" ", "User logged in"), countLines(text, " badlogin: ", " ("+user+") ")
}
