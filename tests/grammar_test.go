package tests

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// The rules of the readsocket grammar (DESIGN §4), one row each, through the
// socket. What the IMAP server is asked is compared too: a request that is refused
// asks nothing, and one that is not asks for exactly the bytes that came.
func TestGrammar(t *testing.T) {
	const password = "correct horse"
	server := startIMAP(t, verdicts(users(map[string]string{
		"alice": password, "tab": "a\tb", "lines": "a\r\nb\n", "snow": "grüße ☃",
		"long": strings.Repeat("p", 1024),
	})))
	d := serveConfig(t, serverTOML(server.url()))
	alice := "user=" + encode("alice") + " pass=" + encode(password)

	for _, tt := range []struct {
		name, request, want string
		asked               *login // nil: nobody is asked
	}{
		// The plain form.
		{"plain", "alice\t" + password + "\n", yes, &login{"", "alice", password}},
		{"plain, wrong", "alice\twrong\n", no, &login{"", "alice", "wrong"}},
		{"8-bit", "snow\tgrüße ☃\n", yes, &login{"", "snow", "grüße ☃"}},
		{"spaces stay", "alice\t " + password + " \n", no, &login{"", "alice", " " + password + " "}},
		{"CR is a character like any other", "alice\twrong\r\n", no, &login{"", "alice", "wrong\r"}},
		{"longest password", "long\t" + strings.Repeat("p", 1024) + "\n", yes, &login{"", "long", strings.Repeat("p", 1024)}},

		// Reject: a mail client can cause all of these.
		{"nothing", "", no, nil},
		{"no LF", "alice\t" + password, no, nil},
		{"no LF, no TAB", "alice", no, nil},
		{"no LF, extended", alice, no, nil},
		{"byte after the LF", "alice\t" + password + "\nx", no, nil},
		{"second LF", "alice\t" + password + "\n\n", no, nil},
		{"second line", "alice\t" + password + "\nalice\t" + password + "\n", no, nil},
		{"LF in the password", "alice\tx\ny\n", no, nil},
		{"LF first", "\nalice\t" + password + "\n", no, nil},
		{"second TAB", "alice\t" + password + "\t\n", no, nil},
		{"TAB in the name", "bob\tpw\t" + password + "\n", no, nil},
		{"TAB and LF in the name", "bob\tpw\n\t" + password + "\n", no, nil},
		{"empty name", "\t" + password + "\n", no, nil},
		{"empty password", "alice\t\n", no, nil},
		{"both empty", "\t\n", no, nil},
		{"control character in the name", "al\x01ice\t" + password + "\n", no, nil},
		{"CR in the name", "alice\r\t" + password + "\n", no, nil},
		{"DEL in the name", "alice\x7f\t" + password + "\n", no, nil},
		{"NUL in the name", "alice\x00\t" + password + "\n", no, nil},
		{"NUL in the password", "alice\t" + password + "\x00\n", no, nil},
		{"NUL alone", "\x00\n", no, nil},
		{"password over max_password", "long\t" + strings.Repeat("p", 1025) + "\n", no, nil},
		{"over-long", "alice\t" + strings.Repeat("p", 16<<10) + "\n", no, nil},
		{"a line behind 4 KiB", filled(4<<10) + "bob\n", no, nil},
		{"a line behind 16 KiB", filled(16<<10) + "bob\n", no, nil},
		{"over-long, extended", "user=" + strings.Repeat("YWFh", 4<<10) + " pass=YQ==\n", no, nil},
		{"32 KB", "user=" + strings.Repeat("YWFh", 4<<10) + " pass=" + strings.Repeat("YWFh", 4<<10) + "\n", no, nil},
		{"1 MiB without LF", strings.Repeat("x", 1<<20), no, nil},
		{"1 MiB with TAB and LF", "alice\t" + strings.Repeat("x", 1<<20) + "\n", no, nil},
		{"1 MiB of lines", strings.Repeat("alice\tx\n", 1<<17), no, nil},

		// The extended form.
		{"extended", alice + "\n", yes, &login{"", "alice", password}},
		{"order is free", "rip=192.0.2.1 pass=" + encode(password) + " secured user=" + encode("alice") + "\n", yes, &login{"", "alice", password}},
		{"every key", alice + " authzid=" + encode("boss") + " rip=2001:db8::1 rport=40000 lip=::1 lport=587 secured server=default session=exim-1.2\n", yes, &login{"boss", "alice", password}},
		{"authzid that is the authcid", alice + " authzid=" + encode("alice") + "\n", yes, &login{"", "alice", password}},
		{"TAB in the password", "user=" + encode("tab") + " pass=" + encode("a\tb") + "\n", yes, &login{"", "tab", "a\tb"}},
		{"line ends in the password", "user=" + encode("lines") + " pass=" + encode("a\r\nb\n") + "\n", yes, &login{"", "lines", "a\r\nb\n"}},
		{"empty optional values", alice + " authzid= rip= rport= lip= lport= server= session=\n", yes, &login{"", "alice", password}},
		{"exim -bs", alice + " rip= lip=\n", yes, &login{"", "alice", password}},
		{"extended, empty user", "user= pass=" + encode(password) + "\n", no, nil},
		{"extended, empty password", "user=" + encode("alice") + " pass=\n", no, nil},
		{"extended, NUL in the name", "user=" + encode("alice\x00") + " pass=" + encode(password) + "\n", no, nil},
		{"extended, NUL in the password", "user=" + encode("alice") + " pass=" + encode(password+"\x00x") + "\n", no, nil},
		{"extended, NUL in the authzid", alice + " authzid=" + encode("a\x00b") + "\n", no, nil},
		{"extended, TAB in the name", "user=" + encode("alice\t"+password) + " pass=" + encode(password) + "\n", no, nil},
		{"extended, LF in the name", "user=" + encode("alice\n") + " pass=" + encode(password) + "\n", no, nil},
		{"extended, control character in the authzid", alice + " authzid=" + encode("a\x1fb") + "\n", no, nil},
		{"extended, password over max_password", "user=" + encode("long") + " pass=" + encode(strings.Repeat("p", 1025)) + "\n", no, nil},
		{"extended, byte after the LF", alice + "\nx", no, nil},

		// TempFail: only an administrator's condition can cause these.
		{"an empty line", "\n", temp, nil},
		{"no TAB", "alice\n", temp, nil},
		{"no user", "pass=" + encode(password) + "\n", temp, nil},
		{"no pass", "user=" + encode("alice") + "\n", temp, nil},
		{"unknown key", alice + " ip=192.0.2.1\n", temp, nil},
		{"upper-case key", alice + " RIP=192.0.2.1\n", temp, nil},
		{"repeated key", alice + " user=" + encode("bob") + "\n", temp, nil},
		{"repeated key, both empty", alice + " rip= rip=\n", temp, nil},
		{"no base64", "user=alice! pass=" + encode(password) + "\n", temp, nil},
		{"no padding", "user=YWxpY2U pass=" + encode(password) + "\n", temp, nil},
		{"base64 with CR", "user=YWxp\rY2U= pass=" + encode(password) + "\n", temp, nil},
		{"rip is no address", alice + " rip=localhost\n", temp, nil},
		{"rip with a zone", alice + " rip=fe80::1%eth0\n", temp, nil},
		{"rip with a zone and quotes", alice + " rip=fe80::1%\"x\"\n", temp, nil},
		{"rip with a zone, quotes and a command", alice + " rip=fe80::1%\"\r)\r\n", temp, nil},
		{"lip with a zone", alice + " lip=fe80::1%lo\n", temp, nil},
		{"rport too high", alice + " rip=192.0.2.1 rport=65536\n", temp, nil},
		{"unknown server", alice + " server=elsewhere\n", temp, nil},
		{"session too long", alice + " session=" + strings.Repeat("s", 129) + "\n", temp, nil},
		{"session not ASCII", alice + " session=§\n", temp, nil},
		{"two spaces", alice + "  secured\n", temp, nil},
		{"space at the end", alice + " \n", temp, nil},
		{"space at the start", " " + alice + "\n", temp, nil},

		// One form forged as the other. The TAB that the administrator's condition
		// puts there decides, and the bytes around it are a strange name at most.
		{"extended in the name of a plain one", alice + "\tx\n", no, &login{"", alice, "x"}},
		{"extended in the password", "bob\t" + alice + "\n", no, &login{"", "bob", alice}},
		{"extended with LF in the password", "bob\tx\n" + alice + "\n", no, nil},
		{"extended with LF in the name", alice + "\n\tx\n", no, nil},
		{"extended with TAB in the password", "bob\tx\t" + alice + "\n", no, nil},
		{"plain in a value of an extended one", "user=alice\t" + password + " pass=x\n", no, &login{"", "user=alice", password + " pass=x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Without the half-close first, as a client may do; a request that is
			// not complete would wait for more. The second time the cache may
			// answer, so what was asked is judged in between.
			before := len(server.attempts())
			complete := strings.HasSuffix(tt.request, "\n") || strings.Contains(tt.request, "\n") && len(tt.request) < 1000
			if complete {
				if got := askOpen(t, d.socket, tt.request); got != tt.want {
					t.Errorf("without half-close: got %q, want %q", got, tt.want)
				}
			}
			if got := ask(t, d.socket, tt.request); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			asked, want := server.attempts()[before:], []login{}
			if tt.asked != nil {
				want = append(want, *tt.asked)
			}
			// The server is asked once for a question new to it, and never for others.
			if len(asked) > 0 && tt.asked == nil || len(asked) > 1 || len(asked) == 1 && asked[0] != want[0] {
				t.Errorf("the server was asked %q, want %q", asked, want)
			}
			if tt.asked != nil && !slices.Contains(server.attempts(), *tt.asked) {
				t.Errorf("the server was never asked %q", *tt.asked)
			}
		})
	}
}

// Half a request and then nothing, and nothing at all: no verdict within the
// budget, and a proper reply.
func TestGrammarSilence(t *testing.T) {
	server := startIMAP(t, verdicts(users(nil)))
	d := serveConfig(t, "timeout = \"1s\"\n"+serverTOML(server.url()))
	for _, request := range []string{"", "a", "alice\tpass", "user=YWxpY2U= pass="} {
		t.Run(fmt.Sprintf("%q", request), func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			if got := askOpen(t, d.socket, request); got != temp {
				t.Errorf("got %q, want %q", got, temp)
			}
			if took := time.Since(start); took < 900*time.Millisecond {
				t.Errorf("answered after %v, before the budget of 1s was used up", took)
			}
			within(t, start, 5*time.Second)
		})
	}
}

// A request may arrive in pieces; one write is not a promise of the socket.
func TestGrammarPieces(t *testing.T) {
	server := startIMAP(t, verdicts(users(map[string]string{"alice": "correct horse"})))
	d := serve(t, server.url())
	conn, err := dialSocket(d.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, b := range []byte("alice\tcorrect horse\n") {
		if _, err := conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := io.ReadAll(conn); string(got) != yes || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, yes)
	}
}

// serverTOML is the table of one server.
func serverTOML(url string, more ...string) string {
	return fmt.Sprintf("[[listen]]\nprotocol = \"readsocket\"\nsocket = SOCKET\nmode = \"0666\"\n"+
		"[[server]]\nname = \"default\"\nurl = [%q]\n%s\n", url, strings.Join(more, "\n"))
}

// filled is a plain request that ends with its byte number size, where a read may end.
func filled(size int) string {
	const end = "\tpw\n"
	return "alice@" + strings.Repeat("a", size-len("alice@")-len(end)) + end
}
