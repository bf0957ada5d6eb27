//go:build !linux || ordinary

package proto

import (
	"errors"
	"net"
	"os"
	"time"
)

// backlogGrace is how long the queue must be empty, once the socket's file is gone, to
// be believed so.
const backlogGrace = 20 * time.Millisecond

// Acceptors is how many threads wait for a listener's connections: none, the runtime does.
func Acceptors() int { return 0 }

// socket is a listening socket.
type socket struct{ *net.UnixListener }

func newSocket(l *net.UnixListener, passed bool) (*socket, error) { return &socket{l}, nil }

// stop ends the accept loop soon.
func (s *socket) stop() { s.SetDeadline(time.Now().Add(backlogGrace)) }

// accept takes connections, one after the other, until Shutdown.
func (s *Server) accept(l *Listener) error {
	var pause time.Duration
	quiet := false // closing, and nothing came since the deadline was renewed
	for {
		c, err := l.AcceptUnix()
		closing := s.isClosing()
		switch {
		case err == nil:
			pause = 0
			s.admit(c, nil)
		case errors.Is(err, net.ErrClosed):
			return nil
		case closing && quiet && errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			pause = s.trouble(err, pause)
		}
		if closing && l.passed {
			return nil // what waits there is the socket's next owner's
		}
		if closing {
			// An expired deadline ends accept before it looks at the queue, and
			// what is left there when the socket closes is reset.
			l.stop()
			quiet = err != nil && errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}
