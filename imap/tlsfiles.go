package imap

import (
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"

	"imapauthd/proto"
)

// tlsSource gives the TLS for the connections to one URL. It looks at
// the files at each dial, so that a renewed certificate needs no restart.
type tlsSource struct {
	cfg *Config
	who identity
	log *slog.Logger

	mu      sync.Mutex
	current *clientTLS     // protects all below; nil: there was none yet
	seen    [3]fs.FileInfo // of the files as they were last read; nil: not there
	err     error          // why they could not be used then
}

// config returns it. Files that changed are read again, and sessions
// that the old ones vouched for are forgotten. What cannot be used, a file half
// written or not readable among them, leaves the old in force and is tried again
// at the next dial.
func (s *tlsSource) config() (*clientTLS, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.look()
	if s.current != nil && s.err == nil && slices.EqualFunc(now[:], s.seen[:], unchanged) {
		return s.current, nil
	}
	fresh, err := s.cfg.clientTLS(s.who)
	switch {
	case s.current == nil:
	case err != nil && (s.err == nil || err.Error() != s.err.Error()):
		s.log.Warn("certificate files changed and cannot be used, the old ones stay in force", proto.KeyErr, err)
	case err == nil:
		s.log.Info("certificate files read again")
	}
	s.seen, s.err = now, err
	if err == nil {
		s.current = fresh
	}
	if s.current == nil {
		return nil, err
	}
	return s.current, nil
}

// look returns what the files are now.
func (s *tlsSource) look() (files [3]fs.FileInfo) {
	for i, name := range []string{s.cfg.CAFile, s.cfg.ClientCert, s.cfg.ClientKey} {
		if name != "" {
			files[i], _ = os.Stat(name)
		}
	}
	return files
}

// unchanged reports whether a file is the one that was read.
func unchanged(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
