package imap

import (
	"crypto/tls"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"

	"imapauthd/proto"
)

// tlsSource gives the TLS configuration for the connections to one URL. It looks at
// the files at each dial, so that a renewed certificate needs no restart.
type tlsSource struct {
	cfg *Config
	who identity
	log *slog.Logger

	mu      sync.Mutex
	current *tls.Config    // protects all below
	seen    [3]fs.FileInfo // of the files as they were last read; nil: not there
}

// newTLSSource reads the files once.
func newTLSSource(cfg *Config, who identity, log *slog.Logger) (*tlsSource, error) {
	s := &tlsSource{cfg: cfg, who: who, log: log}
	s.seen = s.look()
	var err error
	s.current, err = cfg.tlsConfig(who)
	return s, err
}

// config returns the configuration. Files that changed are read again, and sessions
// that the old ones vouched for are forgotten. What cannot be read, a file half
// written among them, leaves the old in force, and is looked at again when it
// changes.
func (s *tlsSource) config() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.look()
	if slices.EqualFunc(now[:], s.seen[:], unchanged) {
		return s.current
	}
	s.seen = now
	fresh, err := s.cfg.tlsConfig(s.who)
	if err != nil {
		s.log.Warn("certificate files changed and cannot be used, the old ones stay in force", proto.KeyErr, err)
		return s.current
	}
	s.log.Info("certificate files read again")
	s.current = fresh
	return s.current
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
