package tests

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tables of Exim's words and of nc's: each cause is made, Exim logs the words, and
// the command behind them shows what the page says.
func TestReadmeEximSays(t *testing.T) {
	const path, noAnswer = "/run/imapauthd/readsocket.sock", "temporarily unavailable (no answer)"
	needPeer(t, "nc", "netcat-openbsd")
	imap, peers := readmePeers(t)
	tables := readReadme(t).tables("It is 435, what now?")
	commands := make(map[string]string)
	for _, row := range tables[0] {
		commands[strings.Trim(row[0], "`")] = strings.Split(row[2], "`")[1]
	}
	if len(commands) != 2 {
		t.Errorf("the table has %d rows, 2 are tried", len(commands))
	}
	try := func(t *testing.T, symptom, socket, want string) {
		e := startExim(t, snippet("extended.conf"), socket)
		c := e.dial(t)
		if got := c.plain("", "alice", "secret"); got.code != authTempFail {
			t.Errorf("got %v, want %d", got, authTempFail)
		}
		eventually(t, "Exim to log "+symptom, func() bool { return strings.Contains(e.logText(t), symptom+"\n") })
		s := *peers
		s.pairs = append([]string{path, socket}, s.pairs...)
		out, _ := s.run(t, commands[symptom], "")
		if !regexp.MustCompile(want).MatchString(strings.TrimSpace(out)) {
			t.Errorf("%s: printed %q, want %s", commands[symptom], out, want)
		}
	}
	for _, row := range tables[1] {
		words := strings.Trim(row[0], "`")
		t.Run(words, func(t *testing.T) {
			socket := filepath.Join(shortDir(t), "s")
			want := words + "$"
			switch words {
			case "No such file or directory":
			case "Connection refused":
				killDaemon(t, socket)
			case "Permission denied":
				startDaemon(t, socket, "--server", imap.url(), "--socket", socket)
			case "nothing":
				d := serve(t, imap.url())
				socket, want = d.socket, "^$"
				openToAll(t, socket)
				d.cmd.Process.Signal(syscall.SIGSTOP)
				defer d.cmd.Process.Signal(syscall.SIGCONT)
			case "no": // no cause
				socket = serve(t, imap.url()).socket
				openToAll(t, socket)
				s := *peers
				s.pairs = append([]string{path, socket}, s.pairs...)
				if out, err := s.run(t, commands[noAnswer], ""); err != nil || out != no {
					t.Errorf("printed %q (%v), want %q", out, err, no)
				}
				return
			default:
				t.Fatal("nobody tries this row")
			}
			try(t, noAnswer, socket, want)
		})
	}
	imap.stop(t)
	d := serve(t, imap.url())
	openToAll(t, d.socket)
	try(t, temp, d.socket, `^error: .*connection refused`)
}

// The table of imapauthd's words: each cause is made, and the words are in what it
// says.
func TestReadmeWeSay(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts, mechanisms: "plain", trustedNetworks: "127.0.0.1", failureDelay: "2s"})
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
	server, alice := serverTOML(imap.url()), extendedRequest("alice", accounts["alice"])
	old := newAuthorityFor(t, shortDir(t), -time.Minute, "localhost", "127.0.0.1")
	causes := map[string]func(*testing.T) string{
		"connection refused":                 checked(loopback(freePort(t))),
		"no answer: after 5s":                checked("imap://" + loopback(hungPort(t))),
		"failed to verify certificate":       checked(imap.tlsAddr()),
		"offers no STARTTLS":                 func(t *testing.T) string { return checked("imap://" + elsewhere(t))(t) },
		"Connection queue full":              served(server, flood...),
		"no verdict within the time limit":   served("timeout = \"1s\"\n"+server, flood[0]),
		"request does not parse":             served(server, "hello\n"),
		"doesn't contain any IP SANs":        checked(tlsServer(t, newAuthority(t, shortDir(t), "localhost"), tls.NoClientCert)),
		"has expired":                        served(serverTOML("imaps://"+tlsServer(t, old, tls.NoClientCert), fmt.Sprintf("ca_file = %q", old.caFile)), alice),
		"is not pinned":                      served(serverTOML("imaps://"+imap.tlsAddr(), fmt.Sprintf("pin_sha256 = [%q]", encode(strings.Repeat("x", 32)))), alice),
		"remote error: tls":                  served(serverTOML("imaps://"+tlsServer(t, imap.ca, tls.RequireAnyClientCert), fmt.Sprintf("ca_file = %q", imap.ca.caFile)), alice),
		"does not look like a TLS handshake": checked("imaps://" + loopback(imap.port)),
		"before it had the credentials":      served(serverTOML(imap.url(), `auth = "authenticate-login"`), alice),
		"no server is named":                 served(server, "server=elsewhere "+alice),
		"DNS names no IMAP server": func(t *testing.T) string {
			d := serveDNS(t, startDNS(t), serverTOML("srv", `domains = ["example.test"]`))
			exchange(d.socket, extendedRequest("alice@example.test", "secret"), true)
			d.stop()
			return d.out.String()
		},
		"too many connections":                      served(strings.Replace(server, "mode =", "max_connections = 1\nmode =", 1), flood...),
		"a mechanism that was not announced":        relayed(imap.url(), "", "SCRAM-SHA-256", ""),
		"the client took too long, and others wait": relayed(serviceMinder(t).url(), "connections = 2", "DIGEST-MD5", ""),
		"digest-uri names another service":          relayed(serviceMinder(t).url(), "", "DIGEST-MD5", digestOf("alice")),
		"Maximum number of connections from user+IP": func(t *testing.T) string {
			conn, err := net.Dial("tcp", loopback(imap.port))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "a ID (\"x-originating-ip\" \"192.0.2.8\")\r\nb LOGIN alice %q\r\n", accounts["alice"])
			eventually(t, "alice to be logged in", func() bool { a, _ := imap.logins(t, "alice"); return a > 0 })
			fixed := strings.Replace(server, "url =", "per_address = true\nurl =", 1)
			return served(fixed, from("192.0.2.8", "alice", accounts["alice"]))(t)
		},
	}
	rows := readReadme(t).tables("It is 435, what now?")[2]
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

// tlsServer greets under TLS, with an authority's certificate, as long as anyone asks.
func tlsServer(t *testing.T, ca *authority, clients tls.ClientAuthType) (addr string) {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(ca.certFile, ca.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: clients}
	server := startIMAP(t, func(s *imapSession) {
		conn := tls.Server(s.conn, cfg)
		fmt.Fprint(conn, hostileGreeting)
		io.Copy(io.Discard, conn)
	})
	return loopback(server.port)
}
