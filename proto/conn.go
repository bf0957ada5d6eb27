package proto

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"
)

// lingerTime bounds the last two steps of a connection: writing the reply, and
// reading what the client still sends.
const lingerTime = time.Second

// Conn is one client's connection, with what a front-end needs to answer it.
type Conn struct {
	net.Conn
	early   []byte // read off the stream already, and to be read first
	server  *Server
	next    Authenticator
	budget  time.Duration
	refusal *Refusal // what is answered whatever is asked; nil: the connection is admitted
}

// Read reads what came early, and then from the connection.
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.early) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.early)
	clear(c.early[:n])
	c.early = c.early[n:]
	return n, nil
}

// refuse has every question on the connection answered by r, within refusalBudget.
func (c *Conn) refuse(r *Refusal) { c.next, c.budget, c.refusal = always(r), refusalBudget, r }

// Refused reports whether whatever is asked here will be refused. Such a connection as a
// whole may last for one budget, see Limit.
func (c *Conn) Refused() bool { return c.refusal != nil }

// Limit starts a budget that leaves the connection's deadlines alone: that of one of
// several requests on it.
func (c *Conn) Limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.budget, ErrDeadline)
}

// OnDrain calls f, in a goroutine of its own, once the Server begins to drain, which
// may be at once. A connection that stays open between requests must then end as soon
// as none is in progress. stop is that of context.AfterFunc.
func (c *Conn) OnDrain(f func()) (stop func() bool) { return context.AfterFunc(c.server.draining, f) }

// Guard calls f. A panic in it is logged and ends f only.
func (c *Conn) Guard(f func()) {
	defer func() {
		if v := recover(); v != nil {
			c.server.log.Error("panic in a connection", "stack", string(debug.Stack()), KeyErr, v)
		}
	}()
	f()
}

// Go runs f in a goroutine that may outlast the connection, and that Shutdown waits for:
// f must end with the context that Serve was given, and soon after OnDrain's. To be
// called within Serve.
func (c *Conn) Go(f func()) { c.server.wg.Go(func() { c.Guard(f) }) }

// Begin starts a request's budget. Reads on the connection end with it, writes
// do not: the reply must get out.
func (c *Conn) Begin(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := c.Limit(ctx)
	expired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		c.SetReadDeadline(time.Unix(1, 0))
		close(expired)
	})
	return ctx, sync.OnceFunc(func() {
		if !stop() {
			<-expired // or it would cut short the reading that Finish does
		}
		cancel()
	})
}

// ServeOne serves a connection that carries one request: read takes it off the
// stream, within the budget, and reply puts the verdict into the front-end's words
// (refusal: it is the front-end's own). If the error of read is no *Refusal, the
// connection broke: a TempFail that is not logged.
func (c *Conn) ServeOne(ctx context.Context, read func(net.Conn) (Request, error), reply func(Verdict, *Refusal) string) {
	verdict := TempFail // also what a panic leaves
	var refusal *Refusal
	defer func() { c.Finish(reply(verdict, refusal)) }()
	start := time.Now()
	ctx, end := c.Begin(ctx)
	defer end()

	req, err := read(c)
	switch {
	case err == nil:
		verdict = c.Decide(ctx, start, &req)
	case errors.As(err, &refusal):
		verdict = c.Refuse(refusal)
	}
}

// Decide asks the authenticators and logs the verdict. start is when the request
// began. A panic is a TempFail.
func (c *Conn) Decide(ctx context.Context, start time.Time, req *Request) (verdict Verdict) {
	var err error
	defer c.conclude(start, &verdict, &err, func() decision {
		return decision{authcid: req.Authcid, authzid: req.Authzid, client: req.Client, session: req.Session, trail: req.Trail}
	})
	verdict, err = c.next.Authenticate(ctx, req)
	return verdict
}

// conclude is deferred by what has come to a verdict, which it logs: that of a panic too.
func (c *Conn) conclude(start time.Time, verdict *Verdict, err *error, about func() decision) {
	if v := recover(); v != nil {
		*verdict, *err = TempFail, errors.New("panic")
		c.server.log.Error("panic in a request", "stack", string(debug.Stack()), KeyErr, v)
	}
	c.report(start, about(), *verdict, *err)
}

// decision is what a log line says beside the verdict.
type decision struct {
	authcid, authzid string
	mechanism        string // of a relayed exchange
	client           netip.AddrPort
	session          string
	trail            Trail
}

// Refuse logs a verdict of the front-end's own, if there is a reason. Strangers cause
// them as often as they like, so the rate is limited.
func (c *Conn) Refuse(r *Refusal) Verdict {
	if r.Reason == "" {
		return r.Verdict
	}
	level := slog.LevelInfo
	if r.Verdict == TempFail {
		level = slog.LevelWarn
	}
	c.server.limited.Log(c.server.log, level, r.Reason, "request refused",
		slog.String(KeyVerdict, r.Verdict.String()), slog.String(KeySource, string(SourceFrontend)), slog.Any(KeyErr, r))
	return r.Verdict
}

// report writes the line of one decision: verdicts that were asked for at info,
// those from memory and what the client gave up at debug, no verdict at warn. What a full
// listener refuses is limited, there is more of it than of anything else, and so is what
// we refuse of an exchange: a client can say it as fast as it likes.
func (c *Conn) report(start time.Time, d decision, verdict Verdict, err error) {
	s := c.server
	level := slog.LevelInfo
	switch {
	case errors.Is(err, ErrAborted):
		level = slog.LevelDebug
	case verdict == TempFail:
		level = slog.LevelWarn
		if err == nil {
			err = errors.New("no reason given")
		}
	case d.trail.Source == SourceCache, d.trail.Source == SourceGrace, d.trail.Source == SourceGuard:
		level = slog.LevelDebug
	}
	refusal, ours := errors.AsType[*Refusal](err)
	switch {
	case err == ErrDenied:
		return // admit has said who
	case err == ErrBusy,
		// Bounds on logins: who guesses reaches them as often as he likes.
		ours && verdict == TempFail && d.trail.Source == SourceIMAP && refusal != ErrDeadline && refusal != ErrShutdown,
		ours && d.mechanism != "" && (d.trail.Source == SourceFrontend || d.trail.Source == SourceRouter):
		s.limited.Log(s.log, level, refusal.Reason, "request refused", slog.String(KeyVerdict, verdict.String()), slog.Any(KeyErr, err))
		return
	}
	if !s.log.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs, slog.String(KeyAuthcid, LogName(d.authcid)))
	if d.authzid != "" && d.authzid != d.authcid {
		attrs = append(attrs, slog.String(KeyAuthzid, LogName(d.authzid)))
	}
	if d.mechanism != "" {
		attrs = append(attrs, slog.String(KeyMechanism, d.mechanism))
	}
	if d.client.Addr().IsValid() {
		attrs = append(attrs, slog.String(KeyRIP, d.client.Addr().String()))
	}
	if d.session != "" {
		attrs = append(attrs, slog.String(KeySession, d.session))
	}
	attrs = append(attrs, slog.String(KeyVerdict, verdict.String()), slog.String(KeySource, string(d.trail.Source)),
		slog.String(KeyServer, d.trail.Server), slog.Duration(KeyElapsed, time.Since(start)))
	if err != nil {
		attrs = append(attrs, slog.Any(KeyErr, err))
	}
	s.log.LogAttrs(context.Background(), level, "login", attrs...)
}

// Finish writes the last reply so that the client surely reads it: write,
// half-close, read what is left, within lingerTime each. Closing with request
// bytes unread would reset the connection on Linux, and the reply be lost.
func (c *Conn) Finish(reply string) {
	c.SetWriteDeadline(time.Now().Add(lingerTime))
	if _, err := io.WriteString(c, reply); err != nil {
		return // the client is gone
	}
	c.linger()
}

// linger half-closes and reads what is left.
func (c *Conn) linger() {
	if hc, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		hc.CloseWrite()
	}
	c.SetReadDeadline(time.Now().Add(lingerTime))
	io.Copy(io.Discard, c.Conn)
}

// Hangup ends a connection on which the client may write at any time, and which it
// would otherwise keep. Replies that are under way arrive, the client's next write
// fails, and what it wrote before is taken out, so that closing does not reset the
// connection: on a UNIX socket nothing comes in any more after shutdown(2), so there is
// nothing to wait for.
func (c *Conn) Hangup() {
	hc, ok := c.Conn.(interface {
		CloseRead() error
		CloseWrite() error
	})
	if !ok {
		return
	}
	hc.CloseRead() // first: who sees the end must not be able to write
	hc.CloseWrite()
	c.SetReadDeadline(time.Now().Add(lingerTime))
	io.Copy(io.Discard, c.Conn)
}
