package main

import (
	"errors"
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

// cramped is a disk with room for so many bytes.
type cramped struct {
	room int
	text strings.Builder
}

func (c *cramped) Write(p []byte) (int, error) {
	n := min(len(p), c.room)
	c.room -= n
	c.text.Write(p[:n])
	if n < len(p) {
		return n, errors.New("no room")
	}
	return n, nil
}

// What a full disk has cut is ended before the next line, and what is lost is counted.
func TestLogQueueTorn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &cramped{room: 10}
		q := newLogQueue(disk)
		defer q.close()
		for _, step := range []struct {
			more       int // room, in bytes
			line, want string
		}{
			{0, "first\n", "first\n"},
			{0, "second\n", "first\nseco"},
			{0, "third\n", "first\nseco"},
			{1, "fourth\n", "first\nseco\n"}, // the line's end and no more
			{0, "fifth\n", "first\nseco\n"},
			{100, "sixth\n", "first\nseco\nsixth\nimapauthd: 4 log lines were lost: no room\n"},
			{0, "seventh\n", "first\nseco\nsixth\nimapauthd: 4 log lines were lost: no room\nseventh\n"},
		} {
			disk.room += step.more
			fmt.Fprint(q, step.line)
			synctest.Wait()
			if got := disk.text.String(); got != step.want {
				t.Errorf("%q: got %q, want %q", step.line, got, step.want)
			}
		}
	})
}
