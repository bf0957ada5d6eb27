package main

import (
	"fmt"
	"time"

	"imapauthd/cache"
	"imapauthd/imap"
	"imapauthd/proto"
)

// defaultFile is read where no file is named, if it is there. Packagers move it
// with -ldflags "-X main.defaultFile=/usr/local/etc/imapauthd.toml".
var defaultFile = "/etc/imapauthd.toml"

// protocols are the front-ends that "serve" can start.
var protocols = []string{"readsocket"}

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
	Cache   cacheConfig          `toml:"cache"`
	Log     logConfig            `toml:"log"`
	Metrics metricsConfig        `toml:"metrics"`
	Control controlConfig        `toml:"control"`
}

// cacheConfig is the [cache] table, with the keys of later versions.
type cacheConfig struct {
	cache.Config
	// Grace is how long past PositiveTTL an entry is believed while its server
	// cannot be reached. Only 0s, for now.
	Grace proto.Duration `toml:"grace"`
}

// Validate returns a proto.KeyError for the first value that cannot work.
func (c *cacheConfig) Validate() error {
	if c.Grace != 0 {
		return proto.BadKey("grace", `is not supported by this version (leave it "0s")`)
	}
	return c.Config.Validate()
}

// metricsConfig is the [metrics] table.
type metricsConfig struct {
	// Listen is the address of the metrics' HTTP server. Only "", none, for now.
	Listen string `toml:"listen"`
}

// Validate returns a proto.KeyError for the first value that cannot work.
func (c *metricsConfig) Validate() error {
	if c.Listen != "" {
		return proto.BadKey("listen", `is not supported by this version (leave it "")`)
	}
	return nil
}

// controlConfig is the [control] table.
type controlConfig struct {
	// Socket is the path of the control socket. Only "" for now.
	Socket string `toml:"socket"`
	// Mode is the control socket's mode.
	Mode proto.Mode `toml:"mode"`
}

// Validate returns a proto.KeyError for the first value that cannot work.
func (c *controlConfig) Validate() error {
	if c.Socket != "" {
		return proto.BadKey("socket", `is not supported by this version (leave it "")`)
	}
	return nil
}

// defaultConfig is the configuration of a daemon that was told nothing.
func defaultConfig() *config {
	return &config{
		Timeout:      proto.Duration(9 * time.Second),
		LoginTimeout: proto.Duration(30 * time.Second),
		MaxPassword:  1024, // bytes; RFC 9051 lets a server stop at 8192 a line
		Listen:       []proto.ListenConfig{proto.DefaultListen()},
		Server:       []imap.Config{imap.DefaultConfig()},
		Cache:        cacheConfig{Config: cache.DefaultConfig()},
		Log:          logConfig{Level: "info", Format: "auto"},
		Control:      controlConfig{Mode: 0o600},
	}
}

// configCmd checks a file.
type configCmd struct {
	fileFlag
}

// Run prints the effective configuration, or what is wrong with the file.
func (c *configCmd) Run(std *streams) error {
	cfg, err := loadConfig(c.File, nil)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(std.out, cfg)
	return err
}
