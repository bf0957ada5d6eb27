package imap

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"imapauthd/proto"
)

// cancelTime is what a server may take to answer a "*": the exchange is over for
// everybody else.
const cancelTime = time.Second

// turns makes a guard one of an exchange whose messages come from elsewhere. Each side
// speaks in its turn: of the server nothing is believed, and no OK counts, before
// something of the client's is out, and none while the client thinks. The guard holds
// the clock of the server's turns only.
type turns struct {
	mech   string
	budget time.Duration // of the server's turns; 0: none
	gone   func(error)   // called when the connection ends

	held      bool        // protected by guard.mu, as all below; the client's first message waits for an empty challenge
	until     time.Time   // the end of the server's first turn, in place of budget; zero: budget
	timer     *time.Timer // of the server's turn
	due       bool        // it is the server's turn
	cancelled bool        // a "*" goes out in place of the next message
}

var errBase64 = errors.New("the server sent a challenge that is not base64")

// passOn gives the library a challenge. One that only asks for the message that is
// held back is taken for empty, whatever its text. The caller holds mu.
func (g *guard) passOn(line []byte) error {
	t := g.turns
	if g.tag == "" {
		return errGarbage
	}
	if !t.due {
		return errUnasked
	}
	text := strings.TrimSpace(string(line[1:]))
	if t.held || text == "" {
		text = "="
	}
	if _, err := base64.StdEncoding.DecodeString(text); err != nil && text != "=" {
		return errBase64
	}
	t.stop()
	t.due, t.held, g.sent = false, false, false
	g.feed = []byte("+ " + text + "\r\n")
	return nil
}

// relayed takes note of a whole line of the library in an exchange, and mends it in
// place. The caller holds mu.
func (g *guard) relayed(line []byte) error {
	t := g.turns
	switch {
	case g.tag == "":
		words := strings.Fields(string(line))
		if len(words) < 3 || len(words) > 4 || words[1] != "AUTHENTICATE" || words[2] != t.mech {
			return errMisuse
		}
		g.tag, g.sent = words[0], len(words) == 4
	case t.due:
		return errMisuse
	case t.cancelled:
		g.line = append(g.line[:0], "*\r\n"...)
	default:
		g.sent = true
		if string(line) == "=\r\n" {
			g.line = append(g.line[:0], "\r\n"...)
		}
	}
	t.due = true
	g.clock()
	return nil
}

// clock starts the server's turn. The caller holds mu.
func (g *guard) clock() {
	t := g.turns
	rest := t.budget
	switch {
	case t.cancelled:
		rest = cancelTime
	case !t.until.IsZero():
		rest = time.Until(t.until)
		t.until = time.Time{}
	case rest <= 0:
		return
	}
	t.stop()
	t.timer = time.AfterFunc(rest, func() { g.fail(fmt.Errorf("no answer: %w", proto.ErrDeadline)) })
}

// stop ends the server's turn. The caller holds mu.
func (t *turns) stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// cancel has a "*" sent in place of the client's next message (RFC 9051 §6.2.2), which
// the library knows no way to send.
func (g *guard) cancel() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turns.cancelled = true
}

// withhold says what must not be shown from here on.
func (g *guard) withhold(secret string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.password = secret
}
