package guard

import (
	"time"

	"imapauthd/proto"
)

// Config is the [guard] table.
type Config struct {
	// Attempts is how many wrong passwords an account is given from one address
	// until that pair is blocked. 0: any number. Three or fewer block people who
	// mistype; whoever guesses needs thousands.
	Attempts int `toml:"attempts"`
	// Block is for how long the first time, more than nothing; it is doubled each
	// time it happens again. It is what the account's owner waits for who is at that
	// address with a password that was never accepted yet, so it begins short.
	Block proto.Duration `toml:"block"`
	// MaxBlock is for how long at most, not less than Block. It is also how long
	// wrong passwords are counted after the last of them, and how long after a
	// block's end the next one is the double of it.
	MaxBlock proto.Duration `toml:"max_block"`
}

// DefaultConfig guards nothing.
func DefaultConfig() Config {
	return Config{
		Block:    proto.Duration(time.Minute),
		MaxBlock: proto.Duration(time.Hour),
	}
}

// Validate returns a proto.KeyError for the first value that cannot work.
func (c *Config) Validate() error {
	if c.Attempts < 0 {
		return proto.BadKey("attempts", "must be at least 0 (0: nobody is blocked)")
	}
	if c.Block == 0 {
		return proto.BadKey("block", "must be more than 0s (attempts = 0: nobody is blocked)")
	}
	if c.MaxBlock < c.Block {
		block, _ := c.Block.MarshalText()
		return proto.BadKey("max_block", "must be at least block (%s)", block)
	}
	return nil
}
