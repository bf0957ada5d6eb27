package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"imapauthd/imap"
	"imapauthd/proto"
)

// Exit statuses of check, beside exitUsage. The last is EX_TEMPFAIL of sysexits.h.
const (
	exitAccepted     = 0
	exitRejected     = 1
	exitUndecided    = 75
	checkTimeout     = 30 * time.Second // as the daemon's login_timeout
	maxStdinPassword = 64 << 10         // bytes; more than any server takes
)

// checkCmd tries one login.
type checkCmd struct {
	checkFlags
}

// Run logs in once, without cache or daemon, and prints "OK" or "error: …" on
// standard output; the exit status is the verdict too.
func (c *checkCmd) Run(std *streams) error {
	login, err := c.login(std)
	if err != nil {
		return err
	}
	if err := disableCoreDumps(); err != nil {
		fmt.Fprintln(std.err, "imapauthd: core dumps stay on:", err)
	}
	cfg, err := c.config(login.server)
	if err != nil {
		return sayError(std, exitUsage, err)
	}
	if login.password == nil {
		if login.password, err = readPassword(std); err != nil {
			return sayError(std, exitUsage, err)
		}
	}
	router, err := imap.NewRouter(cfg.Server, c.tracer(std))
	if err != nil {
		return sayError(std, exitUsage, err)
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), checkTimeout, proto.ErrDeadline)
	defer cancel()
	req := proto.Request{Authcid: login.authcid, Password: *login.password}
	if c.File != "" && login.server != byDomain {
		req.Server = login.server
	}
	if err := req.Validate(cfg.MaxPassword); err != nil {
		return sayError(std, exitRejected, err)
	}
	verdict, err := router.Authenticate(ctx, &req)
	router.Close()
	switch verdict {
	case proto.Accept:
		fmt.Fprintln(std.out, "OK")
		return nil
	case proto.Reject:
		return sayError(std, exitRejected, err)
	default:
		return sayError(std, exitUndecided, err)
	}
}

// sayError prints the one line that the wiki's Python script prints.
func sayError(std *streams, code int, err error) error {
	fmt.Fprintln(std.out, "error:", strings.ReplaceAll(err.Error(), "\n", "; "))
	return &exitError{code: code}
}

// byDomain stands for a server's name: the one that the account's domain picks.
const byDomain = "-"

// config is the file's configuration, or the default one with the server that was
// given: a URL, or a host, which is asked by imaps://. One login needs no domains.
func (c *checkCmd) config(server string) (*config, error) {
	if c.File != "" {
		if c.CAFile != "" {
			return nil, errors.New("--ca-file and --config do not go together (ca_file is the file's)")
		}
		cfg, err := loadConfig(c.File, nil)
		if err != nil {
			return nil, err
		}
		named := func(s imap.Config) bool { return s.Name == server }
		if server != byDomain && !slices.ContainsFunc(cfg.Server, named) {
			return nil, fmt.Errorf("%s has no [[server]] of the name %q (write %s for the one of the account's domain)", c.File, server, byDomain)
		}
		return cfg, nil
	}
	if !strings.Contains(server, "://") {
		server = "imaps://" + server
	}
	url, err := imap.ParseURL(server)
	if err != nil {
		return nil, err
	}
	s := imap.DefaultConfig()
	s.URL, s.CAFile, s.AnyDomain = []imap.URL{url}, c.CAFile, true
	if err := s.Validate(); err != nil {
		return nil, reason(err)
	}
	cfg := defaultConfig()
	cfg.Server = []imap.Config{s}
	return cfg, nil
}

// tracer is the log of --trace: every step with its time since the start.
func (c *checkCmd) tracer(std *streams) *slog.Logger {
	if !c.Trace {
		return slog.New(slog.DiscardHandler)
	}
	start := time.Now()
	return slog.New(tint.NewTextHandler(std.err, &tint.Options{
		Level:   slog.LevelDebug,
		NoColor: !isTerminal(std.err),
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.String(slog.TimeKey, fmt.Sprintf("%6.1fms", float64(time.Since(start).Microseconds())/1000))
			}
			return a
		},
	}))
}

// readPassword asks on a terminal, without echo, or reads a line of standard
// input. Its line end is not part of the password.
func readPassword(std *streams) (*proto.Password, error) {
	if in, ok := std.in.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		fmt.Fprint(std.err, "Password: ")
		text, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(std.err)
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		password := proto.NewPassword(string(text))
		return &password, nil
	}
	line, err := bufio.NewReader(io.LimitReader(std.in, maxStdinPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	password := proto.NewPassword(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
	return &password, nil
}
