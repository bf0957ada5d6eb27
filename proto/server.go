package proto

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// Frontend speaks one protocol with the mail server at the other end.
//
// Serve answers one connection and returns; the Server closes it afterwards. ctx
// ends when the daemon cuts its drain short. Serve gives its TempFail properly
// whatever happens, for the lack of a reply can mean "wrong password" to the
// mail server.
type Frontend interface {
	Serve(ctx context.Context, c *Conn)
}

const (
	// refusalBudget is what a connection past the cap gets to send its request, which
	// is there already, as a rule, and does not change the answer.
	refusalBudget = 100 * time.Millisecond
	// refusals is how many connections past the cap are answered at one time;
	// more wait in the kernel's queue, for lingerTime or so.
	refusals = 1024
	// drainPause is the pause after an error of accept while the Server drains: short, for
	// the end waits for it, and long enough to cost nothing.
	drainPause = 20 * time.Millisecond
	// strangers is how many connections of users who are not in allow are answered
	// at one time; more are closed at once, so that nobody waits for them.
	strangers = 64
)

// socketConn is a connection as the system gives it.
type socketConn interface {
	net.Conn
	syscall.Conn
}

// Server accepts connections on listeners of one kind and gives each to the
// front-end, with the limits that all front-ends share.
type Server struct {
	protocol string
	frontend Frontend
	next     Authenticator

	timeout time.Duration
	allow   map[uint32]bool // empty: everybody
	log     *slog.Logger

	slots, refused, strangers chan struct{}
	ctx                       context.Context // ends when the drain is cut
	cut                       context.CancelCauseFunc
	draining                  context.Context // ends when Shutdown begins
	drain                     context.CancelFunc
	wg                        sync.WaitGroup // the accept loops and the connections
	limited                   Limited

	mu      sync.Mutex
	closing bool // protects the fields below
	open    map[*Listener]bool
}

// NewServer returns a Server for the listener that cfg describes. A request may
// take timeout, from its first byte to its verdict.
func NewServer(cfg *ListenConfig, frontend Frontend, next Authenticator, timeout time.Duration, log *slog.Logger) (*Server, error) {
	allow, err := lookupUsers(cfg.Allow)
	if err != nil {
		return nil, err
	}
	s := &Server{
		protocol:  cfg.Protocol,
		frontend:  frontend,
		next:      next,
		timeout:   timeout,
		allow:     allow,
		log:       log.With(KeyFrontend, cfg.Protocol),
		slots:     make(chan struct{}, cfg.MaxConnections),
		refused:   make(chan struct{}, refusals),
		strangers: make(chan struct{}, strangers),
		open:      make(map[*Listener]bool),
	}
	s.ctx, s.cut = context.WithCancelCause(context.Background())
	s.draining, s.drain = context.WithCancel(context.Background())
	return s, nil
}

// Serve accepts until Shutdown, and then returns nil. An error of accept (no
// descriptors left, say) is logged and waited out, never fatal.
func (s *Server) Serve(l *Listener) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return l.Close()
	}
	s.open[l] = true
	s.wg.Add(1) // so that the count is not zero while connections may be added
	s.mu.Unlock()
	defer s.wg.Done()
	defer l.Close()
	return s.accept(l)
}

// trouble logs an error of accept and waits: what is missing (descriptors, as a rule)
// comes back by itself. pause is how long the wait before was, if that failed too.
func (s *Server) trouble(err error, pause time.Duration) time.Duration {
	s.limited.Log(s.log, slog.LevelError, "accept", "cannot accept connections", slog.Any(KeyErr, err))
	pause = min(max(2*pause, 5*time.Millisecond), time.Second)
	hurry := s.draining.Done()
	if s.draining.Err() != nil {
		pause, hurry = drainPause, nil // the queue is waited for, cut or not
	}
	select {
	case <-time.After(pause):
	case <-hurry:
	}
	return pause
}

// admit decides who answers: the authenticators, or a refusal in the front-end's
// own words, for a stranger or past the cap. A stranger never takes a place, nor the
// accept loop's time. early is what has been read already.
func (s *Server) admit(c socketConn, early []byte) {
	conn := &Conn{Conn: c, early: early, server: s, next: s.next, budget: s.timeout}
	lane := s.slots
	if s.isStranger(c) {
		conn.refuse(ErrDenied)
		lane = s.strangers
		select {
		case lane <- struct{}{}:
		default:
			c.Close()
			return
		}
	} else {
		select {
		case lane <- struct{}{}:
		default:
			select {
			case lane <- struct{}{}:
			case s.refused <- struct{}{}:
				conn.refuse(ErrBusy)
				lane = s.refused
			}
		}
	}
	s.wg.Go(func() {
		defer func() { <-lane }()
		s.serve(conn)
	})
}

// isStranger reports whether the user at the other end is not in allow.
func (s *Server) isStranger(c syscall.Conn) bool {
	if len(s.allow) == 0 {
		return false
	}
	uid, err := peerUID(c)
	if err == nil && s.allow[uid] {
		return false
	}
	s.limited.Log(s.log, slog.LevelWarn, "allow", "a local user who is not in allow asked", slog.Any("uid", uid))
	return true
}

// serve runs the front-end on one connection. A panic ends this one only.
func (s *Server) serve(c *Conn) {
	defer c.Close()
	c.Guard(func() { s.frontend.Serve(s.ctx, c) })
}

// Shutdown hides the socket, takes what was queued, waits for the connections
// until ctx ends, then cuts the rest, which answer TempFail. It returns ctx's
// error if it had to cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.open {
		l.unlink()
		l.stop()
	}
	s.mu.Unlock()
	s.drain()

	drained := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(drained)
	}()
	select {
	case <-drained:
		s.cut(ErrShutdown)
		return nil
	case <-ctx.Done():
		s.cut(ErrShutdown)
		<-drained // each is bounded by its deadlines, see Conn
		return ctx.Err()
	}
}
