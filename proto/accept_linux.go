//go:build !ordinary

package proto

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A connection whose request is there already and whose verdict is remembered costs
// accept4, two reads, write and close here, by the thread that was woken for it. Go's
// poller would wake two, and a goroutine per connection costs half as much again as the
// socket itself. The build tag "ordinary" leaves all this out.

// Acceptors is how many threads wait for a listener's connections: one for each processor,
// and another so that one is there while the first is busy. With more than four the
// socket's own lock is what they wait for.
func Acceptors() int { return min(max(2, runtime.NumCPU()), 4) }

// accept takes connections until Shutdown.
func (s *Server) accept(l *Listener) error {
	var wg sync.WaitGroup
	errs := make([]error, Acceptors())
	for i := range errs {
		wg.Go(func() { errs[i] = newAcceptor(s).run(l) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// yieldEvery is after how many connections an acceptor asks the scheduler for its turn:
// more often than every 10 ms under load, when the runtime's monitor would begin to
// interrupt it, and stay awake for that.
const yieldEvery = 16

// acceptor is one of the threads.
type acceptor struct {
	server  *Server
	memory  Looker                // nil: nothing can be answered at once
	read    func([]byte) *Request // as Instant.Reader
	replies [Reject + 1][]byte
	buf     []byte // for a request, and one byte more
	rest    []byte // for what comes behind a reply
}

// quickRequest is how long a request may be to be answered at once, in bytes: as long as
// that of any Instant. One more is read, so that what follows the request is seen, here
// and by the front-end, which is given these first.
const quickRequest = 16 << 10

func newAcceptor(s *Server) *acceptor {
	a := &acceptor{server: s}
	frontend, ok := s.frontend.(Instant)
	memory, remembers := s.next.(Looker)
	if ok && remembers {
		a.memory, a.read = memory, frontend.Reader()
		a.buf, a.rest = make([]byte, quickRequest+1), make([]byte, 4<<10)
		for v := range a.replies {
			a.replies[v] = []byte(frontend.Reply(Verdict(v)))
		}
	}
	return a
}

func (a *acceptor) run(l *Listener) error {
	events, err := l.watch()
	if err != nil {
		return err
	}
	if events >= 0 {
		defer unix.Close(events)
	}
	var pause time.Duration
	for i := 0; ; i++ {
		if i%yieldEvery == 0 {
			runtime.Gosched()
		}
		fd, err := l.next(events)
		switch err {
		case nil:
			pause = 0
			a.serve(fd)
		case errStopped:
			return nil
		default:
			pause = a.server.trouble(err, pause)
		}
	}
}

// serve answers a connection, or has it answered the ordinary way.
func (a *acceptor) serve(fd int) {
	n := 0
	if a.memory != nil {
		n, _ = unix.Read(fd, a.buf) // an error comes again
	}
	if n <= 0 {
		a.server.admit(newClient(fd), nil)
		return
	}
	raw := a.buf[:n]
	defer clear(raw)
	if n <= quickRequest && a.server.allows(fd) && a.inPlace(fd, raw) {
		unix.Close(fd)
		return
	}
	a.server.admit(newClient(fd), append([]byte(nil), raw...))
}

// inPlace answers, if it can be done at once and the listener has a place.
func (a *acceptor) inPlace(fd int, raw []byte) (answered bool) {
	select {
	case a.server.slots <- struct{}{}:
		defer func() { <-a.server.slots }()
		return a.answer(fd, raw)
	default:
		return false
	}
}

// answer writes the reply to a request whose verdict is remembered, and sees to it that
// closing loses nothing.
func (a *acceptor) answer(fd int, raw []byte) (answered bool) {
	s := a.server
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("panic in a request", "stack", string(debug.Stack()), KeyErr, v)
		}
	}()
	var start time.Time
	logged := s.log.Enabled(context.Background(), slog.LevelDebug)
	if logged {
		start = time.Now()
	}
	req := a.read(raw)
	if req == nil {
		return false
	}
	verdict := a.memory.Look(req)
	if verdict == TempFail {
		return false
	}
	answered = true
	if n, err := unix.Write(fd, a.replies[verdict]); err != nil || n < len(a.replies[verdict]) {
		return true // the client is gone
	}
	a.hangUp(fd)
	if logged {
		(&Conn{server: s}).report(start, decision{
			authcid: strings.Clone(req.Authcid), authzid: strings.Clone(req.Authzid), // they were lent
			client: req.Client, session: strings.Clone(req.Session), trail: req.Trail,
		}, verdict, nil)
	}
	return true
}

// hangUp has the client find the end behind the reply. One that has not half-closed may
// still write: not after the shutdown, and what came before is taken out, for closing with
// bytes unread would reset the connection. To wait for its end instead would be a thread's
// or a goroutine's work, and under load there are soon more of these than connections.
func (a *acceptor) hangUp(fd int) {
	if n, err := unix.Read(fd, a.rest); n == 0 && err == nil {
		return
	}
	unix.Shutdown(fd, unix.SHUT_RDWR)
	for {
		if n, err := unix.Read(fd, a.rest); n <= 0 && err != unix.EINTR {
			return
		}
	}
}

// allows reports whether the user at the other end may be answered.
func (s *Server) allows(fd int) bool {
	if len(s.allow) == 0 {
		return true
	}
	uid, err := uidOf(fd)
	return err == nil && s.allow[uid]
}
