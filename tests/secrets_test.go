package tests

import (
	"fmt"
	"strings"
	"testing"
)

// A full run at debug level, with every path that a password can take: accepted,
// rejected, undecided, refused in every way, relayed by Exim, echoed by a server,
// cut by the end of the daemon. No output holds any of them, raw, in base64 (alone
// or within a PLAIN message) or quoted.
func TestSecrets(t *testing.T) {
	const right = `P4ss "wörd\` + "\t" + `of alice`
	n := 0
	secret := func() string { n++; return fmt.Sprintf("s3cret #%d %%s \\ \" ☃", n) }
	server := startIMAP(t, func(s *imapSession) {
		verdicts(func(l login) string {
			raw, b64 := l.password, encode("\x00"+l.authcid+"\x00"+l.password)
			switch l.authcid {
			case "alice":
				return users(map[string]string{"alice": right})(l)
			case "echo":
				return "NO [AUTHENTICATIONFAILED] no such password: " + raw
			case "echo64":
				return "NO cannot do AUTHENTICATE PLAIN " + b64
			case "echocode":
				return "NO [X-" + encode(raw) + "] no"
			case "bad":
				return "BAD what is " + b64
			case "bye":
				return "OK in\r\n* BYE " + raw
			case "untagged":
				s.send("* OK you said %s", raw)
				return "NO no"
			case "ok":
				return "OK [CAPABILITY " + encode(raw) + "] " + raw
			case "garbage":
				s.send("%s", raw)
				return raw
			case "hang":
				s.hold()
			}
			return "NO [UNAVAILABLE] " + raw
		})(s)
	})
	d := serveConfig(t, "timeout = \"2s\"\n"+serverTOML(server.url()))
	var sent []string
	send := func(format func(string) string, passwords ...string) {
		t.Helper()
		for _, password := range passwords {
			sent = append(sent, password)
			ask(t, d.socket, format(password))
		}
	}
	for _, user := range []string{"echo", "echo64", "echocode", "bad", "bye", "untagged", "ok", "garbage", "later", "hang"} {
		send(func(p string) string { return plainRequest(user, p) }, secret())
		send(func(p string) string { return extendedRequest(user, p) }, secret())
	}
	for range 2 { // the second time from the cache
		send(func(p string) string { return extendedRequest("alice", p) }, right, secret())
	}
	// Requests that break a rule, with the password where it belongs and where not
	// (but not where a name of any kind stands: names are for the log).
	for _, format := range []string{
		"alice\t%s", "alice\t%s\n\n", "alice\t%s\t\n", "\t%s\n", "%s\n", "%s", "alice\t%s\x00\n", "al\x01ice\t%s\n",
		"%s" + strings.Repeat("x", 1<<15), "user=%s pass=\n", "pass=%s\n", "user=YQ== pass=%s\n", "%s=YQ==\n",
		"user=YQ== pass=YQ== rip=%s\n", "user=YQ== pass=YQ== %s\n",
	} {
		send(func(p string) string { return strings.Replace(format, "%s", p, 1) }, secret())
		send(func(p string) string { return strings.Replace(format, "%s", encode(p), 1) }, secret())
	}
	// And through Exim, whose own log is looked at as well.
	e := startExim(t, snippet("extended.conf"), d.socket)
	for _, authenticate := range mechanisms {
		password := secret()
		sent = append(sent, password)
		c := e.dial(t)
		authenticate(c, "alice", password)
		c.goesOn()
	}
	// One login is under way when the daemon ends.
	conn, err := dialSocket(d.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	last := secret()
	sent = append(sent, last)
	fmt.Fprint(conn, plainRequest("hang", last))
	eventually(t, "the last login to arrive", func() bool {
		asked := server.attempts()
		return len(asked) > 0 && asked[len(asked)-1].password == last
	})
	d.stop()

	for _, args := range [][]string{
		{server.url(), "alice", right}, {server.url(), "echo", secret()}, {server.url(), "echo64", secret()},
		{server.url(), "bad", secret()}, {server.url(), "garbage", secret()}, {"pop3://x", "alice", secret()},
		{server.url(), "alice", secret(), secret()},
	} {
		sent = append(sent, args[2:]...)
		_, stdout, stderr := check(t, "", append([]string{"--trace"}, args...)...)
		for _, leak := range leaks(stdout+stderr, args[2:]) {
			t.Errorf("check %s: %s", args[1], leak)
		}
	}
	for _, leak := range leaks(d.out.String(), sent) {
		t.Error("imapauthd: ", leak)
	}
	for _, leak := range leaks(e.logText(t), sent) {
		t.Error("exim: ", leak)
	}
	if !strings.Contains(d.out.String(), "level=DEBUG") || !strings.Contains(d.out.String(), "verdict=accept") {
		t.Error("the log was not written at debug level, or holds nothing: what does this test prove?")
	}
}

// The search itself finds what it should.
func TestSecretsSearch(t *testing.T) {
	const password = `a "secret"`
	for name, text := range map[string]string{
		"raw": "x" + password + "x", "quoted": fmt.Sprintf("%q", "x"+password), "quoted twice": fmt.Sprintf("%q", fmt.Sprintf("%q", password)),
		"base64": encode(password), "PLAIN": encode("\x00al\x00" + password), "PLAIN, shifted": encode("\x00ali\x00" + password + "."),
		"PLAIN, shifted again": encode("\x00alic\x00" + password + ".."),
	} {
		if len(leaks(text, []string{password})) == 0 {
			t.Errorf("%s: not found in %q", name, text)
		}
	}
	if found := leaks("nothing here, and no a secret", []string{password}); len(found) != 0 {
		t.Errorf("found %q where there is nothing", found)
	}
}
