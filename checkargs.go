package main

import (
	"fmt"
	"strings"

	"imapauthd/proto"
)

// checkFlags are the arguments of "imapauthd check".
//
// Options stand before SERVER or after PASSWORD, never between: in the place that
// check was made for, an Exim condition that runs it and looks at the exit status,
// a mail client chooses USER and PASSWORD. Were options taken from there, a client
// that logs in as "--help" would be printed a help text, with the exit status of
// an Accept. --config stands before SERVER only: it says what SERVER means, and a
// condition that splits what the client sent must not let it.
type checkFlags struct {
	CAFile string   `name:"ca-file" placeholder:"FILE" help:"Trust the certificates in this PEM file instead of the system's."`
	File   string   `name:"config" placeholder:"FILE" help:"Ask as this file says: SERVER is then the name of one of its servers, or - for the one that the account's domain picks."`
	Trace  bool     `help:"Show each step with its time, secrets hidden."`
	Args   []string `arg:"" optional:"" passthrough:"partial" name:"args" help:"SERVER USER [PASSWORD]: SERVER is a host (asked by imaps://) or a URL. Options go before it. Without PASSWORD it is read from standard input."`
}

// checkLogin is the login that check was asked to try.
type checkLogin struct {
	server, authcid string
	password        *proto.Password // nil: to be read from standard input
}

// login returns the positional arguments by name. Too few of them are answered
// as the wiki's Python script did, on standard output.
func (f *checkFlags) login(std *streams) (*checkLogin, error) {
	args := f.Args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:] // Kong leaves it to whoever takes the rest unparsed.
	}
	if len(args) < 2 {
		fmt.Fprintln(std.out, "too few arguments")
		return nil, &exitError{code: exitUsage}
	}
	l := &checkLogin{server: args[0], authcid: args[1]}
	if len(args) == 2 {
		return l, nil
	}
	password := proto.NewPassword(args[2])
	l.password = &password
	return l, f.trailing(args[3:])
}

// trailing takes the options behind PASSWORD. Whatever else stands there is not
// quoted back: it may be a part of a password.
func (f *checkFlags) trailing(args []string) error {
	for len(args) > 0 {
		name, value, assigned := strings.Cut(args[0], "=")
		args = args[1:]
		switch {
		case name == "--trace" && !assigned:
			f.Trace = true
		case name == "--ca-file" && assigned:
			f.CAFile = value
		case name == "--ca-file" && len(args) > 0:
			f.CAFile, args = args[0], args[1:]
		default:
			return usageError("too many arguments (options go before SERVER)")
		}
	}
	return nil
}
