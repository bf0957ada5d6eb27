package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stuckWriter takes nothing until it is opened.
type stuckWriter struct {
	open chan struct{}
	mu   sync.Mutex
	b    strings.Builder
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	<-w.open
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

// A log that nobody reads holds nobody up, and says afterwards what it lost.
func TestLogQueueDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stuckWriter{open: make(chan struct{})}
		q := newLogQueue(w)
		fmt.Fprintln(q, "first")
		synctest.Wait() // it is being written
		const extra = 10
		for range logQueueLines + extra {
			fmt.Fprintln(q, "line")
		}
		close(w.open)
		q.close()
		lines := strings.Split(strings.TrimSpace(w.b.String()), "\n")
		if len(lines) != logQueueLines+2 || lines[0] != "first" || !strings.Contains(lines[1], "10 log lines were dropped") {
			t.Errorf("got %d lines: %.200q", len(lines), w.b.String())
		}
		fmt.Fprintln(q, "too late")
	})
}

// The end does not wait for a reader that never comes.
func TestLogQueueCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stuckWriter{open: make(chan struct{})}
		q := newLogQueue(w)
		fmt.Fprintln(q, "line")
		start := time.Now()
		q.close()
		if took := time.Since(start); took != logFlushTime {
			t.Errorf("took %v", took)
		}
		close(w.open)
	})
}
