package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// logQueueLines is how many lines wait for a slow reader of the log: some
	// seconds of a busy relay, about 1 MiB; 8 MiB of the longest lines there are.
	logQueueLines = 4096
	// logFlushTime bounds the wait for them when the daemon ends.
	logFlushTime = time.Second
)

// logQueue is a writer that never waits: a log that nobody reads (a stopped
// terminal, a stuck logger) must not keep a mail client from its answer. Lines
// that find no room are dropped and counted, and the count is written when there
// is room again. Each Write is one line, as slog's handlers make it.
type logQueue struct {
	w     io.Writer
	lines chan []byte
	done  chan struct{} // closed when the queue is closed and written out
	torn  bool          // what was written last is no whole line; run's own

	mu      sync.Mutex
	dropped int // protects this and closed
	closed  bool
}

// newLogQueue starts the goroutine that writes to w; close ends it.
func newLogQueue(w io.Writer) *logQueue {
	q := &logQueue{w: w, lines: make(chan []byte, logQueueLines), done: make(chan struct{})}
	go q.run()
	return q
}

// run writes out what is queued.
func (q *logQueue) run() {
	defer close(q.done)
	lost, cause := 0, error(nil)
	for line := range q.lines {
		if err := q.put(line); err != nil {
			lost, cause = lost+1, err
			continue
		}
		if lost > 0 && q.put(fmt.Appendf(nil, "imapauthd: %d log lines were lost: %v\n", lost, cause)) == nil {
			lost = 0
		}
		if n := q.takeDropped(); n > 0 {
			q.put(fmt.Appendf(nil, "imapauthd: %d log lines were dropped, for nobody read them in time\n", n))
		}
	}
}

// put writes one line. What there was room for of an earlier one is ended first, lest
// the two be taken for one.
func (q *logQueue) put(line []byte) error {
	if q.torn {
		line = append([]byte("\n"), line...)
	}
	n, err := q.w.Write(line)
	if n > 0 {
		q.torn = line[n-1] != '\n'
	}
	return err
}

// Write queues a copy of line, or drops it.
func (q *logQueue) Write(line []byte) (int, error) {
	own := append([]byte(nil), line...)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return len(line), nil
	}
	select {
	case q.lines <- own:
	default:
		q.dropped++
	}
	return len(line), nil
}

func (q *logQueue) takeDropped() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.dropped
	q.dropped = 0
	return n
}

// close writes out what waits, for logFlushTime at most. What is logged afterwards
// is lost.
func (q *logQueue) close() {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.lines)
	}
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(logFlushTime):
	}
}
