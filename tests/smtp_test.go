package tests

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"
)

// smtpClient speaks SMTP as a mail client does that may send any bytes at all. A
// dialogue that breaks off fails the test.
type smtpClient struct {
	t    *testing.T
	conn net.Conn
	text *textproto.Conn
	auth []string // mechanisms, as last advertised
}

// reply is an SMTP reply.
type reply struct {
	code int
	text string
}

func (r reply) String() string { return fmt.Sprint(r.code, " ", r.text) }

// The replies that Exim makes of the daemon's three.
const (
	authAccepted = 235
	authRejected = 535
	authTempFail = 435
	authTempText = "Unable to authenticate at present: temporarily unavailable"
)

// newSMTPClient reads the greeting on conn and says EHLO.
func newSMTPClient(t *testing.T, conn net.Conn) *smtpClient {
	t.Helper()
	c := &smtpClient{t: t, conn: conn, text: textproto.NewConn(conn)}
	t.Cleanup(func() { c.conn.Close() })
	c.expect(220)
	c.hello()
	return c
}

func (c *smtpClient) hello() {
	c.t.Helper()
	r := c.command("EHLO client.test")
	if r.code != 250 {
		c.t.Fatalf("EHLO: %v", r)
	}
	c.auth = nil
	for line := range strings.Lines(r.text) {
		if mechanisms, ok := strings.CutPrefix(strings.TrimSpace(line), "AUTH "); ok {
			c.auth = strings.Fields(mechanisms)
		}
	}
}

// startTLS brings the session under TLS and says EHLO anew (RFC 3207 §4.2).
func (c *smtpClient) startTLS(ca *authority) {
	c.t.Helper()
	if len(c.auth) != 0 {
		c.t.Errorf("AUTH %v is advertised without TLS", c.auth)
	}
	if r := c.command("STARTTLS"); r.code != 220 {
		c.t.Fatalf("STARTTLS: %v", r)
	}
	c.conn = tls.Client(c.conn, &tls.Config{RootCAs: ca.pool, ServerName: "exim.test"})
	c.text = textproto.NewConn(c.conn)
	c.hello()
	if !slices.Contains(c.auth, "PLAIN") || !slices.Contains(c.auth, "LOGIN") {
		c.t.Fatalf("AUTH %v is advertised under TLS, want PLAIN and LOGIN", c.auth)
	}
}

// plain authenticates with an initial response (RFC 4954 §4).
func (c *smtpClient) plain(authzid, authcid, password string) reply {
	c.t.Helper()
	return c.command("AUTH PLAIN " + encode(authzid+"\x00"+authcid+"\x00"+password))
}

// plainLater authenticates without one: the response follows an empty challenge.
func (c *smtpClient) plainLater(authzid, authcid, password string) reply {
	c.t.Helper()
	if r := c.command("AUTH PLAIN"); r.code != 334 {
		return r
	}
	return c.command(encode(authzid + "\x00" + authcid + "\x00" + password))
}

// login authenticates by AUTH LOGIN, name and password on lines of their own.
func (c *smtpClient) login(authcid, password string) reply {
	c.t.Helper()
	if r := c.command("AUTH LOGIN"); r.code != 334 {
		return r
	}
	if r := c.command(encode(authcid)); r.code != 334 {
		return r
	}
	return c.command(encode(password))
}

// mechanisms are the ways in which a client gives a name and a password.
var mechanisms = map[string]func(c *smtpClient, authcid, password string) reply{
	"PLAIN": func(c *smtpClient, authcid, password string) reply { return c.plain("", authcid, password) },
	"PLAIN without initial response": func(c *smtpClient, authcid, password string) reply {
		return c.plainLater("", authcid, password)
	},
	"LOGIN": (*smtpClient).login,
}

// goesOn checks that the dialogue is intact, and ends it.
func (c *smtpClient) goesOn() {
	c.t.Helper()
	if r := c.command("RSET"); r.code != 250 {
		c.t.Errorf("RSET: %v", r)
	}
	if r := c.command("QUIT"); r.code != 221 {
		c.t.Errorf("QUIT: %v", r)
	}
}

// command sends a line as it is and reads the reply.
func (c *smtpClient) command(line string) reply {
	c.t.Helper()
	c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(c.conn, "%s\r\n", line); err != nil {
		c.t.Fatalf("SMTP: %.80q: %v", line, err)
	}
	return c.read()
}

func (c *smtpClient) expect(code int) {
	c.t.Helper()
	if r := c.read(); r.code != code {
		c.t.Fatalf("SMTP: got %v, want %d", r, code)
	}
}

func (c *smtpClient) read() reply {
	c.t.Helper()
	c.conn.SetDeadline(time.Now().Add(patience))
	code, text, err := c.text.ReadResponse(0)
	if err != nil && code == 0 {
		c.t.Fatalf("SMTP: reading the reply: %v", err)
	}
	return reply{code, text}
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
