package proto

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestZeroValuesDecideNothing(t *testing.T) {
	var v Verdict
	if v != TempFail || v.String() != "tempfail" || Verdict(77).String() != "tempfail" {
		t.Errorf("the zero verdict is %v", v)
	}
}

// TestPasswordIsOpaque prints a password in every way there is, also where its
// methods are not called.
func TestPasswordIsOpaque(t *testing.T) {
	const secret = "hunter2"
	p := NewPassword(secret)
	req := Request{Authcid: "bob", Password: p}
	unexported := struct{ req Request }{req}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, x := range []any{p, &p, req, &req, unexported, &unexported, []Password{p}, map[string]Password{"": p}} {
			fmt.Fprintf(&out, verb, x)
		}
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "p", p, "req", req, "u", unexported, "err", fmt.Errorf("%v", p))
	}
	j, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(j)
	for _, leak := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprint([]byte(secret))} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q shows in %s", leak, out.String())
		}
	}
	if p.Reveal() != secret || p.Len() != len(secret) || (Password{}).Reveal() != "" || (Password{}).Len() != 0 {
		t.Error("the password is not what went in")
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[string]string{"0s": "0s", "90s": "1m30s", "10m": "10m", "1h": "1h", "1h30m": "1h30m", "100ms": "100ms", "10h0m1s": "10h0m1s"} {
		var d Duration
		if err := d.UnmarshalText([]byte(in)); err != nil {
			t.Fatal(err)
		}
		if got, _ := d.MarshalText(); string(got) != want {
			t.Errorf("%s: got %s want %s", in, got, want)
		}
	}
	for _, in := range []string{"", "10", "10 m", "-1s", "1d", "ten"} {
		var d Duration
		if err := d.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q was taken as %v", in, time.Duration(d))
		}
	}
}

func TestMode(t *testing.T) {
	var m Mode
	if err := m.UnmarshalText([]byte("0660")); err != nil || m != 0o660 {
		t.Errorf("got %o, %v", m, err)
	}
	for _, in := range []string{"", "660x", "0888", "01777", "-1", "rw"} {
		if err := m.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q was taken", in)
		}
	}
}

func TestListenConfig(t *testing.T) {
	tests := []struct {
		change func(*ListenConfig)
		key    string // refused; empty: fine
	}{
		{func(c *ListenConfig) {}, ""},
		{func(c *ListenConfig) { c.Socket = "systemd:imapauthd" }, ""},
		{func(c *ListenConfig) { c.Group, c.Allow = "0", []string{"root", "12345"} }, ""},
		{func(c *ListenConfig) { c.Protocol = "smtp" }, "protocol"},
		{func(c *ListenConfig) { c.Socket = "" }, "socket"},
		{func(c *ListenConfig) { c.Socket = "x.sock" }, "socket"},
		{func(c *ListenConfig) { c.Socket = "systemd:" }, "socket"},
		{func(c *ListenConfig) { c.Socket = "/" + strings.Repeat("x", 107) }, "socket"},
		{func(c *ListenConfig) { c.Mode = 0o444 }, "mode"},
		{func(c *ListenConfig) { c.Group = "no such group" }, "group"},
		{func(c *ListenConfig) { c.Allow = []string{"no such user"} }, "allow"},
		{func(c *ListenConfig) { c.MaxConnections = 0 }, "max_connections"},
		{func(c *ListenConfig) { c.Realm = "drop" }, "realm"},
		{func(c *ListenConfig) { c.Realm = "ignore" }, "realm"},
		{func(c *ListenConfig) { *c = DefaultListen("saslauthd"); c.Realm = "ignore" }, ""},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot") }, ""},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot"); c.RequireSecured = true }, ""},
		{func(c *ListenConfig) { c.RequireSecured = true }, "require_secured"},
		{func(c *ListenConfig) { c.Mechanisms = []string{"PLAIN"} }, "mechanisms"},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot"); c.Mechanisms = []string{"PLAIN", "XOAUTH2"} }, ""},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot"); c.Mechanisms = []string{"-PLAIN", "-GSSAPI"} }, ""},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot"); c.Mechanisms = []string{"-PLAIN", "LOGIN"} }, "mechanisms[1]"},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot"); c.Mechanisms = []string{"PLAIN", "-LOGIN"} }, "mechanisms[1]"},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot"); c.Mechanisms = []string{"PLAIN", "GSSAPI"} }, "mechanisms[1]"},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot"); c.Mechanisms = []string{"plain"} }, "mechanisms[0]"},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot"); c.Mechanisms = []string{"PLIAN"} }, "mechanisms[0]"},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot"); c.Mechanisms = []string{"SCRAM-SHA1"} }, "mechanisms[0]"},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot"); c.Mechanisms = []string{"-PLAIN", "-CRAM-MD"} }, "mechanisms[1]"},
		{func(c *ListenConfig) {
			*c = DefaultListen("dovecot")
			c.Mechanisms = []string{"SCRAM-SHA-256", "SCRAM-SHA3-512"}
		}, ""},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot"); c.Mechanisms = []string{"-"} }, "mechanisms[0]"},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot"); c.Mechanisms = []string{"--PLAIN"} }, "mechanisms[0]"},
		{func(c *ListenConfig) { *c = DefaultListen("dovecot"); c.Mechanisms = []string{""} }, "mechanisms[0]"},
	}
	for _, tt := range tests {
		c := DefaultListen("readsocket")
		tt.change(&c)
		var key string
		if err, ok := c.Validate([]string{"readsocket", "saslauthd", "dovecot"}).(*KeyError); ok {
			key = err.Key
		}
		if key != tt.key {
			t.Errorf("%+v: got %q refused want %q", c, key, tt.key)
		}
	}
	if !reflect.DeepEqual(DefaultListen("readsocket"), DefaultListen("readsocket")) {
		t.Error("the default is not a constant")
	}
}
