package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// disableCoreDumps sees to it that no core dump is written of a process whose
// memory holds passwords: they are to be in no file (and the cache's key, which
// would let its entries be guessed, neither).
//
// It takes both ways of saying so. RLIMIT_CORE is ignored where
// /proc/sys/kernel/core_pattern is a pipe (core(5)), as it is with
// systemd-coredump and apport. PR_SET_DUMPABLE covers that, and keeps other
// processes of the same user from attaching (ptrace(2)), but a program that is
// executed later starts dumpable again; the limit is inherited.
func disableCoreDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("core dumps off: setrlimit: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("core dumps off: prctl: %w", err)
	}
	return nil
}
