package proto

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Keys of the log, beside slog's own. They are fixed: filters depend on them.
const (
	KeyFrontend = "frontend" // protocol of the listener
	KeyAuthcid  = "authcid"  // the account, quoted where it needs to be
	KeyAuthzid  = "authzid"  // the account to act as, if another
	KeyRIP      = "rip"      // the mail client's address
	KeySession  = "session"  // the mail server's name for the session
	KeyVerdict  = "verdict"  // accept, reject or tempfail
	KeySource   = "source"   // the link that decided, see Source
	KeyServer   = "server"   // name of the configured server
	KeyElapsed  = "elapsed"  // from the request's arrival to its verdict
	KeyErr      = "err"      // why; always last
)

// logEvery is how often one kind of refusal is logged: what a stranger can cause
// a thousand times a second must not fill a disk.
const logEvery = 10 * time.Second

// limited logs one line per logEvery and counts what it left out. The zero value
// is ready.
type limited struct {
	mu      sync.Mutex
	last    time.Time // protects the fields below
	skipped int
}

// log writes the line, with the number of lines left out before it, or counts it.
func (l *limited) log(log *slog.Logger, level slog.Level, msg string, attrs ...slog.Attr) {
	l.mu.Lock()
	now := time.Now()
	if !l.last.IsZero() && now.Sub(l.last) < logEvery {
		l.skipped++
		l.mu.Unlock()
		return
	}
	skipped := l.skipped
	l.last, l.skipped = now, 0
	l.mu.Unlock()
	if skipped > 0 {
		attrs = append([]slog.Attr{slog.Int("more", skipped)}, attrs...)
	}
	log.LogAttrs(context.Background(), level, msg, attrs...)
}
