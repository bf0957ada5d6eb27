package imap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// warmConn is a connection that is dialled, under TLS where it must be, and
// greeted, but not logged in: raw, and without a goroutine.
type warmConn struct {
	raw  net.Conn // what the bytes go through: TCP, UNIX or TLS
	base net.Conn // the socket itself, which is closed and looked at
	offer
	tls  *clientTLS // that was in force
	born time.Time
	kept bool   // it was kept warm, and may have died meanwhile
	sent func() // nil, or called after each of a login's writes
}

// Errors of a server that must not be given a password.
var (
	errPreauth    = errors.New("the server greets with PREAUTH: it would accept anybody")
	errNoStartTLS = errors.New("the server offers no STARTTLS, and a password never crosses a network in clear: use imaps://")
	errUnasked    = errors.New("the server answers before it was asked")
	errInjection  = errors.New("bytes came in clear behind the answer to STARTTLS")
)

// preamble brings a connection from its first byte to where a login may follow:
// TLS if the URL says so, greeting, STARTTLS where it is needed, capabilities.
// PREAUTH is refused. strict is TLS even where no network is crossed. It ends with
// ctx. On error the connection is closed.
//
// imapclient has all this but bounds, deadlines and the rule about loopback: its
// greeting may be 200 MB long, LOGINDISABLED is not looked at, and its own STARTTLS
// would lie above our guard.
func preamble(ctx context.Context, base net.Conn, u URL, strict bool, tc *clientTLS) (*warmConn, error) {
	ok := false // also after a panic
	defer func() {
		if !ok {
			base.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { base.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	p := &preambler{raw: base, base: base, tls: tc, clear: !strict && crossesNothing(base)}
	if u.Scheme == "imaps" {
		if err := p.handshake(ctx); err != nil {
			return nil, deadlineCause(ctx, err)
		}
	} else {
		p.in = newLineReader(base)
	}
	if err := p.greet(ctx, u); err != nil {
		return nil, deadlineCause(ctx, err)
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	ok = true
	return &warmConn{raw: p.raw, base: base, offer: offer{p.caps, p.cyrus}, tls: tc, born: time.Now()}, nil
}

// deadlineCause says why a deadline that ctx set was reached.
func deadlineCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no answer: %w", context.Cause(ctx))
	}
	return err
}

// preambler is the state of one preamble.
type preambler struct {
	raw, base net.Conn
	clear     bool // a password may go in clear
	tls       *clientTLS
	in        *lineReader
	caps      caps
	cyrus     bool // by its greeting
}

// handshake puts TLS on the connection.
func (p *preambler) handshake(ctx context.Context) error {
	t, err := p.tls.handshake(ctx, p.base)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	p.raw, p.in = t, newLineReader(t)
	return nil
}

// greet reads the greeting and does what it leaves to be done.
func (p *preambler) greet(ctx context.Context, u URL) error {
	line, err := p.in.next()
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	s, ok := parseStatus(line)
	switch {
	case !ok || s.tag != "*":
		return errors.New("the greeting is not IMAP's")
	case s.typ == "PREAUTH":
		return errPreauth
	case s.typ == "BYE":
		return s.err("")
	case s.typ != "OK":
		return errors.New("the greeting is not IMAP's")
	}
	p.cyrus = isCyrus(line)
	if s.code == "CAPABILITY" {
		p.caps = parseCaps(s.args)
	} else if err := p.capability(); err != nil {
		return err
	}
	// DESIGN §3.3: in clear only where no network is crossed, which the address
	// actually reached tells, and even there only as far as the server allows it.
	if u.Scheme != "imap" || (p.clear && !p.caps["LOGINDISABLED"]) {
		return p.quiet()
	}
	if !p.caps["STARTTLS"] {
		if p.clear {
			return p.quiet() // the login will say that LOGINDISABLED leaves no way
		}
		return errNoStartTLS
	}
	if err := p.startTLS(ctx); err != nil {
		return err
	}
	return p.quiet()
}

// quiet holds that the server waits for us. Whole untagged lines it may send
// unasked; anything else would be taken for the answer to a later command.
func (p *preambler) quiet() error {
	rest := p.in.rest()
	for len(rest) > 0 {
		line, more, whole := bytes.Cut(rest, []byte("\n"))
		if s, ok := parseStatus(line); ok && s.typ == "BYE" {
			return s.err("")
		}
		if !whole || !bytes.HasPrefix(line, []byte("* ")) {
			return errUnasked
		}
		rest = more
	}
	return nil
}

// capability asks for the capabilities, which a greeting need not give.
func (p *preambler) capability() error {
	p.caps = nil
	if err := p.command("a CAPABILITY"); err != nil {
		return err
	}
	if p.caps == nil {
		return errors.New("the server told no capabilities")
	}
	return nil
}

// startTLS goes under TLS (RFC 9051 §6.2.1). What the server said before is
// forgotten. Bytes behind its OK were sent by somebody who cannot do TLS.
func (p *preambler) startTLS(ctx context.Context) error {
	if err := p.command("b STARTTLS"); err != nil {
		return err
	}
	if p.in.rest() != nil {
		return errInjection
	}
	if err := p.handshake(ctx); err != nil {
		return err
	}
	return p.capability()
}

// command sends one command and reads up to its OK. Its tag is its first letter.
func (p *preambler) command(cmd string) error {
	if _, err := p.raw.Write([]byte(cmd + "\r\n")); err != nil {
		return err
	}
	for {
		line, err := p.in.next()
		if err != nil {
			return fmt.Errorf("%s: %w", cmd[2:], err)
		}
		if set, ok := untaggedCaps(line); ok {
			p.caps = set
			continue
		}
		s, ok := parseStatus(line)
		switch {
		case !ok && len(line) > 0 && line[0] == '*', ok && s.tag == "*" && s.typ != "BYE":
			continue
		case !ok:
			return fmt.Errorf("%s: the answer is not IMAP's", cmd[2:])
		case s.tag == cmd[:1] && s.typ == "OK":
			return nil
		case s.tag == cmd[:1] || s.tag == "*":
			return fmt.Errorf("%s: %w", cmd[2:], s.err(""))
		default:
			return fmt.Errorf("%s: the answer has another command's tag", cmd[2:])
		}
	}
}

// crossesNothing reports whether the connection stays on this machine.
func crossesNothing(c net.Conn) bool {
	switch a := c.RemoteAddr().(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	default:
		return false
	}
}
