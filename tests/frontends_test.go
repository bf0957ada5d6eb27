package tests

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode"
)

// pair is a question: is this the password of this account?
type pair struct{ user, password string }

// frontend is a way to put it to a daemon. It answers yes, no or temp.
type frontend struct {
	name string
	ask  func(pair) (string, error)

	mu     sync.Mutex // protects counts
	counts map[string]int
}

// frontendsTOML is a listener for each protocol, on sockets in dir, and one server.
func frontendsTOML(dir, url string, more ...string) string {
	var text strings.Builder
	for _, protocol := range []string{"readsocket", "saslauthd", "dovecot"} {
		fmt.Fprintf(&text, "[[listen]]\nprotocol = %q\nsocket = %q\nmode = \"0666\"\n", protocol, filepath.Join(dir, protocol))
	}
	fmt.Fprintf(&text, "[[server]]\nname = \"default\"\nurl = [%q]\n%s\n", url, strings.Join(more, "\n"))
	return text.String()
}

// startFrontends starts a daemon with all of its front-ends before a server.
func startFrontends(t *testing.T, url, cache string) []*frontend {
	t.Helper()
	dir := shortDir(t)
	text := frontendsTOML(dir, url, "connections = 200") + "[cache]\n" + cache + "[log]\nlevel = \"info\"\n"
	_, file := configFile(t, text)
	startDaemon(t, "", "--config", file)
	return frontendsIn(dir)
}

// frontendsIn are the ways to ask a daemon whose sockets are those of frontendsTOML.
func frontendsIn(dir string) []*frontend {
	readsocket, saslauthd, dovecot := filepath.Join(dir, "readsocket"), filepath.Join(dir, "saslauthd"), filepath.Join(dir, "dovecot")
	auth := func(mechanism string) func(p pair) (string, error) {
		return func(p pair) (string, error) {
			outcome, err := authAsk(dovecot, mechanism, p.user, p.password)
			return authVerdict[outcome], err
		}
	}
	all := []*frontend{
		{name: "readsocket, plain", ask: func(p pair) (string, error) { return exchange(readsocket, plainRequest(p.user, p.password), true) }},
		{name: "readsocket, extended", ask: func(p pair) (string, error) { return exchange(readsocket, extendedRequest(p.user, p.password), true) }},
		{name: "saslauthd", ask: func(p pair) (string, error) { return askMux(saslauthd, p) }},
		{name: "dovecot, PLAIN", ask: auth("PLAIN")},
		{name: "dovecot, LOGIN", ask: auth("LOGIN")},
	}
	for _, f := range all {
		f.counts = make(map[string]int)
	}
	return all
}

// askMux asks as libsasl2 does.
func askMux(socket string, p pair) (string, error) {
	login, realm := splitRealm(p.user)
	reply, err := exchange(socket, counted(login, p.password, "smtp", realm), false)
	switch {
	case err != nil:
		return "", err
	case reply == "":
		return temp, nil
	case verdict(reply) == "OK":
		return yes, nil
	case len(reply) > 4 && reply[2:4] == "NO":
		return no, nil
	}
	return "", fmt.Errorf("reply %q", reply)
}

// splitRealm cuts an account at its last "@". What it leaves empty, the realm above all,
// cannot be joined again to the same account, so such an account stays whole.
func splitRealm(user string) (login, realm string) {
	if at := strings.LastIndexByte(user, '@'); at > 0 && at < len(user)-1 {
		return user[:at], user[at+1:]
	}
	return user, ""
}

// refused says why a front-end refuses a pair itself, by the words of its package
// comment; "": it does not.
func refused(name string, p pair) string {
	login, realm := splitRealm(p.user)
	switch plain, dovecot := name == "readsocket, plain", strings.HasPrefix(name, "dovecot"); {
	case p.user == "" || p.password == "":
		return "empty"
	case strings.Contains(p.user+p.password, "\x00"):
		return "NUL"
	case strings.ContainsFunc(p.user, unicode.IsControl):
		return "a control character in the account"
	case len(p.password) > 1024:
		return "a password longer than max_password"
	case plain && strings.ContainsAny(p.password, "\t\n"):
		return "TAB or LF in a plain request"
	case plain && len(plainRequest(p.user, p.password)) > 16<<10,
		name == "readsocket, extended" && len(extendedRequest(p.user, p.password)) > 16<<10:
		return "a request longer than 16 KiB"
	case name == "saslauthd" && max(len(login), len(realm), len(p.password)) > 256:
		return "a string longer than 256 bytes"
	case dovecot && strings.HasSuffix(name, "LOGIN") && len(p.user) > 1024:
		return "an account longer than 1024 bytes"
	case dovecot && len("AUTH\t1\tPLAIN\tservice=imap\tsecured\tresp=\n")+len(encode("\x00"+p.user+"\x00"+p.password)) > 16<<10:
		return "a line longer than 16 KiB"
	}
	return ""
}
