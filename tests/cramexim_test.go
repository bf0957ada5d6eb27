package tests

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// cramRig is a mail server without the dovecot driver's help: Exim with extended.conf and
// cram.conf, imapauthd, and Dovecot.
type cramRig struct {
	*exim
	imap   *relayDovecot
	daemon *daemon

	socket, config string
}

func startCramRig(t *testing.T) *cramRig {
	t.Helper()
	r := &cramRig{imap: startRelayDovecot(t)}
	r.socket, r.config = configFile(t, fmt.Sprintf("timeout = \"2s\"\n[[listen]]\nsocket = SOCKET\nmode = \"0666\"\n"+
		"[[server]]\nurl = [%q]\n[cache]\npositive_ttl = \"0s\"\nnegative_ttl = \"0s\"\n", r.imap.url()))
	r.startDaemon(t)
	// VRFY tells whom Exim takes the client for.
	r.exim = startExim(t, snippet("extended.conf")+"\n.include "+snippet("cram.conf"), r.socket,
		`acl_smtp_vrfy = \Ndeny message = id=<$authenticated_id>\N`)
	return r
}

func (r *cramRig) startDaemon(t *testing.T) {
	t.Helper()
	r.daemon = startDaemon(t, "", "--config", r.config)
	r.daemon.hides(relayPassword)
	r.daemon.hides("a wrong password")
}

// cramBegin begins an exchange and returns its challenge.
func (c *smtpClient) cramBegin() (challenge string) {
	c.t.Helper()
	r := c.command("AUTH CRAM-MD5")
	text, err := base64.StdEncoding.DecodeString(r.text)
	if r.code != 334 || err != nil || !strings.HasPrefix(string(text), "<") || !strings.HasSuffix(string(text), ">") {
		c.t.Fatalf("AUTH CRAM-MD5: got %v: %q", r, text)
	}
	return string(text)
}

// cramResponse is RFC 2195's.
func cramResponse(user, password, challenge string) string {
	mac := hmac.New(md5.New, []byte(password))
	mac.Write([]byte(challenge))
	return user + " " + hex.EncodeToString(mac.Sum(nil))
}

// cramNow is what Exim says where nothing was decided.
const cramNow = "435 Unable to authenticate at present"

func (c *smtpClient) expectReply(what string, got reply, want string) {
	c.t.Helper()
	if !strings.HasPrefix(got.String(), want) {
		c.t.Errorf("%s: got %v, want %s", what, got, want)
	}
}

// TestCramExim is CRAM-MD5 through Exim's driver "plaintext".
func TestCramExim(t *testing.T) {
	r := startCramRig(t)
	const accepted, rejected, cancelled = "235 ", "535 ", "501 "
	for _, tt := range []struct {
		name     string
		response func(challenge string) string
		want     string
	}{
		{"right", func(c string) string { return cramResponse(relayUser, relayPassword, c) }, accepted},
		{"wrong password", func(c string) string { return cramResponse(relayUser, "a wrong password", c) }, rejected},
		{"unknown account", func(c string) string { return cramResponse("nobody", relayPassword, c) }, rejected},
		{"another challenge", func(string) string { return cramResponse(relayUser, relayPassword, "<1@test>") }, rejected},
		{"no digest", func(string) string { return relayUser }, rejected},
		{"nothing", func(string) string { return "" }, rejected},
		// What could end the line to the daemon goes in base64. A NUL ends it in Exim.
		{"a second line", func(c string) string { return cramResponse(relayUser, relayPassword, c) + "\nexchange=x" }, rejected},
		{"a NUL and more", func(c string) string { return cramResponse(relayUser, relayPassword, c) + "\x00eve x" }, accepted},
		{"another name behind a NUL", func(c string) string { return "eve\x00" + cramResponse(relayUser, relayPassword, c) }, rejected},
	} {
		c := r.dial(t)
		c.expectReply(tt.name, c.command(encode(tt.response(c.cramBegin()))), tt.want)
		id := "252 id=<>"
		if tt.want == accepted {
			id = "252 id=<" + relayUser + ">"
		}
		c.expectReply(tt.name+": VRFY", c.command("VRFY x@test"), id)
		c.goesOn()
	}

	t.Run("one session", func(t *testing.T) {
		c := r.dial(t)
		first := c.cramBegin()
		c.expectReply("aborted", c.command("*"), cancelled)
		second := c.cramBegin()
		if first == second {
			t.Errorf("the challenge %q comes twice", first)
		}
		c.expectReply("the first challenge's answer to the second", c.command(encode(cramResponse(relayUser, relayPassword, first))), rejected)
		c.expectReply("an answer before the challenge", c.command("AUTH CRAM-MD5 "+encode(cramResponse(relayUser, relayPassword, second))), rejected)
		c.expectReply("nothing before the challenge", c.command("AUTH CRAM-MD5 ="), rejected)
		c.expectReply("right", c.command(encode(cramResponse(relayUser, relayPassword, c.cramBegin()))), accepted)
		c.goesOn()
	})
	t.Run("two sessions", func(t *testing.T) {
		a, b := r.dial(t), r.dial(t)
		forA, forB := a.cramBegin(), b.cramBegin()
		a.expectReply("another's", a.command(encode(cramResponse(relayUser, relayPassword, forB))), rejected)
		b.expectReply("its own", b.command(encode(cramResponse(relayUser, relayPassword, forB))), accepted)
		a.expectReply("its own, later", a.command(encode(cramResponse(relayUser, relayPassword, a.cramBegin()))), accepted)
		if forA == forB {
			t.Errorf("both have %q", forA)
		}
	})
	t.Run("without TLS", func(t *testing.T) {
		if c := r.dialClear(t); len(c.auth) != 0 {
			t.Errorf("%v is advertised", c.auth)
		}
		// By itself, and where nothing can be told about the client.
		e := configureExim(t, snippet("cram.conf"), r.socket, "IMAPAUTHD_ALLOW_NOTLS_CHALLENGES = yes")
		c := e.session(t)
		if strings.Join(c.auth, " ") != "CRAM-MD5" {
			t.Errorf("%v is advertised", c.auth)
		}
		c.expectReply("right", c.command(encode(cramResponse(relayUser, relayPassword, c.cramBegin()))), accepted)
		c.goesOn()
	})
	t.Run("swaks", func(t *testing.T) {
		for password, want := range map[string]string{relayPassword: accepted, "a wrong password": rejected} {
			call := saslCall{mechanism: "CRAM-MD5", port: r.port, user: relayUser, secret: password, caFile: r.ca.caFile}
			if last, said, _ := saslClientNamed("swaks").login(t, call); !strings.HasPrefix(last, want) {
				t.Errorf("got %q, want %s\n%s", last, want, said)
			}
		}
	})
	if countLines(r.daemon.out.String(), "mechanism=CRAM-MD5", "rip=127.0.0.1", "verdict=accept", "authcid="+relayUser) == 0 {
		t.Error("the log does not tell of the logins")
	}
}

// TestCramEximOutages: while nothing can be decided there is neither an empty challenge
// nor a wrong password, whatever goes away and when, and the next login is sound.
func TestCramEximOutages(t *testing.T) {
	r := startCramRig(t)
	c := r.dial(t)
	answer := func() string { return encode(cramResponse(relayUser, relayPassword, c.cramBegin())) }
	for _, tt := range []struct {
		name       string
		begin, end func()
	}{
		{"IMAP server down", func() { r.imap.stop(t) }, func() { r.imap.start(t) }},
		{"IMAP server hangs", func() { r.imap.hang(t) }, func() { r.imap.resume(t) }},
		{"daemon down", func() { r.daemon.stop() }, func() { r.startDaemon(t) }},
		{"daemon restarted", func() { r.daemon.stop(); r.startDaemon(t) }, nil},
	} {
		waiting := answer()
		tt.begin()
		got := c.command(waiting)
		c.expectReply(tt.name+" between challenge and answer", got, cramNow+": temporarily unavailable")
		if tt.end != nil {
			c.expectReply(tt.name+" before the challenge", c.command("AUTH CRAM-MD5"), cramNow)
			// In a session that has no reply of the daemon yet, Exim has no more to say: it
			// has stopped at the prompt.
			if got = r.dial(t).command("AUTH CRAM-MD5"); got.String() != cramNow {
				t.Errorf("%s before the challenge: got %v, want %s", tt.name, got, cramNow)
			}
			tt.end()
		}
		c.expectReply(tt.name+" no more", c.command(encode(cramResponse(relayUser, "a wrong password", c.cramBegin()))), "535 ")
	}
	c.expectReply("in the end", c.command(answer()), "235 ")
	if n := countLines(r.daemon.out.String(), "no such exchange", "verdict=tempfail"); n != 1 {
		t.Errorf("the log tells of %d answers without an exchange, want the one after the restart", n)
	}
}
