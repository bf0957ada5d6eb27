package main

import (
	"fmt"
	"time"

	"imapauthd/cache"
	"imapauthd/cache/guard"
	"imapauthd/imap"
	"imapauthd/proto"
)

// defaultFile is read where no file is named, if it is there. Packagers move it
// with -ldflags "-X main.defaultFile=/usr/local/etc/imapauthd.toml".
var defaultFile = "/etc/imapauthd.toml"

// protocols are the front-ends that "serve" can start.
var protocols = []string{"readsocket", "saslauthd", "dovecot"}

// config is the whole configuration, in the order of the file. Each table is
// described where its room is.
type config struct {
	// Timeout is what a caller waits at most. Exim gives its condition 10 s.
	Timeout proto.Duration `toml:"timeout"`
	// LoginTimeout is what a login may take, after its callers were answered:
	// Dovecot delays a wrong password by up to 17 s.
	LoginTimeout proto.Duration `toml:"login_timeout"`
	// MaxPassword bounds a password, in bytes; a longer one is Reject.
	MaxPassword int `toml:"max_password"`

	Listen  []proto.ListenConfig `toml:"listen"`
	Server  []imap.Config        `toml:"server"`
	Cache   cache.Config         `toml:"cache"`
	Guard   guard.Config         `toml:"guard"`
	Log     logConfig            `toml:"log"`
	Metrics metricsConfig        `toml:"metrics"`
	Control controlConfig        `toml:"control"`
}

// metricsConfig is the [metrics] table.
type metricsConfig struct {
	// Listen is the address of the metrics' HTTP server; empty: none. No effect
	// yet, see warnings.
	Listen string `toml:"listen"`
}

// controlConfig is the [control] table.
type controlConfig struct {
	// Socket is the path of the control socket. No effect yet, see warnings.
	Socket string `toml:"socket"`
	// Mode is the control socket's mode.
	Mode proto.Mode `toml:"mode"`
}

// warnings names what the file asks for and does not get: what this version does not
// have, and a guard that lacks an address or a memory. Such a key makes nothing unsafe by being
// left out, so it does not keep the daemon from starting.
func (c *config) warnings() []string {
	var w []string
	if c.Metrics.Listen != "" {
		w = append(w, "metrics.listen has no effect in this version: there are no metrics")
	}
	if c.Control.Socket != "" {
		w = append(w, "control.socket has no effect in this version: there is no control socket")
	}
	if c.Guard.Attempts > 0 && c.Cache.PositiveTTL == 0 {
		w = append(w, "guard refuses passwords that were accepted before, too: with cache.positive_ttl = \"0s\" none is remembered")
	}
	for _, l := range c.Listen {
		if c.Guard.Attempts > 0 && l.Protocol == "saslauthd" {
			w = append(w, "guard has no effect at "+l.Socket+": saslauthd's clients tell no mail client's address")
		}
	}
	return w
}

// defaultConfig is the configuration of a daemon that was told nothing.
func defaultConfig() *config {
	return &config{
		Timeout:      proto.Duration(9 * time.Second),
		LoginTimeout: proto.Duration(30 * time.Second),
		MaxPassword:  1024, // bytes; RFC 9051 lets a server stop at 8192 a line
		Listen:       []proto.ListenConfig{proto.DefaultListen("readsocket")},
		Server:       []imap.Config{imap.DefaultConfig()},
		Cache:        cache.DefaultConfig(),
		Guard:        guard.DefaultConfig(),
		Log:          logConfig{Level: "info", Format: "auto"},
		Control:      controlConfig{Mode: 0o600},
	}
}

// configCmd checks a file.
type configCmd struct {
	fileFlag
}

// Run prints the effective configuration, and warnings on standard error, or what
// is wrong with the file.
func (c *configCmd) Run(std *streams) error {
	cfg, err := loadConfig(c.File, nil)
	if err != nil {
		return err
	}
	for _, w := range cfg.warnings() {
		fmt.Fprintln(std.err, "warning:", w)
	}
	_, err = fmt.Fprint(std.out, cfg)
	return err
}
