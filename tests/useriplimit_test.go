package tests

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// session logs in as a mail client does that stays, told to come from address if that
// is not empty, and returns the answer. The session lasts until the end of the test.
func (d *dovecot) session(t *testing.T, address, user, password string) string {
	t.Helper()
	conn, err := net.Dial("tcp", loopback(d.port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	d.held = append(d.held, conn)
	conn.SetDeadline(time.Now().Add(patience))
	if address != "" {
		fmt.Fprintf(conn, "i ID (\"x-originating-ip\" %q)\r\n", address)
	}
	fmt.Fprintf(conn, "a LOGIN %s %q\r\n", user, password)
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("session of %s: %v", user, err)
		}
		if strings.HasPrefix(line, "a ") {
			return strings.TrimSpace(line)
		}
	}
}

// fill opens as many sessions as Dovecot lets a user have from one address, and sees
// one more refused.
func (d *dovecot) fill(t *testing.T, address, user string) {
	t.Helper()
	for i := range 10 {
		if got := d.session(t, address, user, accounts[user]); !strings.HasPrefix(got, "a OK") {
			t.Fatalf("session %d of %s from %q: got %q", i, user, address, got)
		}
	}
	got := d.session(t, address, user, accounts[user])
	if !strings.HasPrefix(got, "a NO ") || !strings.Contains(got, "Maximum number of connections") {
		t.Fatalf("session 10 of %s from %q: got %q, want the limit", user, address, got)
	}
	t.Logf("past the limit: %q", got)
}

// A login with the client's address told counts in the user's own limit there. Who has
// ten mail programs open can send all the same: the question is asked again without the
// address. A limit that is the relay's own decides nothing, and a wrong password is one
// whatever the limits.
func TestUserIPLimit(t *testing.T) {
	const rip, other = "198.51.100.7", "198.51.100.8"
	imap := startDovecot(t, dovecotOptions{users: accounts, trustedNetworks: "127.0.0.0/8", userIPLimit: "10"})
	noCache := "[cache]\npositive_ttl = \"0s\"\nnegative_ttl = \"0s\"\n"
	d := serveConfig(t, serverTOML(imap.url())+noCache)
	perAddress := serveConfig(t, serverTOML(imap.url(), "per_address = true")+noCache)
	for _, daemon := range []*daemon{d, perAddress} {
		daemon.hides(accounts["alice"])
		daemon.hides("a wrong password")
	}
	expect := func(phase string, d *daemon, request, want string) {
		t.Helper()
		if got := ask(t, d.socket, request); got != want {
			t.Errorf("%s: got %q, want %q", phase, got, want)
		}
	}
	// logged is how many logins of alice from address Dovecot has let in.
	logged := func(address string) int {
		return countLines(imap.logText(t), "imap-login: Info: Login: user=<alice>", "rip="+address+",")
	}

	imap.fill(t, rip, "alice")
	before := logged("127.0.0.1")
	for range 3 { // the later ones over connections kept warm
		expect("right password", d, from(rip, "alice", accounts["alice"]), yes)
	}
	eventually(t, "Dovecot to log the logins as the relay's", func() bool { return logged("127.0.0.1") == before+3 })
	expect("wrong password", d, from(rip, "alice", "a wrong password"), no)
	expect("right password from elsewhere", d, from(other, "alice", accounts["alice"]), yes)
	eventually(t, "Dovecot to log that login with its address", func() bool { return logged(other) == 1 })
	expect("another user", d, from(rip, "bob", accounts["bob"]), yes)

	// Where the address may be what decides, it is not left out.
	expect("right password, per_address", perAddress, from(rip, "alice", accounts["alice"]), temp)
	expect("wrong password, per_address", perAddress, from(rip, "alice", "a wrong password"), no)
	expect("right password from elsewhere, per_address", perAddress, from(other, "alice", accounts["alice"]), yes)

	imap.fill(t, "", "alice")
	expect("right password, the relay's limit reached too", d, from(rip, "alice", accounts["alice"]), temp)
	expect("wrong password, the relay's limit reached too", d, from(rip, "alice", "a wrong password"), no)
	expect("right password from elsewhere, the relay's limit reached", d, from(other, "alice", accounts["alice"]), yes)
}

// The same, scripted: which answers are asked about again, and how. The second question
// goes over a connection of its own, for a server keeps the address that it was told.
func TestUserIPLimitScript(t *testing.T) {
	const full = "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)"
	for _, tt := range []struct {
		name         string
		told, untold string // answers
		request      string
		want         string
		questions    string // per question: whether an address was told
	}{
		{"limit", "NO [LIMIT] " + full, "OK in", from("198.51.100.7", "alice", "pw"), yes, "told untold"},
		{"limit, any text", "NO [limit] later", "OK in", from("198.51.100.7", "alice", "pw"), yes, "told untold"},
		{"Debian 12 before its last update", "NO [UNAVAILABLE] " + full, "OK in", from("198.51.100.7", "alice", "pw"), yes, "told untold"},
		{"limit, wrong password", "NO [LIMIT] " + full, "NO [AUTHENTICATIONFAILED] no", from("198.51.100.7", "alice", "pw"), no, "told untold"},
		{"limit twice", "NO [LIMIT] " + full, "NO [LIMIT] " + full, from("198.51.100.7", "alice", "pw"), temp, "told untold"},
		{"down the second time", "NO [LIMIT] " + full, "NO [UNAVAILABLE] later", from("198.51.100.7", "alice", "pw"), temp, "told untold"},
		// Not asked again.
		{"unavailable", "NO [UNAVAILABLE] later", "OK in", from("198.51.100.7", "alice", "pw"), temp, "told"},
		{"rejected", "NO [AUTHENTICATIONFAILED] no", "OK in", from("198.51.100.7", "alice", "pw"), no, "told"},
		{"no address", "OK in", "NO [LIMIT] " + full, extendedRequest("alice", "pw"), temp, "untold"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var questions output
			server := startIMAP(t, func(s *imapSession) {
				answer, told := tt.untold, "untold"
				s.send("* OK [CAPABILITY IMAP4rev1 SASL-IR ID AUTH=PLAIN] ready")
				for {
					line, ok := s.line()
					if !ok {
						return
					}
					tag, command, _ := strings.Cut(line, " ")
					switch verb, rest, _ := strings.Cut(command, " "); verb {
					case "ID":
						if strings.Contains(rest, "x-originating-ip") {
							answer, told = tt.told, "told"
						}
						s.send("* ID NIL\r\n%s OK ID", tag)
					case "AUTHENTICATE":
						fmt.Fprint(&questions, told, " ")
						s.send("%s %s", tag, answer)
					default:
						s.send("* BYE bye\r\n%s OK out", tag)
						return
					}
				}
			})
			d := serveConfig(t, serverTOML(server.url()))
			if got := ask(t, d.socket, tt.request); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := strings.TrimSpace(questions.String()); got != tt.questions {
				t.Errorf("asked: %q, want %q", got, tt.questions)
			}
		})
	}
}
