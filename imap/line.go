package imap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Bounds on what a server may send before its verdict. The longest lines there
// are before a login are capability lists, about 1 KiB.
const (
	maxLine  = 8 << 10  // bytes in one line, CRLF included
	maxTotal = 64 << 10 // bytes from a greeting to the end of the preamble, and in one login
)

var (
	errLongLine = errors.New("the server sent a line over 8 KiB")
	errFlood    = errors.New("the server sent over 64 KiB without an answer")
)

// lineReader reads whole lines with bounds. It never holds back an error that the
// connection gave.
type lineReader struct {
	br    *bufio.Reader
	total int // bytes read since reset
}

// newLineReader returns a reader of r, whose buffer is the longest line.
func newLineReader(r io.Reader) *lineReader {
	return &lineReader{br: bufio.NewReaderSize(r, maxLine)}
}

// next returns the next line without its line end, valid until the next call. A
// half line before the end of the stream is dropped. A bare LF ends a line too:
// servers send it, and nothing here depends on the difference.
func (r *lineReader) next() ([]byte, error) {
	line, err := r.br.ReadSlice('\n')
	r.total += len(line)
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errLongLine
	case err != nil:
		return nil, err
	case r.total > maxTotal:
		return nil, errFlood
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil
}

// rest returns a copy of what was read from the connection and not yet returned.
func (r *lineReader) rest() []byte {
	if r.br.Buffered() == 0 {
		return nil
	}
	b, _ := r.br.Peek(r.br.Buffered())
	return append([]byte(nil), b...)
}

// ServerError is what a server said, fit for the log: cut, and without the
// password.
type ServerError struct {
	Type string // OK, NO, BAD or BYE
	Code string // upper case; empty: none; "?": not readable
	Text string
}

func (e *ServerError) Error() string {
	if e.Code != "" {
		return fmt.Sprintf("the server said %s [%s] %q", e.Type, e.Code, e.Text)
	}
	return fmt.Sprintf("the server said %s %q", e.Type, e.Text)
}
