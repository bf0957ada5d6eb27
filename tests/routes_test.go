package tests

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// recorders are scripted servers by name, each of which accepts everybody.
type recorders map[string]*imapServer

func startRecorders(t *testing.T, names ...string) recorders {
	r := make(recorders)
	for _, name := range names {
		r[name] = startIMAP(t, verdicts(func(login) string { return "OK in" }))
	}
	return r
}

// asked returns which of them were asked, and for what account, since the last call.
func (r recorders) asked() string {
	var found []string
	for name, s := range r {
		s.mu.Lock()
		for _, l := range s.asked {
			found = append(found, name+" "+l.authcid)
		}
		s.asked = nil
		s.mu.Unlock()
	}
	return strings.Join(found, ", ")
}

// The domain's own entry comes before a wildcard, the longer wildcard before the
// shorter one, both before the default, and a server that the request names before
// all. Domains are compared as A-labels without case.
func TestRoutes(t *testing.T) {
	r := startRecorders(t, "exact", "deep", "below", "default", "idna")
	d := serveConfig(t, routesTOML(
		route{"default", r["default"].url(), nil, ""},
		route{"below", r["below"].url(), []string{"*.example.com"}, ""},
		route{"deep", r["deep"].url(), []string{"*.a.example.com"}, ""},
		route{"exact", r["exact"].url(), []string{"mail.example.com", "example.net"}, ""},
		route{"idna", r["idna"].url(), []string{"bücher.example"}, `username = "{local}"`},
	))
	where := func(user, server string) (reply, asked string) {
		t.Helper()
		request := strings.TrimSuffix(extendedRequest(user, accounts["alice"]), "\n")
		if server != "" {
			request += " server=" + server
		}
		reply = ask(t, d.socket, request+"\n")
		return reply, r.asked()
	}
	for _, tt := range []struct{ user, server, want string }{
		{"alice@mail.example.com", "", "exact alice@mail.example.com"},
		{"alice@MAIL.Example.Com", "", "exact alice@MAIL.Example.Com"},
		{"alice@mail.example.com.", "", "exact alice@mail.example.com."},
		{"alice@example.net", "", "exact alice@example.net"},
		{"a@b@example.net", "", "exact a@b@example.net"},
		{"alice@www.example.com", "", "below alice@www.example.com"},
		{"alice@a.example.com", "", "below alice@a.example.com"},
		{"alice@b.a.example.com", "", "deep alice@b.a.example.com"},
		{"alice@c.b.a.example.com", "", "deep alice@c.b.a.example.com"},
		// What nobody claims.
		{"alice@example.com", "", "default alice@example.com"},
		{"alice@notexample.net", "", "default alice@notexample.net"},
		{"alice@example.net@elsewhere", "", "default alice@example.net@elsewhere"},
		{"alice", "", "default alice"},
		// One domain in three spellings.
		{"ute@bücher.example", "", "idna ute"},
		{"uwe@xn--bcher-kva.example", "", "idna uwe"},
		{"uli@BÜCHER.Example", "", "idna uli"},
		// By name.
		{"bob@mail.example.com", "deep", "deep bob@mail.example.com"},
		{"bob", "exact", "exact bob"},
	} {
		if reply, asked := where(tt.user, tt.server); reply != yes || asked != tt.want {
			t.Errorf("%s at %q: got %q from %q, want it from %q", tt.user, tt.server, reply, asked, tt.want)
		}
	}
	// A name that there is not is the administrator's mistake: no verdict, and a line.
	if reply, asked := where("bob", "nowhere"); reply != temp || asked != "" {
		t.Errorf("a server that there is not: got %q, asked: %q", reply, asked)
	}
	d.stop() // the log is written later
	if n := countLines(d.out.String(), "nowhere", "no server is named"); n != 1 {
		t.Errorf("%d lines about it, want 1", n)
	}
}

// An account of a domain that no table claims is no account here: nobody is asked, and
// the log says why.
func TestRoutesNone(t *testing.T) {
	r := startRecorders(t, "one", "two")
	d := serveConfig(t, routesTOML(
		route{"one", r["one"].url(), []string{"example.com"}, ""},
		route{"two", r["two"].url(), []string{"*.example.net"}, ""},
	))
	e := startExim(t, snippet("extended.conf"), d.socket)
	c := e.dial(t)
	for _, user := range []string{"alice@elsewhere.example", "alice", "alice@", "alice@example.net", "alice@.", "alice@a b.example.net"} {
		if got := c.plain("", user, accounts["alice"]); got.code != authRejected {
			t.Errorf("%s: got %v, want %d", user, got, authRejected)
		}
	}
	c.goesOn()
	for name, s := range r {
		if _, conns := s.conns.peak(); conns != 0 {
			t.Errorf("%s was connected to", name)
		}
	}
	d.stop() // the log is written later
	if n := countLines(d.out.String(), "no server for the account's domain", "alice@elsewhere.example"); n != 1 {
		t.Errorf("%d lines about alice@elsewhere.example, want 1", n)
	}
}

// A server that is down when the daemon starts costs its accounts, and nobody else;
// when it comes up it is asked.
func TestRoutesDownAtStart(t *testing.T) {
	late := startDovecot(t, dovecotOptions{users: map[string]string{"bob@late.example": accounts["bob"]}})
	late.stop(t)
	r := startRecorders(t, "up")
	d := serveConfig(t, routesTOML(
		route{"late", late.url(), []string{"late.example"}, ""},
		route{"up", r["up"].url(), []string{"up.example"}, ""},
	))
	request := extendedRequest("bob@late.example", accounts["bob"])
	for range 3 {
		if got := ask(t, d.socket, request); got != temp {
			t.Errorf("down: got %q, want %q", got, temp)
		}
	}
	if got := ask(t, d.socket, extendedRequest("alice@up.example", accounts["alice"])); got != yes {
		t.Errorf("the other one: got %q, want %q", got, yes)
	}
	eventually(t, "the log to name the server that is down", func() bool {
		return strings.Contains(d.out.String(), fmt.Sprintf("connect to %s:", late.url()))
	})
	late.start(t)
	start := time.Now()
	eventually(t, "the server to be asked", func() bool { return ask(t, d.socket, request) == yes })
	within(t, start, 10*time.Second)
}
