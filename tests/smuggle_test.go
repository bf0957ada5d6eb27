package tests

import (
	"slices"
	"strings"
	"testing"
)

// What a mail client can smuggle through Exim, with each snippet and mechanism.
// The IMAP server knows one account, and is asked for it only by the one who says
// its name and password: nobody else gets 235.
func TestSmuggling(t *testing.T) {
	const user, password = "victim", "correct horse"
	forged := "user=" + encode(user) + " pass=" + encode(password)
	attempts := []struct{ name, authcid, password string }{
		{"TAB in the name", user + "\t" + password, ""},
		{"TAB in the name, and a password", user + "\t" + password, "x"},
		{"TAB and LF in the name", user + "\t" + password + "\n", "x"},
		{"LF in the name", "x\n" + user, password},
		{"CR in the name", user + "\r", password},
		{"LF in the password", user, "x\ny"},
		{"LF at the end of the password", user, password + "\n"},
		{"second line in the password", "x", "y\n" + user + "\t" + password},
		{"TAB in the password", user, password + "\tx"},
		{"empty name", "", password},
		{"empty password", user, ""},
		{"both empty", "", ""},
		{"extended request for a name", forged, "x"},
		{"extended request for a name, with LF", forged + "\n", "x"},
		{"extended request for a password", "x", forged},
		{"extended request for a password, with LF", "x", "y\n" + forged},
		{"extended request for a password, with LFs", "x", "y\n" + forged + "\n"},
		{"fields behind the name", encode(user) + " pass=" + encode(password), "x"},
		{"fields behind the password", user, "x rip=192.0.2.1 server=default"},
		{"an expansion", "${run{/bin/true}}", "${readsocket{x}}"},
		{"8-bit", "\xff\xfe", "\x80"},
	}
	for _, file := range []string{"plain.conf", "extended.conf"} {
		t.Run(file, func(t *testing.T) {
			server := startIMAP(t, verdicts(users(map[string]string{user: password})))
			d := serveConfig(t, serverTOML(server.url()))
			e := startExim(t, snippet(file), d.socket)
			try := func(name, authcid, password string, want int) {
				for mechanism, authenticate := range mechanisms {
					c := e.dial(t)
					if got := authenticate(c, authcid, password); got.code != want {
						t.Errorf("%s, %s: got %v, want %d", name, mechanism, got, want)
					}
					c.goesOn()
				}
			}
			for _, tt := range attempts {
				try(tt.name, tt.authcid, tt.password, authRejected)
			}
			if slices.Contains(server.attempts(), login{"", user, password}) {
				t.Error("the server was asked for the victim with the right password")
			}
			try("the right one", user, password, authAccepted)
		})
	}
}

// NULs: SASL PLAIN is made of them, so one too many moves the fields, and in LOGIN
// Exim drops what follows. Whatever arrives, nobody becomes the victim.
func TestSmugglingNUL(t *testing.T) {
	server := startIMAP(t, verdicts(users(map[string]string{"victim": "correct horse"})))
	d := serveConfig(t, serverTOML(server.url()))
	for _, file := range []string{"plain.conf", "extended.conf"} {
		t.Run(file, func(t *testing.T) {
			e := startExim(t, snippet(file), d.socket)
			for _, message := range []string{
				"", "\x00", "\x00\x00", "\x00\x00\x00", "victim", "victim\x00correct horse",
				"\x00victim\x00wrong\x00correct horse", "\x00x\x00y\x00victim\x00correct horse",
				"\x00victim\x00", "\x00\x00correct horse", "x\x00\x00victim\x00correct horse",
			} {
				c := e.dial(t)
				got := c.command("AUTH PLAIN " + encode(message))
				if got.code == authAccepted {
					t.Errorf("%q: got %v", message, got)
				}
				// Exim asks for what an empty initial response leaves open.
				if got.code == 334 {
					got = c.command("*")
				}
				if got.code < 400 {
					t.Errorf("%q: got %v", message, got)
				}
				c.goesOn()
			}
			// The authzid is not looked at: who logs in is the authcid.
			c := e.dial(t)
			if got := c.plain("root", "victim", "correct horse"); got.code != authAccepted {
				t.Errorf("with an authzid: got %v, want %d", got, authAccepted)
			}
			c.goesOn()
			if n := strings.Count(e.logText(t), "A="); n != 0 {
				t.Errorf("mail was sent: %s", e.logText(t))
			}
		})
	}
}
