//go:build !linux

package tests

import "testing"

// ownRun needs Linux's mount namespaces.
func ownRun(t *testing.T) {
	t.Helper()
	missingPeer(t, "mount namespaces (Linux)")
}
