package proto

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestTrouble: an error of accept is waited out, more patiently each time; a drain ends
// that, and has a pace of its own, which is one also when it is cut.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultListen("readsocket")
		s, err := NewServer(&cfg, lineFrontend{}, AuthenticatorFunc(echo), time.Minute, discard)
		if err != nil {
			t.Fatal(err)
		}
		var pause time.Duration
		trouble := func(want time.Duration) {
			t.Helper()
			start := time.Now()
			pause = s.trouble(syscall.EMFILE, pause)
			if took := time.Since(start); took != want {
				t.Errorf("took %v want %v", took, want)
			}
		}
		for _, ms := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
			trouble(ms * time.Millisecond)
		}
		time.AfterFunc(300*time.Millisecond, s.drain)
		trouble(300 * time.Millisecond)
		trouble(drainPause)
		trouble(drainPause)
		s.cut(ErrShutdown)
		trouble(drainPause)
	})
}
