//go:build linux

package tests

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// coldDovecotConf is Dovecot's "high-performance mode"
// (doc.dovecot.org/2.3/admin_manual/login_processes): a process of imap-login for each
// processor, which serves connections without end, where the default is a process for
// each. It spares Dovecot work, and so makes its login the harder to keep up with. An
// account's session is a process of its own, as ever.
const coldDovecotConf = `
service imap-login {
  service_count = 0
  process_min_avail = %d
  client_limit = 2000
}
service imap {
  process_limit = 2000
}
service auth {
  client_limit = 5000
}
`

func startColdDovecot(t *testing.T) *dovecot {
	t.Helper()
	users := make(map[string]string)
	for i := range slices.Max(coldClients) {
		user, password := coldUser(i)
		users[user] = password
	}
	return startDovecot(t, dovecotOptions{users: users, trustedNetworks: "127.0.0.0/8", add: fmt.Sprintf(coldDovecotConf, runtime.NumCPU())})
}

// What Dovecot itself takes for a login: from the client's one write, over a connection
// that is under TLS and greeted, to the tagged answer. From afar it shows what is added
// by the distance, whose timers are late, and by nobody else.
const (
	coldOwn    = "Dovecot itself"
	coldOwnFar = "Dovecot itself, from afar"
)

func startColdOwn(t *testing.T, d *dovecot, trip time.Duration) []*coldPeer {
	t.Helper()
	pem, err := os.ReadFile(d.ca.caFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	peer := func(name, addr string) *coldPeer {
		return &coldPeer{
			name:  name,
			cpu:   func(*testing.T) time.Duration { return 0 },
			login: func(client int) (time.Duration, error) { return loginAt(addr, c, client) },
		}
	}
	return []*coldPeer{peer(coldOwn, d.tlsAddr()), peer(coldOwnFar, loopback(startDistance(t, d.tlsAddr(), trip)))}
}

// loginAt logs in as imapauthd does, and counts from the write.
func loginAt(addr string, c *tls.Config, client int) (took time.Duration, err error) {
	conn, err := tls.Dial("tcp", addr, c)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "* OK") {
		return 0, fmt.Errorf("greeting %q, %w", line, err)
	}
	user, password := coldUser(client)
	start := time.Now()
	if _, err := fmt.Fprintf(conn, "I1 ID (\"x-originating-ip\" %q)\r\nT1 AUTHENTICATE PLAIN %s\r\n", coldAddress(client), encode("\x00"+user+"\x00"+password)); err != nil {
		return 0, err
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if rest, found := strings.CutPrefix(line, "T1 "); found {
			took = time.Since(start)
			if !strings.HasPrefix(rest, "OK") {
				return 0, fmt.Errorf("answer %q", line)
			}
			_, err = fmt.Fprint(conn, "L1 LOGOUT\r\n")
			return took, err
		}
	}
}
