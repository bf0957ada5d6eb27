package tests

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// relayed returns what imapauthd logs when an exchange is begun at its auth socket twice,
// and gets an answer if there is one; more is for the server's table.
func relayed(url, more, mechanism, answer string) func(*testing.T) string {
	return func(t *testing.T) string {
		socket := filepath.Join(shortDir(t), "auth")
		d := startSaslauthdListeners(t, fmt.Sprintf("[[listen]]\nprotocol = \"dovecot\"\nsocket = %q\n[[server]]\nurl = [%q]\n%s\n", socket, url, more))
		var conns []net.Conn
		for range 2 {
			conn, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
			conn.SetDeadline(time.Now().Add(patience))
			fmt.Fprintf(conn, "VERSION\t1\t1\nCPID\t1\nAUTH\t1\t%s\tservice=smtp\n", mechanism)
			for in := bufio.NewScanner(conn); in.Scan(); {
				if !strings.HasPrefix(in.Text(), "CONT\t") {
					continue
				}
				if answer == "" { // and the exchange stays open
					break
				}
				fmt.Fprintf(conn, "CONT\t1\t%s\n", encode(answer))
			}
		}
		for _, conn := range conns { // what waits for its client would be waited for
			conn.Close()
		}
		d.stop()
		return d.out.String()
	}
}

// serviceMinder is an IMAP server that refuses DIGEST-MD5 as a Cyrus does that does not
// greet by its name.
func serviceMinder(t *testing.T) *imapServer {
	t.Helper()
	return startIMAP(t, func(s *imapSession) {
		s.send("* OK [CAPABILITY IMAP4rev1 AUTH=DIGEST-MD5] hello")
		for line, ok := s.line(); ok; line, ok = s.line() {
			tag, command, _ := strings.Cut(line, " ")
			if !strings.HasPrefix(command, "AUTHENTICATE DIGEST-MD5") {
				s.send("%s OK done", tag)
				continue
			}
			s.send("+ %s", encode(`nonce="x",qop="auth",charset=utf-8,algorithm=md5-sess`))
			if answer, ok := s.line(); !ok || answer == "" {
				return
			}
			s.send("%s NO authentication failure", tag)
		}
	})
}

// digestOf is a client's response of DIGEST-MD5.
func digestOf(user string) string {
	return `username="` + user + `",realm="",nonce="x",cnonce="y",nc=00000001,qop=auth,digest-uri="smtp/localhost",response=0123456789abcdef0123456789abcdef`
}
