package imap

import (
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"imapauthd/proto"
)

func TestRoute(t *testing.T) {
	server := func(name string, domains ...string) Config {
		c := DefaultConfig()
		c.Name, c.Domains, c.PerAddress = name, domains, name == "exact"
		return c
	}
	all := []Config{server("default"), server("exact", "mail.example.com", "b\u00fccher.example"), server("below", "*.example.com"), server("deep", "*.a.example.com")}
	named := DefaultConfig() // last in the list, and no second default
	named.Name, named.ByName = "named", true
	all = append(all, named)
	tests := []struct {
		authcid, server string
		want            string // empty: none
		refused         proto.Verdict
	}{
		{"bob", "", "default", 0},
		{"bob@", "", "default", 0},
		{"bob@example.com", "", "default", 0}, // not below itself
		{"bob@mail.example.com", "", "exact", 0},
		{"bob@MAIL.Example.COM", "", "exact", 0},
		{"bob@mail.example.com.", "", "exact", 0},
		{"b@x@mail.example.com", "", "exact", 0},
		{"bob@b\u00dcCHER.example", "", "exact", 0},
		{"bob@xn--bcher-kva.example", "", "exact", 0},
		{"bob@x.example.com", "", "below", 0},
		{"bob@x.y.example.com", "", "below", 0},
		{"bob@x.a.example.com", "", "deep", 0},
		{"bob@a.example.com", "", "below", 0},
		{"bob@mail.example.com@elsewhere", "", "default", 0},
		{"bob@mail.example.com", "below", "below", 0},
		{"bob@x..example.com", "", "default", 0}, // no domain, so not below one
		{"bob@.example.com", "", "default", 0},
		{"bob@" + strings.Repeat("x", 64) + ".example.com", "", "default", 0},
		{"bob", "named", "named", 0},
		{"bob@mail.example.com", "named", "named", 0},
		{"bob", "nowhere", "", proto.TempFail},
	}
	r, err := NewRouter(all, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, tt := range tests {
		req := &proto.Request{Authcid: tt.authcid, Server: tt.server}
		got, ok := r.Route(req)
		if got.Server != tt.want || ok != (tt.want != "") || got.PerAddress != (tt.want == "exact") {
			t.Errorf("%s at %q: got %+v, %v want %q", tt.authcid, tt.server, got, ok, tt.want)
		}
		if !ok {
			if v, _ := r.Authenticate(t.Context(), req); v != tt.refused || req.Trail.Source != proto.SourceRouter {
				t.Errorf("%s at %q: got %v from %v", tt.authcid, tt.server, v, req.Trail.Source)
			}
		}
	}

	strict, err := NewRouter(all[1:], slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer strict.Close()
	v, err := strict.Authenticate(t.Context(), &proto.Request{Authcid: "bob@elsewhere"})
	if v != proto.Reject || !errors.Is(err, errNoRoute) {
		t.Errorf("no server for the domain: got %v, %v", v, err)
	}
}

func TestExpand(t *testing.T) {
	tests := []struct{ template, authcid, want string }{ // empty: Reject
		{"{user}", "bob@d", "bob@d"},
		{"{user}", "@", "@"},
		{"{local}", "bob@d", "bob"},
		{"{local}", "bob", "bob"},
		{"{local}", "b@x@d", ""}, // could be b@x, of another domain
		{"{domain}/{local}", "b@x@d", ""},
		{"{user}", "b@x@d", "b@x@d"},
		{"{domain}/{local}", "bob@d", "d/bob"},
		{"{user}+{local}", "{local}@{domain}", "{local}@{domain}+{local}"},
		{"{local}", "@d", ""},
		{"{local}@{domain}", "bob", ""},
		{"{local}@{domain}", "bob@", ""},
	}
	for _, tt := range tests {
		if got, refused := expand(tt.template, tt.authcid); got != tt.want || (refused == nil) != (tt.want != "") {
			t.Errorf("%s for %s: got %q, %v want %q", tt.template, tt.authcid, got, refused, tt.want)
		}
	}
}

// TestEmptyPlaceholderAsksNobody also holds that the verdict is not a server's.
func TestEmptyPlaceholderAsksNobody(t *testing.T) {
	r := newRouter(t, "unix:///nowhere", func(c *Config) { c.Username = "{local}@{domain}" })
	defer r.Close()
	req := &proto.Request{Authcid: "bob", Password: proto.NewPassword("x")}
	if v, err := r.Authenticate(t.Context(), req); v != proto.Reject || req.Trail.Source != proto.SourceRouter {
		t.Errorf("got %v, %v from %v", v, err, req.Trail.Source)
	}
}

func TestClientIPOff(t *testing.T) {
	d := readDialogue(t, "testdata/dialogues/id-not-offered.txt")
	d.connections[0][0] = "S: * OK [CAPABILITY IMAP4rev1 SASL-IR ID AUTH=PLAIN] ready"
	d.config = "client_ip = false"
	d.run(t)
}

func TestIDCommand(t *testing.T) {
	a := netip.MustParseAddrPort
	tests := []struct {
		req  proto.Request
		want string
	}{
		{proto.Request{}, ""},
		{proto.Request{Local: a("192.0.2.2:25")}, ""},
		{proto.Request{Client: a("192.0.2.1:0")}, `I1 ID ("x-originating-ip" "192.0.2.1")`},
		{proto.Request{Client: a("[2001:db8::1]:99"), Local: a("192.0.2.2:25"), Session: `a"\\b`},
			`I1 ID ("x-originating-ip" "2001:db8::1" "x-originating-port" "99" "x-connected-ip" "192.0.2.2" "x-connected-port" "25" "x-session-id" "a\"\\\\b")`},
		{proto.Request{Client: netip.AddrPortFrom(netip.MustParseAddr("fe80::1%x\" \r\n"), 0)}, `I1 ID ("x-originating-ip" "fe80::1")`},
	}
	for _, tt := range tests {
		want := tt.want
		if want != "" {
			want += "\r\n"
		}
		if got := string(idCommand(&tt.req)); got != want {
			t.Errorf("got %q want %q", got, want)
		}
	}
}
