package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"imapauthd/imap"
	"imapauthd/proto"
)

func TestLoadConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "imapauthd.toml")
	text := "timeout = \"8s\"\n[[listen]]\nsocket = \"/a\"\nmode = \"0666\"\n[[listen]]\nsocket = \"/b\"\n" +
		"[[server]]\nname = \"a\"\nurl = [\"imaps://a\"]\ndomains = [\"a\"]\n[[server]]\nname = \"b\"\nwarm = 0\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile, err := parseConfig(file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	local := imap.URL{Scheme: "imap", Host: "localhost", Port: 143}
	remote := imap.URL{Scheme: "imaps", Host: "mail.example.com", Port: 993}
	server := func(any bool, urls ...imap.URL) []imap.Config {
		s := imap.DefaultConfig()
		s.URL, s.AnyDomain = urls, any
		return []imap.Config{s}
	}
	listen := proto.DefaultListen("readsocket")
	listen.Socket = "/c"

	tests := []struct {
		name  string
		flags *serverFlags
		edit  func(c *config) // from the file's to what is wanted
	}{
		{"no flags", nil, func(c *config) {}},
		{"none given", &serverFlags{}, func(c *config) {}},
		{"server", &serverFlags{Server: []imap.URL{local}}, func(c *config) { c.Server = server(false, local) }},
		{"servers", &serverFlags{Server: []imap.URL{remote, local}, AnyDomain: true}, func(c *config) { c.Server = server(true, remote, local) }},
		{"socket", &serverFlags{Socket: "/c"}, func(c *config) { c.Listen = []proto.ListenConfig{listen} }},
	}
	for _, tt := range tests {
		want := *fromFile
		tt.edit(&want)
		got, err := loadConfig(file, tt.flags)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if !reflect.DeepEqual(got, &want) {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, &want)
		}
	}
}

// TestFlagMistakes: each message names the flag and is one about usage.
func TestFlagMistakes(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"--server", "imap://localhost", "--server", "pop3://localhost"},
			`--server: "pop3://localhost" has the unknown scheme "pop3" (one of: imap, imaps, unix)`},
		{[]string{"--server", "imaps://mail.example.com"},
			`--server: imaps://mail.example.com is not this machine, so every account there could send mail here (if that is meant, add --any-domain)`},
		{[]string{"--server", "imap://localhost", "--server", "imaps://mail.example.com"},
			`--server: imaps://mail.example.com is not this machine, so every account there could send mail here (if that is meant, add --any-domain)`},
		// A comma does not make two of one.
		{[]string{"--server", "unix:///a,imap://localhost", "--server", "imap://a,b"}, `--server: "imap://a,b" has no valid host: it is neither a host's name nor an address`},
		{[]string{"--server", "srv", "--any-domain"}, `--server: srv needs a list of domains, which only a file has`},
		{[]string{"--any-domain"}, `--any-domain: goes with --server URL (in a file, any_domain = true goes into a [[server]])`},
		{[]string{"--socket", "run/readsocket.sock"}, `--socket: "run/readsocket.sock" is neither an absolute path nor systemd:NAME`},
		{[]string{"--socket", "systemd:"}, `--socket: systemd: needs the name of a passed socket`},
	}
	file := filepath.Join(t.TempDir(), "empty.toml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		var line commandLine
		parser, err := newParser(&line, &streams{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = parser.Parse(append([]string{"serve", "--config", file}, tt.args...))
		if err == nil {
			_, err = loadConfig(line.Serve.File, &line.Serve.serverFlags)
			if e, ok := errors.AsType[*exitError](err); !ok || e.code != exitUsage {
				t.Errorf("%v: got %T, want a usage error", tt.args, err)
			}
		}
		if got := errorText(err); got != tt.want {
			t.Errorf("%v: got\n%s\nwant\n%s", tt.args, got, tt.want)
		}
	}
}

// TestLargeFile bounds what is read.
func TestLargeFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "large")
	for _, tt := range []struct {
		size int
		want string
	}{
		{maxFile, ""},
		{maxFile + 1, "configuration: " + file + " is larger than 1048576 bytes"},
	} {
		text := strings.Repeat("#", tt.size-1) + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadConfig(file, nil)
		if got := errorText(err); got != tt.want {
			t.Errorf("%d bytes: got %q, want %q", tt.size, got, tt.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
