package cache

import (
	"errors"
	"time"

	"imapauthd/proto"
)

// Config is the [cache] table.
type Config struct {
	// PositiveTTL is how long an Accept is believed. "0s": never.
	PositiveTTL proto.Duration `toml:"positive_ttl"`
	// NegativeTTL is how long a Reject is believed. "0s": never.
	NegativeTTL proto.Duration `toml:"negative_ttl"`
	// Accounts bounds the accounts remembered in the positive cache, so that memory
	// has a bound; past it the least recently used goes. An account takes 170 to 210
	// bytes of heap, and 32 for each password after the first, of which it has at
	// most 8. So the default is 20 MB when full and never over 45, and a million is
	// 200 MB; before a collection of garbage the heap is up to twice that. Nothing is
	// taken before it is needed.
	Accounts int `toml:"accounts"`
	// NegativeAccounts bounds the accounts remembered in the negative one, at the
	// same price. Anybody can make up names, so expect it to be full.
	NegativeAccounts int `toml:"negative_accounts"`
	// Grace is how long past PositiveTTL an Accept is believed at most, while no URL of
	// its server can be reached. "0s": not at all.
	Grace proto.Duration `toml:"grace"`
}

// DefaultConfig is what a daemon that was told nothing remembers.
func DefaultConfig() Config {
	return Config{
		PositiveTTL:      proto.Duration(10 * time.Minute),
		NegativeTTL:      proto.Duration(time.Minute),
		Accounts:         100_000,
		NegativeAccounts: 100_000,
	}
}

// Validate returns a proto.KeyError for the first value that cannot work.
func (c *Config) Validate() error {
	if c.Accounts < 1 {
		return &proto.KeyError{Key: "accounts", Err: errors.New("must be at least 1")}
	}
	if c.NegativeAccounts < 1 {
		return &proto.KeyError{Key: "negative_accounts", Err: errors.New("must be at least 1")}
	}
	return nil
}
