package dovecot

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"imapauthd/proto"
)

const (
	// maxExchanges bounds the exchanges in progress on a connection. Exim has 1,
	// Postfix one more for each that its clients abandoned.
	maxExchanges = 128
	// writeTime is what a client may take to read when it is hundreds of replies behind.
	writeTime = 2 * time.Second
	// lineTime is what a line may take from its first byte: a client sends it at once.
	lineTime = 10 * time.Second
	// drainTime is what a new connection has for its first AUTH when the daemon ends.
	drainTime = time.Second
)

// session is one connection. Its lines are read by one goroutine, and each exchange has
// one of its own.
type session struct {
	f       *Frontend
	c       *proto.Conn
	ctx     context.Context // of the exchanges; ends with the connection
	cancel  context.CancelCauseFunc
	offered []string
	wg      sync.WaitGroup // the exchanges

	// What the client has said, for the reading goroutine.
	greeted bool   // VERSION
	known   bool   // CPID
	minor   uint64 // of its VERSION

	mu        sync.Mutex // protects these, and writing
	exchanges map[uint32]*exchange
	served    bool      // there was an exchange
	gone      bool      // the client says no more
	ended     bool      // nothing is written any more, and nothing begun
	drainBy   time.Time // not zero: the daemon ends
}

// read handles the client's lines until there are no more.
func (s *session) read() {
	in := lines{r: s.c, arm: s.arm}
	defer func() { clear(in.buf) }()
	for {
		line, err := in.next()
		var refusal *proto.Refusal
		switch {
		case err == nil:
			refusal = s.handle(line)
		case err == errTooLong:
			refusal = s.tooLong(line)
		case errors.Is(err, os.ErrDeadlineExceeded) && s.idles():
			continue
		default:
			if !errors.Is(err, io.EOF) {
				s.end(proto.ErrAborted)
			}
			s.left()
			return
		}
		if refusal != nil {
			s.c.Refuse(refusal)
			s.end(refusal)
			return
		}
	}
}

// arm sets the deadline of a read.
func (s *session) arm(begun bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return // end has set it
	case begun:
		s.c.SetReadDeadline(time.Now().Add(lineTime))
	case len(s.exchanges) == 0:
		s.c.SetReadDeadline(s.drainBy) // usually none
	default:
		s.c.SetReadDeadline(s.patience())
	}
}

// idles reports whether reading goes on though a deadline has passed: one that was there
// to end an idle connection, on which something has begun.
func (s *session) idles() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.drainBy.IsZero() || len(s.exchanges) == 0 {
		return false
	}
	if s.patience().IsZero() { // which is over
		for _, x := range s.exchanges {
			if x.waiting {
				s.remove(x)
			}
		}
		s.settle()
	}
	return !s.ended
}

// patience returns until when clients that owe a response are waited for once the daemon
// ends; zero: that is over, or not begun. The caller holds mu.
func (s *session) patience() time.Time {
	if s.drainBy.IsZero() {
		return time.Time{}
	}
	until := s.drainBy.Add(or(s.f.silence, silence))
	if !time.Now().Before(until) {
		return time.Time{}
	}
	return until
}

// left tells the exchanges that the client says no more. What is being decided is
// answered nevertheless, for it may have half-closed only.
func (s *session) left() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	for _, x := range s.exchanges {
		if x.waiting {
			s.remove(x)
		}
	}
}

// drain ends the connection as soon as no exchange is in progress, and those soon whose
// client owes a response. A connection that is new is given the time to begin one, for it
// was made when the daemon still took it.
func (s *session) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drainBy = time.Now().Add(drainTime)
	if s.served {
		s.settle()
	}
	switch {
	case s.ended:
	case s.served:
		s.c.SetReadDeadline(s.patience())
	default:
		s.c.SetReadDeadline(s.drainBy)
	}
}

// settle ends the connection if it was only waited for. The caller holds mu.
func (s *session) settle() {
	if !s.drainBy.IsZero() && len(s.exchanges) == 0 {
		s.endLocked(proto.ErrShutdown)
	}
}

// end ends the connection and all that is in progress on it.
func (s *session) end(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(cause)
}

func (s *session) endLocked(cause error) {
	if s.ended {
		return
	}
	s.ended = true
	s.cancel(cause)
	s.c.SetReadDeadline(time.Unix(1, 0))
}

// remove ends an exchange without a word to the client. One that waits for the client
// can go on to take back what it began at an IMAP server. The caller holds mu.
func (s *session) remove(x *exchange) {
	delete(s.exchanges, x.id)
	if x.waiting {
		x.waiting = false
		close(x.quit)
	} else {
		x.cancel(proto.ErrAborted)
	}
}
