package main

import (
	"errors"
	"io/fs"

	"imapauthd/imap"
	"imapauthd/proto"
)

// fileFlag names the file.
type fileFlag struct {
	File string `name:"config" placeholder:"FILE" help:"Configuration file (else ${default_file}, if it is there)."`
}

// serverFlags stand for parts of the file: --server and --any-domain for one
// default [[server]], --socket for one [[listen]].
type serverFlags struct {
	Server    []imap.URL `sep:"none" placeholder:"URL" help:"Ask this IMAP server (imap://, imaps://, unix:///path) and not the file's; again: another address, tried in order."`
	AnyDomain bool       `help:"Let --server be another machine: every account it knows can then send mail here."`
	Socket    string     `placeholder:"PATH" help:"Listen on this socket and not on the file's."`
}

// loadConfig returns the defaults, overridden by the file, overridden by the
// flags. A file that is named must be there. The error is of type mistakes if the
// file is wrong, and an exitError if the flags are. A nil flags is none.
func loadConfig(file string, flags *serverFlags) (*config, error) {
	name := file
	if name == "" {
		name = defaultFile
	}
	c, err := readConfig(name)
	if file == "" && errors.Is(err, fs.ErrNotExist) {
		c, err = defaultConfig(), nil
	}
	if err != nil {
		return nil, err
	}
	if flags == nil {
		return c, nil
	}
	return c, flags.override(c)
}

// override puts the flags in the place of the file's tables.
func (f *serverFlags) override(c *config) error {
	if f.AnyDomain && len(f.Server) == 0 {
		return usageError("--any-domain: goes with --server URL (in a file, any_domain = true goes into a [[server]])")
	}
	if len(f.Server) > 0 {
		s := imap.DefaultConfig()
		s.URL, s.AnyDomain = f.Server, f.AnyDomain
		for _, u := range s.URL {
			if u.Scheme == "srv" {
				return usageError("--server: srv needs a list of domains, which only a file has")
			}
			// Asked here, because the table's own message names the table's keys.
			if !s.AnyDomain && !u.Loopback() {
				return usageError("--server: %s is not this machine, so every account there could send mail here (if that is meant, add --any-domain)", u)
			}
		}
		if err := s.Validate(); err != nil {
			return usageError("--server: %w", reason(err))
		}
		c.Server = []imap.Config{s}
	}
	if f.Socket != "" {
		l := proto.DefaultListen("readsocket")
		l.Socket = f.Socket
		if err := l.Validate(protocols); err != nil {
			return usageError("--socket: %w", reason(err))
		}
		c.Listen = []proto.ListenConfig{l}
	}
	return nil
}

// reason returns what a KeyError says, without the key.
func reason(err error) error {
	if k, ok := errors.AsType[*proto.KeyError](err); ok {
		return k.Err
	}
	return err
}
