package imap

import (
	"errors"
	"fmt"
	"io"
)

// afterthought reports whether a server of this answer may take back its OK. Courier
// (5.0, imap/imapd.c) says "OK LOGIN Ok." to a right password, by whatever mechanism,
// and only then looks whether the account may use IMAP at all (disableimap): "* BYE IMAP
// access disabled for this account." comes a moment later.
func afterthought(text string) bool { return text == "LOGIN Ok." }

var errTakenBack = errors.New("the server took back its OK")

// confirm asks a server that said OK for one command more. It costs a round trip, so
// it is for those servers only. An error takes the OK back.
func (g *guard) confirm() error {
	const tag = "N1"
	if _, err := io.WriteString(g.conn.raw, tag+" NOOP\r\n"); err != nil {
		return err
	}
	for {
		line, err := g.in.next()
		if err != nil {
			return err
		}
		s, ok := parseStatus(line)
		switch {
		case ok && s.tag == tag && s.typ == "OK":
			return nil
		case ok && (s.tag == tag || s.typ == "BYE"):
			return fmt.Errorf("%w: %w", errTakenBack, s.err(g.password))
		}
	}
}
