package tests

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mailServer is a peer as the matrix needs it.
type mailServer struct {
	name   string            // with its version: the column's head
	urls   map[string]string // by transport
	broken string            // the URL that breakUsers breaks
	caFile string
	denied string // what the daemon replies for the account "denied"

	hang, resume, stop, start, breakUsers, mendUsers func(testing.TB)
}

var mailServers = []struct {
	peer  string
	need  func(*testing.T) // skips if it is not there
	start func(*testing.T) *mailServer
}{
	{"dovecot", needDovecot, matrixDovecot},
	{"cyrus", func(t *testing.T) { needUnpacked(t, "cyrus") }, matrixCyrus},
	{"courier", func(t *testing.T) { needUnpacked(t, "courier") }, matrixCourier},
}

func needDovecot(t *testing.T) {
	needPeer(t, "dovecot", "dovecot-imapd")
	needRoot(t, "dovecot")
}

// matrixDovecot is Dovecot with its own delay of wrong passwords. What it adds for each
// further one from the same address (penalty) is left out.
func matrixDovecot(t *testing.T) *mailServer {
	users := make(map[string]string)
	for name, password := range matrixPasswords {
		if name != "denied" {
			users[name] = password
		}
	}
	d := startDovecot(t, dovecotOptions{users: users, failureDelay: "2s", tlsRequired: true})
	file := filepath.Join(d.dir, "users")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d.stop(t)
	writeFile(t, file, fmt.Sprintf("%sdenied:{PLAIN}%s::::::nologin=yes\n", text, matrixPasswords["denied"]))
	d.start(t)
	version, err := exec.Command(d.program, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	// Dovecot looks once a second whether the file's time is another.
	readable := func(mode os.FileMode, want string) func(testing.TB) {
		return func(t testing.TB) {
			stamp := time.Unix(int64(mode), 0)
			if err := errors.Join(os.Chmod(file, mode), os.Chtimes(file, stamp, stamp)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "Dovecot to see its users come or go", func() bool {
				return strings.HasPrefix(imapLogin(t, d, "alice", matrixPasswords["alice"]), want)
			})
		}
	}
	return &mailServer{
		name:   "Dovecot " + strings.Fields(string(version))[0],
		urls:   map[string]string{"clear": d.url(), "starttls": d.strictURL(), "imaps": "imaps://" + d.tlsAddr()},
		broken: d.url(), caFile: d.ca.caFile, denied: no,
		hang: d.hang, resume: d.resume, stop: d.stop, start: d.start,
		breakUsers: readable(0, "a NO [UNAVAILABLE]"), mendUsers: readable(0o644, "a OK"),
	}
}

func matrixCyrus(t *testing.T) *mailServer {
	c := startCyrus(t, cyrusOptions{users: matrixPasswords, denied: []string{"denied"}})
	return &mailServer{
		name:   "Cyrus IMAP " + c.version(t, "cyrus-imapd"),
		urls:   map[string]string{"clear": c.url(), "starttls": c.strictURL(), "imaps": "imaps://" + c.tlsAddr()},
		broken: c.orphanURL(), caFile: c.ca.caFile, denied: no,
		hang: c.hang, resume: c.resume, stop: c.stop, start: c.start,
		breakUsers: func(testing.TB) {}, mendUsers: func(testing.TB) {}, // that URL never works
	}
}

func matrixCourier(t *testing.T) *mailServer {
	c := startCourier(t, courierOptions{users: matrixPasswords, denied: []string{"denied"}})
	return &mailServer{
		name:   "Courier IMAP " + c.version(t, "courier-imap"),
		urls:   map[string]string{"clear": c.url(), "starttls": c.strictURL(), "imaps": "imaps://" + c.tlsAddr()},
		broken: c.url(), caFile: c.ca.caFile,
		// "OK LOGIN Ok.", and then "* BYE IMAP access disabled for this account."
		denied: temp,
		hang:   c.hang, resume: c.resume, stop: c.stop, start: c.start,
		breakUsers: c.stopAuth, mendUsers: c.startAuth,
	}
}
