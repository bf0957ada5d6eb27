package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hostileLogins are names and passwords, of the mail client's choice, that would help
// it if Exim took them apart or check took them for options. alice's password is
// wikiSecret, and none of these is she with it.
const wikiSecret = "correct-horse"

var hostileLogins = [][2]string{
	{"--help", "x"}, {"--help", ""}, {"--help", "--help"}, {"-h", "x"}, {"--version", "x"},
	{"--trace", wikiSecret}, {"--config=/x", "x"}, {"--config", "/x"}, {"--ca-file=/x", "x"}, {"-", "x"}, {"-", ""}, {"--", "alice"},
	{"", ""}, {"", "x"}, {"", wikiSecret}, {"", "alice"}, {"", "alice " + wikiSecret},
	{"alice", ""}, {"alice", "x"}, {"alice", "--trace"}, {"alice", "x --trace"}, {"alice", wikiSecret + " --trace"},
	{" alice", wikiSecret}, {"alice ", wikiSecret}, {"alice x", wikiSecret},
	{"alice " + wikiSecret, ""}, {"alice " + wikiSecret, "x"}, {"alice " + wikiSecret + " --trace", ""}, {"alice " + wikiSecret + " --ca-file", "x"},
	{"alice' '" + wikiSecret, ""}, {"alice' '" + wikiSecret + "' '--ca-file", "x"}, {`alice" "` + wikiSecret, ""}, {`alice\`, wikiSecret},
	{"alice\t" + wikiSecret, ""}, {"alice\n" + wikiSecret, ""}, {"alice\n", wikiSecret}, {"alice", wikiSecret + "\n"},
	{"$auth3", "x"}, {"${if eq{}{}{alice}}", wikiSecret},
}

// Nothing that a mail client sends becomes an option of check or an argument more: it
// is answered like any wrong password.
func TestWikiOptions(t *testing.T) {
	t.Parallel()
	// Statuses other than 0 and 1 are to show in the reply, in both forms.
	for file, otherwise := range map[string]string{"python-after.conf": "{yes}{no}", "python-better.conf": "{yes}{${if eq{$runrc}{1}{no}{temporarily unavailable}}}"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			imap := startDovecot(t, dovecotOptions{users: map[string]string{"alice": wikiSecret}})
			conf := readWikiConf(t, file)
			startCheck(t, imap, conf)
			conf.replace(t, otherwise, "{yes}{${if eq{$runrc}{1}{no}{status $runrc}}}")
			e := conf.exim(t)
			try := func(mechanism string, login [2]string, want string) {
				t.Helper()
				c := e.dial(t)
				if got := wikiReply(mechanisms[mechanism](c, login[0], login[1])); got != want {
					t.Errorf("%s, %q: got %s, want %s", mechanism, login, got, want)
				}
				c.goesOn()
			}
			both, alice := []string{"PLAIN", "LOGIN"}, [2]string{"alice", wikiSecret}
			for i, login := range hostileLogins {
				try(both[i%2], login, "535") // in turns, because a rejection takes its time
			}
			for _, mechanism := range both {
				try(mechanism, alice, "235")
			}
			imap.stop(t)
			for _, mechanism := range both {
				try(mechanism, alice, "435 status 75")
			}
		})
	}
}

// The same, seen from the program: it has four arguments, and the last two are what the
// mail client sent, byte by byte.
func TestWikiArguments(t *testing.T) {
	dir := shortDir(t)
	program, seen := filepath.Join(dir, "program"), filepath.Join(dir, "seen")
	writeFile(t, program, fmt.Sprintf("#!/bin/sh\nfor arg; do printf '%%s\\0' \"$arg\"; done >%s\nexit 1\n", seen))
	writeFile(t, seen, "")
	for path, mode := range map[string]os.FileMode{program: 0o755, seen: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	conf := readWikiConf(t, "python-better.conf")
	conf.replace(t, "/usr/local/bin/imapauthd", program)
	e := conf.exim(t)
	for _, login := range append(hostileLogins, [2]string{"alice", `a'b"c\d$e f€`}) {
		for _, mechanism := range []string{"PLAIN", "LOGIN"} {
			c := e.dial(t)
			if got := mechanisms[mechanism](c, login[0], login[1]); got.code != authRejected {
				t.Errorf("%s, %q: got %v, want %d", mechanism, login, got, authRejected)
			}
			c.goesOn()
			text, err := os.ReadFile(seen)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
			if want := []string{"check", "server.example.com", login[0], login[1]}; !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", mechanism, got, want)
			}
		}
	}
}
