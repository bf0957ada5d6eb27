package imap

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"imapauthd/proto"
)

// TestRelayDiscovery: where SRV names the servers, each domain has its own.
func TestRelayDiscovery(t *testing.T) {
	r := newRouter(t, "imap://localhost", func(c *Config) {
		c.URL, c.Domains = []URL{{Scheme: "srv"}}, []string{"a.example", "b.example"}
	})
	defer r.Close()
	for _, tt := range []struct {
		account account
		want    *proto.Refusal
	}{
		{account{authcid: "bob@a.example"}, nil},
		{account{authcid: "bob@a.example", authzid: "eve@a.example"}, nil},
		{account{authcid: "bob@a.example", authzid: "eve@b.example"}, errNotItsOwn},
		{account{authcid: "bob@b.example"}, errNotItsOwn},
	} {
		e := &exchange{server: r.principal(), routed: "tim@a.example", account: tt.account}
		if got := r.vouches(e); got != tt.want {
			t.Errorf("%q: got %v want %v", tt.account, got, tt.want)
		}
	}
	x := &proto.Exchange{Mechanism: "CRAM-MD5"}
	if v, err := r.Relay(t.Context(), x); v != proto.TempFail || err != errNoDefault {
		t.Errorf("got %v, %v", v, err)
	}
	if got := r.Mechanisms(t.Context()); got != nil {
		t.Errorf("got %q", got)
	}
}

// TestRelayRoutes: which server is asked, by which of its names, and for whom its OK
// counts.
func TestRelayRoutes(t *testing.T) {
	const (
		scramOf = "n,AUTHZID,n=NAME,r=x"
		final   = "c=biws,r=xy,p=z"
	)
	tests := []struct {
		servers  string // NAME:DOMAIN,… with a space between; no domain: all others
		mech     string
		name     string
		authzid  string
		want     proto.Verdict
		asked    string // the server; empty: none
		proved   string
		whyOrNot string
	}{
		{"default: a:a.example b:b.example", "SCRAM-SHA-1", "bob@a.example", "", proto.Accept, "a", "bob@a.example", ""},
		{"default: a:a.example b:b.example", "SCRAM-SHA-1", "bob@elsewhere", "", proto.Accept, "default", "bob@elsewhere", ""},
		{"default: a:a.example b:b.example", "SCRAM-SHA-1", "bob", "", proto.Accept, "default", "bob", ""},
		{"default: a:a.example b:b.example", "SCRAM-SHA-1", "bob@a.example", "eve@b.example", proto.Reject, "", "", "another server's"},
		{"default: a:a.example b:b.example", "SCRAM-SHA-1", "bob@a.example", "eve", proto.Reject, "", "", "another server's"},
		{"default: a:a.example b:b.example", "SCRAM-SHA-1", "bob@a.example", "eve@A.example", proto.Accept, "a", "eve@A.example", ""},
		{"a:a.example b:b.example", "SCRAM-SHA-1", "bob", "", proto.Reject, "", "", "no server for"},
		{"a:a.example b:b.example", "SCRAM-SHA-1", "bob@b.example", "", proto.Accept, "b", "bob@b.example", ""},
		{"default: a:a.example", "CRAM-MD5", "bob", "", proto.Accept, "default", "bob", ""},
		{"default: a:a.example", "CRAM-MD5", "bob@elsewhere", "", proto.Accept, "default", "bob@elsewhere", ""},
		{"default: a:a.example", "CRAM-MD5", "bob@a.example", "", proto.Reject, "default", "", "another server's"},
		{"a:a.example,c.example", "CRAM-MD5", "bob@c.example", "", proto.Accept, "a", "bob@c.example", ""},
		{"a:a.example", "CRAM-MD5", "bob@b.example", "", proto.Reject, "a", "", "no server for"},
		{"a:a.example", "CRAM-MD5", "bob", "", proto.Reject, "a", "", "no server for"},
		{"a:a.example b:b.example", "CRAM-MD5", "bob@a.example", "", proto.TempFail, "", "", "needs a server without domains"},
		{"default: a:a.example", "DIGEST-MD5", "bob", "", proto.Accept, "default", "bob", ""},
		{"default: a:a.example", "DIGEST-MD5", "bob@a.example", "", proto.Reject, "default", "", "another server's"},
		{"default: a:a.example", "DIGEST-MD5", "bob@a.example", "eve", proto.Reject, "default", "", "another server's"},
		{"default: a:a.example", "DIGEST-MD5", "bob", "eve@a.example", proto.Reject, "default", "", "another server's"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			var cfgs []Config
			for s := range strings.SplitSeq(tt.servers, " ") {
				name, domains, _ := strings.Cut(s, ":")
				cfg := DefaultConfig()
				cfg.Name, cfg.URL = name, []URL{{Scheme: "unix", Path: "/farm"}}
				if domains != "" {
					cfg.Domains = strings.Split(domains, ",")
				}
				cfgs = append(cfgs, cfg)
			}
			r, err := NewRouter(cfgs, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			asked := ""
			for name, s := range r.byName {
				f := cramFarm(0)
				f.greeting = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=CRAM-MD5 AUTH=DIGEST-MD5 AUTH=SCRAM-SHA-1] ready"
				whole := f.answer
				f.answer = func(c net.Conn, line func() string) bool {
					asked = name
					return whole(c, line)
				}
				for _, p := range s.pools {
					p.dialer = f.dial
				}
			}
			x := &proto.Exchange{Mechanism: tt.mech, Challenge: func(context.Context, []byte) ([]byte, error) {
				switch tt.mech {
				case "CRAM-MD5":
					return []byte(tt.name + " b913a602c7eda7a495b4e6e7334d3890"), nil
				case "DIGEST-MD5":
					return []byte(`username="` + tt.name + `",authzid="` + tt.authzid + `",response=x`), nil
				}
				return []byte(final), nil
			}}
			if tt.mech == "SCRAM-SHA-1" {
				authzid := tt.authzid
				if authzid != "" {
					authzid = "a=" + authzid
				}
				x.Initial = []byte(strings.NewReplacer("AUTHZID", authzid, "NAME", tt.name).Replace(scramOf))
			}
			v, text, _ := relay(r, x)
			if v != tt.want || asked != tt.asked || x.Authcid != tt.proved || !strings.Contains(text, tt.whyOrNot) {
				t.Errorf("%s: %s of %s as %q: got %v (%s), asked %q, proved %q", tt.servers, tt.mech, tt.name, tt.authzid, v, text, asked, x.Authcid)
			}
			if source := x.Trail.Source; (source == proto.SourceRouter) != (v != proto.Accept) {
				t.Errorf("%s: the trail's source is %v", tt.servers, source)
			}
			if tt.asked != "" && x.Trail.Server != tt.asked {
				t.Errorf("%s: the trail names %q", tt.servers, x.Trail.Server)
			}
			r.Close()
		})
	}
}
