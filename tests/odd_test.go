package tests

import (
	"fmt"
	"strings"
	"testing"
)

// login of alice as it is written with SASL-IR offered, and without.
var (
	aliceIR    = "TAG AUTHENTICATE PLAIN " + encode("\x00alice\x00correct horse")
	aliceLogin = `TAG LOGIN "alice" "correct horse"`
)

// greeting offers what most servers do.
const greeting = "S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\n"

// Servers good, odd and hostile, through the whole daemon: the dialogue, and the
// reply at the socket. The room of its own has many more; these show that what it
// decides arrives.
func TestOddServers(t *testing.T) {
	for _, tt := range []struct{ name, dialogue, want string }{
		{"accepts", greeting + "C: " + aliceIR + "\nS: TAG OK in\nhold", yes},
		{"rejects", greeting + "C: " + aliceIR + "\nS: TAG NO [AUTHENTICATIONFAILED] no\nhold", no},
		{"rejects without a code", greeting + "C: " + aliceIR + "\nS: TAG NO Login failed.\nhold", no},
		{"code in lower case", greeting + "C: " + aliceIR + "\nS: TAG no [authenticationfailed] no\nhold", no},

		{"no SASL-IR", "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\nC: TAG AUTHENTICATE PLAIN\nS: + \nC: " + encode("\x00alice\x00correct horse") + "\nS: TAG OK in\nhold", yes},
		{"LOGIN only", "S: * OK [CAPABILITY IMAP4rev1] ready\nC: " + aliceLogin + "\nS: TAG OK in\nhold", yes},
		{"capabilities on demand", "S: * OK ready\nC: TAG CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: TAG OK done\nC: " + aliceLogin + "\nS: TAG OK in\nhold", yes},

		{"unavailable", greeting + "C: " + aliceIR + "\nS: TAG NO [UNAVAILABLE] later\nhold", temp},
		{"user+IP limit", greeting + "C: " + aliceIR + "\nS: TAG NO [LIMIT] too many\nhold", temp},
		{"unknown code", greeting + "C: " + aliceIR + "\nS: TAG NO [X-STRANGE] what\nhold", temp},
		{"BAD", greeting + "C: " + aliceIR + "\nS: TAG BAD what\nhold", temp},
		{"BYE for an answer", greeting + "C: " + aliceIR + "\nS: * BYE restarting", temp},
		{"hangs up on the login", greeting + "C: " + aliceIR + "\n", temp},
		{"half an OK", greeting + "C: " + aliceIR + "\nhalf: TAG OK", temp},
		{"somebody else's OK", greeting + "C: " + aliceIR + "\nS: X9 OK in", temp},
		{"an OK of nobody's", greeting + "C: " + aliceIR + "\nS: * OK in", temp},
		{"OK and then nothing but noise", greeting + "C: " + aliceIR + "\nS: TAG OKAY in", temp},

		{"BYE for a greeting", "S: * BYE full", temp},
		{"greeted as logged in", "S: * PREAUTH [CAPABILITY IMAP4rev1] welcome\nhold", temp},
		{"LOGINDISABLED", "S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready\nhold", temp},
		{"another protocol", "S: 220 smtp.example.com ESMTP\nhold", temp},
		{"OK before the login", greeting + "S: T1 OK in\nS: T2 OK in\nhold", temp},
		{"an endless line", "half: * OK " + strings.Repeat("x", 1<<20) + "\nhold", temp},
		{"endless lines", greeting + "C: " + aliceIR + strings.Repeat("\nS: * OK wait", 1<<14) + "\nhold", temp},
		{"hangs up at once", "", temp},
		{"never greets", "hold", temp},
		{"never answers", greeting + "C: " + aliceIR + "\nhold", temp},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := startIMAP(t, dialogue(t, tt.dialogue))
			d := serveConfig(t, "timeout = \"2s\"\n"+serverTOML(server.url(), "warm = 0"))
			d.hides("correct horse")
			if got := ask(t, d.socket, "alice\tcorrect horse\n"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Several addresses of one server: the first that can be asked decides, and its NO
// is final.
func TestOddServersInOrder(t *testing.T) {
	closed := "imap://" + loopback(freePort(t))
	hung := "imap://" + loopback(hungPort(t))
	good := startIMAP(t, verdicts(users(accounts))).url()
	rejecting := startIMAP(t, verdicts(users(nil))).url()
	for _, tt := range []struct {
		name string
		urls []string
		want string
	}{
		{"first closed", []string{closed, good}, yes},
		{"first hung", []string{hung, good}, yes},
		{"first rejects", []string{rejecting, good}, no},
		{"both closed", []string{closed, closed}, temp},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table := strings.Replace(serverTOML("URLS"), `["URLS"]`, strings.ReplaceAll(fmt.Sprintf("%q", tt.urls), `" "`, `", "`), 1)
			d := serveConfig(t, table)
			if got := ask(t, d.socket, plainRequest("alice", accounts["alice"])); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
