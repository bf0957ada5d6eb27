//go:build !linux

package imap

import "syscall"

// setUserTimeout has nothing to set here: a warm connection that was forgotten on
// the way costs its login the whole budget.
func setUserTimeout(string, string, syscall.RawConn) error { return nil }
