package tests

import (
	"fmt"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// ownRun gives the test, and all that it starts from then on, a /run of its own, an
// empty folder: the path of saslauthd's socket is compiled into Exim. It is the thread
// that moves into a mount namespace, so the test keeps it, and it ends with the test.
// Call expectUnmounted for /run before, from a test around this one.
func ownRun(t *testing.T) {
	t.Helper()
	if path, err := filepath.EvalSymlinks("/var/run"); path != "/run" {
		missingPeer(t, fmt.Sprintf("a system whose /var/run is /run (%q, %v)", path, err))
	}
	dir := shortDir(t)
	runtime.LockOSThread()
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		missingPeer(t, fmt.Sprintf("mount namespaces (%v)", err))
	}
	// A chroot whose / is no mount point cannot change this; where it can be
	// changed, nothing that follows may reach the machine.
	syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	if err := syscall.Mount(dir, "/run", "", syscall.MS_BIND, ""); err != nil {
		missingPeer(t, fmt.Sprintf("a /run that can be mounted over (%v)", err))
	}
}
