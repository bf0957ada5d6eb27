//go:build unix && !linux

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// disableCoreDumps sees to it that no core dump is written of a process whose
// memory holds passwords: they are to be in no file.
func disableCoreDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("core dumps off: setrlimit: %w", err)
	}
	return nil
}
