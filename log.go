package main

import (
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"imapauthd/proto"
)

// logConfig is the [log] table.
type logConfig struct {
	// Level is the least that is logged.
	Level string `toml:"level"`
	// Format is "text", "json" (one object a line), or "auto": coloured text on
	// a terminal, else "text".
	Format string `toml:"format"`
}

var (
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"auto", "text", "json"}
)

// Validate returns a proto.KeyError for the first value that cannot work.
func (c *logConfig) Validate() error {
	if !slices.Contains(logLevels, c.Level) {
		return proto.BadKey("level", "%q is not a level (one of: %s)", c.Level, strings.Join(logLevels, ", "))
	}
	if !slices.Contains(logFormats, c.Format) {
		return proto.BadKey("format", "%q is not a format (one of: %s)", c.Format, strings.Join(logFormats, ", "))
	}
	return nil
}

// newLogger returns the logger of a valid configuration, which writes to w, and
// its level, which may be changed while it is in use.
func newLogger(c logConfig, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level.Set(slog.LevelInfo) // Validate has refused it; do not lose the log.
	}
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: cutAttr}
	switch {
	case c.Format == "json":
		return slog.New(slog.NewJSONHandler(w, opts)), level
	case c.Format == "auto" && isTerminal(w):
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, ReplaceAttr: cutAttr})), level
	}
	return slog.New(slog.NewTextHandler(w, opts)), level
}

// maxErrText bounds an error in the log, in bytes: names out of DNS and of
// certificates, and one text for each address and URL that was tried.
const maxErrText = 1 << 10

// cutAttr is a handler's ReplaceAttr: it cuts what others may have made long.
func cutAttr(_ []string, a slog.Attr) slog.Attr {
	if err, ok := a.Value.Any().(error); ok {
		if text := err.Error(); len(text) > maxErrText {
			return slog.String(a.Key, strings.ToValidUTF8(text[:maxErrText], "")+"…")
		}
	}
	return a
}

// isTerminal reports whether a person reads what is written to w.
func isTerminal(w io.Writer) bool {
	if q, ok := w.(*logQueue); ok {
		w = q.w
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
