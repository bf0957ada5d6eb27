package proto

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Keys of the log, beside slog's own. They are fixed: filters depend on them.
const (
	KeyFrontend  = "frontend"  // protocol of the listener
	KeyAuthcid   = "authcid"   // the account, quoted where it needs to be
	KeyAuthzid   = "authzid"   // the account to act as, if another
	KeyMechanism = "mechanism" // the SASL mechanism, if it was relayed
	KeyRIP       = "rip"       // the mail client's address
	KeySession   = "session"   // the mail server's name for the session
	KeyVerdict   = "verdict"   // accept, reject or tempfail
	KeySource    = "source"    // the link that decided, see Source
	KeyServer    = "server"    // name of the configured server
	KeyElapsed   = "elapsed"   // from the request's arrival to its verdict
	KeyErr       = "err"       // why; always last
)

// maxName is how much of a name goes into a log line, in bytes: names in use are
// shorter, and one that a mail client made up has up to 16 KiB.
const maxName = 256

// LogName returns a name that a mail client chose as the log carries it: cut.
func LogName(name string) string {
	if len(name) <= maxName {
		return name
	}
	return strings.ToValidUTF8(name[:maxName], "") + "…"
}

// logEvery is how often one kind of refusal is logged: what a stranger can cause
// a thousand times a second must not fill a disk.
const logEvery = 10 * time.Second

// maxKinds bounds the kinds that Limited tells apart: more than there are reasons.
const maxKinds = 64

// Limited logs one line of each kind in 10 s and counts what it left out. The zero value
// is ready, and concurrent use is safe.
type Limited struct {
	mu    sync.Mutex
	kinds map[string]*limit // protected by mu
}

// limit is the state of one kind.
type limit struct {
	last    time.Time
	skipped int
}

// Log writes the line, with the number of lines left out before it, or counts it.
// Kinds beyond maxKinds are one.
func (l *Limited) Log(log *slog.Logger, level slog.Level, kind, msg string, attrs ...slog.Attr) {
	l.mu.Lock()
	if l.kinds == nil {
		l.kinds = make(map[string]*limit)
	}
	k := l.kinds[kind]
	if k == nil {
		if len(l.kinds) >= maxKinds {
			kind = ""
		}
		if k = l.kinds[kind]; k == nil {
			k = new(limit)
			l.kinds[kind] = k
		}
	}
	now := time.Now()
	if !k.last.IsZero() && now.Sub(k.last) < logEvery {
		k.skipped++
		l.mu.Unlock()
		return
	}
	skipped := k.skipped
	k.last, k.skipped = now, 0
	l.mu.Unlock()
	if skipped > 0 {
		attrs = append([]slog.Attr{slog.Int("more", skipped)}, attrs...)
	}
	log.LogAttrs(context.Background(), level, msg, attrs...)
}
