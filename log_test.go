package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

func TestLogger(t *testing.T) {
	tests := []struct {
		config logConfig
		want   string // of one warning
	}{
		{logConfig{"info", "text"}, `^time=\S+ level=WARN msg=hello authcid="a b"\n$`},
		{logConfig{"info", "auto"}, `^time=\S+ level=WARN msg=hello authcid="a b"\n$`}, // no terminal
		{logConfig{"info", "json"}, `^\{"time":"[^"]+","level":"WARN","msg":"hello","authcid":"a b"\}\n$`},
		{logConfig{"warn", "text"}, `^time=`},
		{logConfig{"error", "text"}, `^$`},
	}
	for _, tt := range tests {
		var b bytes.Buffer
		log, _ := newLogger(tt.config, &b)
		log.Warn("hello", "authcid", "a b")
		if !regexp.MustCompile(tt.want).MatchString(b.String()) {
			t.Errorf("%v: got %q, want %q", tt.config, b.String(), tt.want)
		}
	}
}

func TestLogLevel(t *testing.T) {
	for _, format := range logFormats {
		var b bytes.Buffer
		log, level := newLogger(logConfig{"info", format}, &b)
		log.Debug("before")
		level.Set(slog.LevelDebug)
		log.Debug("after")
		if s := b.String(); strings.Contains(s, "before") || !strings.Contains(s, "after") {
			t.Errorf("%s: got %q, want only the second message", format, s)
		}
	}
}

// TestLogTerminal: auto is coloured on a terminal, and only auto.
func TestLogTerminal(t *testing.T) {
	// On Linux either end of a pseudo-terminal is one.
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil || runtime.GOOS != "linux" {
		t.Skip("no pseudo-terminal: ", err)
	}
	defer pty.Close()
	for _, format := range logFormats {
		log, level := newLogger(logConfig{"warn", format}, pty)
		got := fmt.Sprintf("%T", log.Handler())
		plain := strings.HasPrefix(got, "*slog.")
		if want := format != "auto"; plain != want {
			t.Errorf("%s: got a %s, want one of slog's: %v", format, got, want)
		}
		before := log.Enabled(t.Context(), slog.LevelInfo)
		level.Set(slog.LevelInfo)
		if after := log.Enabled(t.Context(), slog.LevelInfo); before || !after {
			t.Errorf("%s: info is enabled: got %v, %v, want false, true", format, before, after)
		}
	}
}

// TestLongError: an error is cut, in every format, and stays what it is if it is short.
func TestLongError(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var b bytes.Buffer
		log, _ := newLogger(logConfig{"info", format}, &b)
		log.Info("x", "err", errors.New(strings.Repeat("y", 100_000)))
		log.Info("x", "err", errors.New("short"), "n", 1)
		first, second, _ := strings.Cut(b.String(), "\n")
		if len(first) > maxErrText+200 || !strings.Contains(first, "…") {
			t.Errorf("%s: got %d bytes", format, len(first))
		}
		if !strings.Contains(second, "short") {
			t.Errorf("%s: got %s", format, second)
		}
	}
}
