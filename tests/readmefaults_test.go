package tests

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The table of Exim's words: each cause is made, Exim logs the words, and the
// command behind them shows what the page says.
func TestReadmeEximSays(t *testing.T) {
	const path = "/run/imapauthd/readsocket.sock"
	imap, peers := readmePeers(t)
	shown := map[string]string{ // what the row's command prints
		"Permission denied":                   `(?m)^srw-rw---- 1 root root .*`,
		"temporarily unavailable (no socket)": `No such file or directory`,
		"No such file or directory":           `No such file or directory`,
		"Connection refused":                  `^$`,
		"socket read timed out":               `(?m)^T`,
		"temporarily unavailable":             `^error: .*connection refused`,
	}
	rows := readReadme(t).tables("It is 435, what now?")[0]
	if len(rows) != len(shown) {
		t.Errorf("the table has %d rows, %d are tried", len(rows), len(shown))
	}
	for _, row := range rows {
		symptom, command := strings.Trim(row[0], "`"), strings.Split(row[2], "`")[1]
		t.Run(symptom, func(t *testing.T) {
			socket, include := filepath.Join(shortDir(t), "s"), snippet("extended.conf")
			switch symptom {
			case "Permission denied":
				startDaemon(t, socket, "--server", imap.url(), "--socket", socket)
			case "No such file or directory":
				include = filepath.Join(filepath.Dir(socket), "own.conf")
				own := "own_NAME:\n  driver = plaintext\n  public_name = NAME\n  server_prompts = :\n" +
					"  server_advertise_condition = ${if def:tls_in_cipher}\n" +
					"  server_condition = ${readsocket{IMAPAUTHD_SOCKET}{$auth2\\t$auth3\\n}{10s}}\n"
				writeFile(t, include, strings.ReplaceAll(own, "NAME", "PLAIN")+strings.ReplaceAll(own, "NAME", "LOGIN"))
			case "Connection refused": // what a killed daemon leaves
				l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
				if err != nil {
					t.Fatal(err)
				}
				l.SetUnlinkOnClose(false)
				l.Close()
				openToAll(t, socket)
			case "socket read timed out":
				d := serve(t, imap.url())
				socket = d.socket
				d.cmd.Process.Signal(syscall.SIGSTOP)
				defer d.cmd.Process.Signal(syscall.SIGCONT)
			case "temporarily unavailable":
				imap.stop(t)
				socket = serve(t, imap.url()).socket
			}
			if _, err := os.Stat(socket); err == nil && symptom != "Permission denied" {
				openToAll(t, socket)
			}
			e := startExim(t, include, socket)
			c := e.dial(t)
			if got := c.plain("", "alice", "secret"); got.code != authTempFail {
				t.Errorf("got %v, want %d", got, authTempFail)
			}
			eventually(t, "Exim to log "+symptom, func() bool { return strings.Contains(e.logText(t), symptom+"\n") })
			s := *peers
			s.pairs = append([]string{path, socket}, s.pairs...)
			out, _ := s.run(t, command, "")
			if !regexp.MustCompile(shown[symptom]).MatchString(strings.TrimSpace(out)) {
				t.Errorf("%s: printed %q, want %s", command, out, shown[symptom])
			}
		})
	}
}

// The table of imapauthd's words: each cause is made, and the words are in what it
// says.
func TestReadmeWeSay(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts, trustedNetworks: "127.0.0.1", failureDelay: "2s"})
	imap.add(t, "service imap-login {\n  process_limit = 2\n}\nprotocol imap {\n  mail_max_userip_connections = 1\n}\n")
	checked := func(args ...string) func(*testing.T) string {
		return func(t *testing.T) string {
			_, out, _ := check(t, "", append(args, "alice", accounts["alice"])...)
			return out
		}
	}
	served := func(config string, requests ...string) func(*testing.T) string {
		return func(t *testing.T) string {
			d := serveConfig(t, config)
			done := make(chan bool)
			for _, request := range requests {
				go func() { exchange(d.socket, request, true); done <- true }()
			}
			for range requests {
				<-done
			}
			d.stop()
			return d.out.String()
		}
	}
	flood := make([]string, 12)
	for i := range flood {
		flood[i] = from("192.0.2.7", fmt.Sprint("user", i), "a wrong password")
	}
	server := serverTOML(imap.url())
	causes := map[string]func(*testing.T) string{
		"connection refused":               checked(loopback(freePort(t))),
		"no answer: after 5s":              checked("imap://" + loopback(hungPort(t))),
		"failed to verify certificate":     checked(imap.tlsAddr()),
		"offers no STARTTLS":               func(t *testing.T) string { return checked("imap://" + elsewhere(t))(t) },
		"Connection queue full":            served(server, flood...),
		"no verdict within the time limit": served("timeout = \"1s\"\n"+server, flood[0]),
		"request does not parse":           served(server, "hello\n"),
		"too many connections":             served(strings.Replace(server, "mode =", "max_connections = 1\nmode =", 1), flood...),
		"NO [LIMIT]": func(t *testing.T) string {
			conn, err := net.Dial("tcp", loopback(imap.port))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "a ID (\"x-originating-ip\" \"192.0.2.8\")\r\nb LOGIN alice %q\r\n", accounts["alice"])
			eventually(t, "alice to be logged in", func() bool { a, _ := imap.logins(t, "alice"); return a > 0 })
			return served(server, from("192.0.2.8", "alice", accounts["alice"]))(t)
		},
	}
	rows := readReadme(t).tables("It is 435, what now?")[1]
	if len(rows) != len(causes) {
		t.Errorf("the table has %d rows, %d are tried", len(rows), len(causes))
	}
	for _, row := range rows {
		words := strings.Trim(row[0], "`")
		t.Run(words, func(t *testing.T) {
			cause := causes[words]
			if cause == nil {
				t.Fatal("nobody tries this row")
			}
			if said := cause(t); !strings.Contains(said, words) {
				t.Errorf("want %q in:\n%s", words, said)
			}
		})
	}
}

// elsewhere is an IMAP server that is not on a loopback address and has no TLS.
func elsewhere(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() || n.IP.IsLinkLocalUnicast() {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(n.IP.String(), "0"))
		if err != nil {
			continue
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				io.WriteString(conn, "* OK [CAPABILITY IMAP4rev1] hello\r\n")
				t.Cleanup(func() { conn.Close() })
			}
		}()
		return l.Addr().String()
	}
	missingPeer(t, "a network address that is not loopback")
	return ""
}
