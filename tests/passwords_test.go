package tests

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// oddPasswords are what the grammars on the way could stumble over: IMAP's quoted
// strings and literals, base64, SASL, percent signs.
var oddPasswords = map[string]string{
	"quote": `a"b"c`, "backslash": `a\b\\c\`, "both": `\"`, "literal": "{5}", "literalplus": "x{5+}",
	"percent": "100%s%n%00", "star": "*", "euro": "10 €", "space": " leading and trailing ", "onlyspace": "   ",
	"equals": "=", "base64": "AGFsaWNlAHNlY3JldA==", "colon": "a:b:c", "braces": "${if{$}", "plus": "+ go on",
	"nil": "NIL", "latin1": "gr\xfc\xdfe", "long": strings.Repeat("Ab1 ", 225), "wordlike": "alice logout",
}

// Every odd password against Dovecot: accepted when right, rejected when one byte
// differs, by AUTHENTICATE PLAIN, and by LOGIN where the server offers nothing else.
func TestPasswordsDovecot(t *testing.T) {
	users := make(map[string]string)
	for name, password := range oddPasswords {
		users[name] = password
	}
	d := startDovecot(t, dovecotOptions{users: users})
	for command, p := range map[string]*proxy{
		"AUTHENTICATE PLAIN": startProxy(t, loopback(d.port)),
		// Dovecot takes LOGIN only where it offers AUTH=PLAIN too, so that is
		// taken out on the way.
		"LOGIN": startProxy(t, loopback(d.port), " AUTH=PLAIN", "", " AUTH=LOGIN", ""),
	} {
		t.Run(command, func(t *testing.T) {
			daemon := serveConfig(t, serverTOML(p.url()))
			// At one time, because each NO of Dovecot takes half a second.
			var wg sync.WaitGroup
			for name, password := range oddPasswords {
				wg.Go(func() { rightAndWrong(t, daemon, name, password) })
			}
			wg.Wait()
			for _, verb := range []string{"AUTHENTICATE PLAIN", "LOGIN"} {
				if used := strings.Contains(p.heard.String(), " "+verb+" "); used != (verb == command) {
					t.Errorf("%s used: %v", verb, used)
				}
			}
		})
	}
}

// Control characters, which Dovecot refuses, against go-imap's server. They fit the
// extended form only.
func TestPasswordsEmbedded(t *testing.T) {
	passwords := map[string]string{
		"tab": "a\tb", "tabs": "\t\t", "cr": "a\rb", "lf": "a\nb", "crlf": "a\r\nb\r\n", "command": "x\r\na1 LOGOUT\r\n",
		"escape": "\x1b[0m", "one": "\x01", "del": "\x7f",
	}
	url := embeddedIMAP(t, passwords)
	daemon := serveConfig(t, serverTOML(url))
	for name, password := range passwords {
		t.Run(name, func(t *testing.T) { rightAndWrong(t, daemon, name, password) })
	}
}

// rightAndWrong asks with the password and with two others that differ in one byte.
func rightAndWrong(t *testing.T, d *daemon, user, password string) {
	t.Helper()
	d.hides(password)
	forms := []func(string, string) string{extendedRequest}
	if !strings.ContainsAny(password, "\t\n") {
		forms = append(forms, plainRequest)
	}
	for _, form := range forms {
		if got := ask(t, d.socket, form(user, password)); got != yes {
			t.Errorf("right password %q: got %q", password, got)
		}
		last := len(password) - 1
		for _, wrong := range []string{
			string(rune(password[0]&0x7f^4)) + password[1:],
			password[:last] + string(rune(password[last]&0x7f^4)),
			password + " ",
		} {
			if got := ask(t, d.socket, form(user, wrong)); got != no {
				t.Errorf("password %q in place of %q: got %q", wrong, password, got)
			}
		}
	}
}

func plainRequest(user, password string) string { return user + "\t" + password + "\n" }

func extendedRequest(user, password string) string {
	return fmt.Sprintf("user=%s pass=%s\n", encode(user), encode(password))
}

// embeddedIMAP runs go-imap's own server.
func embeddedIMAP(t *testing.T, passwords map[string]string) (url string) {
	t.Helper()
	mem := imapmemserver.New()
	for name, password := range passwords {
		mem.AddUser(imapmemserver.NewUser(name, password))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return mem.NewSession(), nil, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}},
		InsecureAuth: true, // loopback
		Logger:       discard{},
	})
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return "imap://" + l.Addr().String()
}

// discard drops the server's complaints about clients that hang up.
type discard struct{}

func (discard) Printf(string, ...any) {}
