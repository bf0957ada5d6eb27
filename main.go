// Imapauthd lets a mail server check SMTP AUTH passwords against an IMAP server:
// whoever can read mail here may send mail here.
//
//	imapauthd serve  [--config FILE] [--server URL]... [--socket PATH]
//	imapauthd check  SERVER USER [PASSWORD]
//	imapauthd demo
//	imapauthd config [--config FILE]
//	imapauthd version
//
// Package main only assembles: it reads the command line and the file, stacks
// the authenticators and starts the front-ends. Each subcommand has a file of
// its own.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
)

// exitUsage is the status for a command line that cannot be understood, and
// exitFailure the one for everything else that goes wrong, unless a subcommand
// says otherwise with an exitError.
const (
	exitFailure = 1
	exitUsage   = 2
)

// streams are the standard streams, which tests replace.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// exitError is an error with an exit status of its own. A nil err means that
// the subcommand has already said what there is to say.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError is a mistake on the command line.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// commandLine is the grammar, in kong's tags.
type commandLine struct {
	Help helpFlag `short:"h" help:"Show this text."`

	Serve   serveCmd   `cmd:"" help:"Run the daemon."`
	Check   checkCmd   `cmd:"" help:"Try one login, without a daemon: check [flags] SERVER USER [PASSWORD]"`
	Demo    demoCmd    `cmd:"" help:"Run everything on an embedded IMAP server."`
	Config  configCmd  `cmd:"" help:"Check a configuration file and print the effective configuration."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// errHelp ends the parse once the help is printed. Kong's own help flag calls
// os.Exit from inside the parser.
var errHelp = errors.New("help was printed")

// helpFlag prints the help of the subcommand it stands behind.
type helpFlag bool

// IgnoreDefault and BeforeReset are kong's hooks; the second runs before kong
// asks for what is missing on the command line.
func (helpFlag) IgnoreDefault() {}

func (helpFlag) BeforeReset(ctx *kong.Context) error {
	if err := ctx.PrintUsage(false); err != nil {
		return err
	}
	return errHelp
}

func main() {
	os.Exit(run(os.Args[1:], &streams{os.Stdin, os.Stdout, os.Stderr}))
}

// newParser returns the parser that fills in line.
func newParser(line *commandLine, std *streams) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("imapauthd"),
		kong.Description("Check SMTP AUTH passwords against an IMAP server."),
		kong.NoDefaultHelp(), // helpFlag
		kong.Vars{"default_file": defaultFile},
		kong.Writers(std.out, std.err),
		kong.Bind(std),
	)
}

// run does what the arguments say and returns the exit status.
func run(args []string, std *streams) int {
	parser, err := newParser(&commandLine{}, std)
	if err != nil {
		panic(err) // The tags above are wrong, which every test of run shows.
	}
	ctx, err := parser.Parse(args)
	switch {
	case errors.Is(err, errHelp):
		return 0
	case err != nil:
		// Kong's own status for this is 80; 2 is what shells and getopt use.
		return fail(std, usageError("%w", err))
	}
	if err := ctx.Run(); err != nil {
		return fail(std, err)
	}
	return 0
}

// fail prints an error and returns its exit status. Mistakes in a file are
// printed bare, one a line, so that editors find FILE:LINE:COLUMN.
func fail(std *streams, err error) int {
	code := exitFailure
	if e, ok := errors.AsType[*exitError](err); ok {
		if code = e.code; e.err == nil {
			return code
		}
	}
	if m, ok := errors.AsType[mistakes](err); ok {
		fmt.Fprintln(std.err, m)
		return code
	}
	fmt.Fprintln(std.err, "imapauthd:", err)
	if code == exitUsage {
		fmt.Fprintln(std.err, `Run "imapauthd --help" to see what there is.`)
	}
	return code
}
