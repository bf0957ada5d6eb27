package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes imapauthd a command of the scripts. It reads the file that the
// script has at etc/imapauthd.toml in place of the machine's own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"imapauthd": func() {
			defaultFile = os.Getenv("DEFAULT_FILE")
			main()
		},
	})
}

// TestScripts runs the command lines of tests/testdata/script.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("tests", "testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("DEFAULT_FILE", filepath.Join(e.WorkDir, "etc", "imapauthd.toml"))
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each exit takes a second under -race
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits is the script command "exits STATUS PROGRAM ARGS...": the program must
// exit with that status, and not with just any but 0.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM [ARGS...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		e, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = e.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status: got %d, want %d", got, want)
	}
}

// TestCheckArgs shows that nothing behind SERVER is an option: a mail client that
// logs in as "--help" must not be answered with exit status 0.
func TestCheckArgs(t *testing.T) {
	tests := []struct {
		args     []string
		authcid  string
		password string // "-": none was given
		trace    bool
	}{
		{[]string{"mail", "jim"}, "jim", "-", false},
		{[]string{"mail", "jim", "secret"}, "jim", "secret", false},
		{[]string{"mail", "jim", ""}, "jim", "", false},
		{[]string{"mail", "", ""}, "", "", false},
		{[]string{"--trace", "mail", "jim", "secret"}, "jim", "secret", true},
		{[]string{"--trace", "--", "mail", "jim", "secret"}, "jim", "secret", true},
		// What a mail client may choose.
		{[]string{"mail", "--help"}, "--help", "-", false},
		{[]string{"mail", "-h", "secret"}, "-h", "secret", false},
		{[]string{"mail", "--trace", "--trace"}, "--trace", "--trace", false},
		{[]string{"mail", "--ca-file=/tmp/x", "--"}, "--ca-file=/tmp/x", "--", false},
		{[]string{"mail", "--", "--help"}, "--", "--help", false},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var line commandLine
			parser, err := newParser(&line, &streams{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(append([]string{"check"}, tt.args...)); err != nil {
				t.Fatal(err)
			}
			got, err := line.Check.login(&streams{})
			if err != nil {
				t.Fatal(err)
			}
			password := "-"
			if got.password != nil {
				password = got.password.Reveal()
			}
			if got.server != "mail" || got.authcid != tt.authcid || password != tt.password {
				t.Errorf("got %q %q %q, want %q %q %q", got.server, got.authcid, password, "mail", tt.authcid, tt.password)
			}
			if line.Check.Trace != tt.trace {
				t.Errorf("trace: got %v, want %v", line.Check.Trace, tt.trace)
			}
		})
	}
}

func TestFail(t *testing.T) {
	tests := []struct {
		err    error
		code   int
		stderr string
	}{
		{errors.New("no luck"), 1, "imapauthd: no luck\n"},
		{&exitError{code: 75}, 75, ""},
		{&exitError{75, errors.New("no decision")}, 75, "imapauthd: no decision\n"},
		{usageError("--x: %d", 7), 2, "imapauthd: --x: 7\nRun \"imapauthd --help\" to see what there is.\n"},
		{mistakes{{file: "f", line: 1, column: 2, key: "k", err: errors.New("a")}, {file: "f", key: "l", err: errors.New("b")}}, 1, "f:1:2: k: a\nf: l: b\n"},
	}
	for _, tt := range tests {
		var out, stderr bytes.Buffer
		if got := fail(&streams{out: &out, err: &stderr}, tt.err); got != tt.code {
			t.Errorf("%v: got status %d, want %d", tt.err, got, tt.code)
		}
		if stderr.String() != tt.stderr || out.Len() > 0 {
			t.Errorf("%v: got %q, %q, want %q, nothing", tt.err, stderr.String(), out.String(), tt.stderr)
		}
	}
}
