package dovecot

import (
	"bytes"
	"errors"
	"io"
)

const (
	// maxLine is the longest line of a client in bytes, its LF included:
	// AUTH_CLIENT_MAX_LINE_LENGTH in Dovecot 2.3. A response in SMTP has 12 KiB
	// (RFC 4954 §4).
	maxLine = 16 << 10
	// usualLine has room for all but long tokens; an idle connection keeps as much.
	usualLine = 2 << 10
	// maxHead is what is left of a line that is too long, to know whose it was.
	maxHead = 64
)

// errTooLong is of a line that was too long, and has been read to its end.
var errTooLong = errors.New("a line is longer than 16 KiB")

// lines takes lines off a stream and wipes what it returned, for there are passwords in
// it.
type lines struct {
	r          io.Reader
	arm        func(begun bool) // called before each Read; begun: within a line
	buf        []byte           // buf[start:end] has been read and not been returned
	start, end int
	returned   []byte
}

// next returns the next line without its end. It is valid until the next call. With
// errTooLong it is the first bytes of that line.
func (l *lines) next() ([]byte, error) {
	clear(l.returned)
	l.returned = nil
	if l.start == l.end && len(l.buf) > usualLine {
		l.buf, l.start, l.end = nil, 0, 0
	}
	var head []byte // of a line that is too long
	for searched := 0; ; {
		if i := bytes.IndexByte(l.buf[l.start+searched:l.end], '\n'); i >= 0 {
			l.returned = l.buf[l.start : l.start+searched+i]
			l.start += searched + i + 1
			if head != nil {
				return head, errTooLong
			}
			return bytes.TrimSuffix(l.returned, []byte("\r")), nil
		}
		searched = l.end - l.start
		if searched == maxLine {
			if head == nil {
				head = bytes.Clone(l.buf[:maxHead])
			}
			clear(l.buf)
			l.start, l.end, searched = 0, 0, 0
		}
		l.makeRoom()
		l.arm(l.end > 0 || head != nil)
		n, err := l.r.Read(l.buf[l.end:])
		l.end += n
		if n == 0 && err != nil {
			return nil, err
		}
	}
}

// makeRoom makes the buffer end behind what has not been returned.
func (l *lines) makeRoom() {
	if l.start > 0 {
		n := copy(l.buf, l.buf[l.start:l.end])
		clear(l.buf[n:l.end])
		l.start, l.end = 0, n
	}
	if l.end < len(l.buf) {
		return
	}
	grown := make([]byte, min(max(2*len(l.buf), usualLine), maxLine))
	copy(grown, l.buf[:l.end])
	clear(l.buf)
	l.buf = grown
}

// escapes are the bytes that a field cannot hold, and what stands for them behind 0x01
// (src/lib/strescape.c).
const (
	escape   = 0x01
	escaped  = "\x00\x01\t\r\n"
	escapees = "01trn"
)

// appendEscaped appends a field's text to a line.
func appendEscaped(line []byte, text string) []byte {
	for i := range len(text) {
		if k := bytes.IndexByte([]byte(escaped), text[i]); k >= 0 {
			line = append(line, escape, escapees[k])
		} else {
			line = append(line, text[i])
		}
	}
	return line
}

// unescape returns a field's text. Behind 0x01 any other letter stands for itself, and
// nothing for nothing, as in Dovecot.
func unescape(field []byte) string {
	if bytes.IndexByte(field, escape) < 0 {
		return string(field)
	}
	text := make([]byte, 0, len(field))
	for i := 0; i < len(field); i++ {
		c := field[i]
		if c == escape {
			if i++; i == len(field) {
				break
			}
			c = field[i]
			if k := bytes.IndexByte([]byte(escapees), c); k >= 0 {
				c = escaped[k]
			}
		}
		text = append(text, c)
	}
	return string(text)
}
