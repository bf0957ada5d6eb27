package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// recipe is a way to have Exim ask an IMAP server: one of the three of Exim's wiki
// ("AuthenticatedSmtpUsingIMAP"), or what takes its place.
type recipe struct {
	head string // of its column
	conf string // in testdata/wiki: what is said to Exim
	tls  bool   // whether AUTH is advertised under TLS only

	logs []string // what Exim logs beside the replies

	// start runs what Exim will ask, if anything, and edits the configuration.
	start func(t *testing.T, imap *dovecot, conf *wikiConf) (stop func())
}

var recipes = []recipe{
	{"Perl", "perl.conf", false, nil, startPerl},
	{"imapauthd in its place", "perl-after.conf", false, nil, startForPerl},
	{"saslauthd", "saslauthd.conf", false, nil, startRimap},
	{"imapauthd in its place", "saslauthd.conf", false, []string{"NULL", "cannot connect to saslauthd daemon"}, startForSaslauthd},
	{"Python", "python.conf", true, nil, startPython},
	{"imapauthd check in its place", "python-after.conf", true, nil, startCheck},
	{"with the better condition", "python-better.conf", true, nil, startCheck},
}

// wikiConf is a configuration of testdata/wiki: its part for the main section, which
// may be empty, and its authenticators. Names of hosts, files and programs are replaced
// by the test's own, and nothing else.
type wikiConf struct{ main, authenticators, socket string }

func readWikiConf(t *testing.T, name string) *wikiConf {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "wiki", name))
	if err != nil {
		t.Fatal(err)
	}
	main, authenticators, found := strings.Cut(string(text), "begin authenticators\n")
	if !found {
		t.Fatalf("%s has no authenticators", name)
	}
	return &wikiConf{main, authenticators, "/nonexistent"}
}

// replace puts the test's own name in the place of another, which must be there.
func (c *wikiConf) replace(t *testing.T, from, to string) {
	t.Helper()
	if !strings.Contains(c.main+c.authenticators, from) {
		t.Fatalf("the configuration does not contain %q", from)
	}
	c.main, c.authenticators = strings.ReplaceAll(c.main, from, to), strings.ReplaceAll(c.authenticators, from, to)
}

// exim runs Exim with the configuration.
func (c *wikiConf) exim(t *testing.T) *exim {
	t.Helper()
	file := filepath.Join(shortDir(t), "authenticators")
	writeFile(t, file, c.authenticators)
	return startExim(t, file, c.socket, c.main)
}

func startPerl(t *testing.T, imap *dovecot, conf *wikiConf) func() {
	if err := exec.Command("perl", "-MNet::IMAP::Simple", "-e1").Run(); err != nil {
		missingPeer(t, "Perl's Net::IMAP::Simple (Debian package libnet-imap-simple-perl)")
	}
	conf.replace(t, "/etc/exim/perl.pl", reachable(t, filepath.Join("testdata", "wiki", "perl.pl")))
	conf.replace(t, "{localhost}", "{"+loopback(imap.port)+"}")
	return nil
}

// startForPerl runs the daemon with a server of the name that the wiki's line has.
func startForPerl(t *testing.T, imap *dovecot, conf *wikiConf) func() {
	d := serveConfig(t, fmt.Sprintf("[[listen]]\nsocket = SOCKET\nmode = \"0666\"\n[[server]]\nname = \"localhost\"\nurl = [%q]\n", imap.url()))
	hideWiki(d)
	conf.socket = d.socket
	return d.stop
}

// wikiMux is the path that is compiled into Exim.
const wikiMux = "/var/run/saslauthd/mux"

func startRimap(t *testing.T, imap *dovecot, conf *wikiConf) func() {
	ownRun(t)
	if err := os.Mkdir(filepath.Dir(wikiMux), 0o755); err != nil {
		t.Fatal(err)
	}
	s := startSaslauthd(t, filepath.Dir(wikiMux), imap.port, "-n", "5")
	return func() {
		// Not by SIGTERM: its handler logs, and can wait for ever for a log line
		// that it has interrupted.
		s.kill()
		if err := os.Remove(wikiMux); err != nil {
			t.Error(err)
		}
	}
}

// startForSaslauthd has the daemon listen where saslauthd did. Exim's configuration
// is the same.
func startForSaslauthd(t *testing.T, imap *dovecot, conf *wikiConf) func() {
	ownRun(t)
	d := serveConfig(t, fmt.Sprintf("[[listen]]\nprotocol = \"saslauthd\"\nsocket = %q\nmode = \"0666\"\n[[server]]\nurl = [%q]\n", wikiMux, imap.url()))
	hideWiki(d)
	return d.stop
}

// hideWiki has the daemon's output searched for the passwords.
func hideWiki(d *daemon) {
	for _, password := range wikiUsers {
		d.hides(password)
	}
}

func startPython(t *testing.T, imap *dovecot, conf *wikiConf) func() {
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		missingPeer(t, "/usr/bin/python3 (Debian package python3)")
	}
	conf.replace(t, "/usr/local/bin/checkimappw.py", reachable(t, filepath.Join("testdata", "wiki", "checkimappw.py")))
	conf.replace(t, "server.example.com", imap.tlsAddr())
	return nil
}

func startCheck(t *testing.T, imap *dovecot, conf *wikiConf) func() {
	conf.replace(t, "/usr/local/bin/imapauthd check", reachable(t, daemonBinary(t))+" check --ca-file "+imap.ca.caFile)
	conf.replace(t, "server.example.com", imap.tlsAddr())
	// Exim hides its environment from the program, and so what TestMain set.
	conf.main += "add_environment = GORACE=atexit_sleep_ms=0\n"
	return nil
}

// reachable copies a program to where Exim's user can run it.
func reachable(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(shortDir(t), filepath.Base(file))
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
