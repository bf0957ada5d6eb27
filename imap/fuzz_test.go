package imap

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imapauthd/proto"
)

// canned is a connection whose server says its text and closes, whatever it is
// told. What it was told is kept.
type canned struct {
	in     io.Reader
	told   strings.Builder
	closed atomic.Bool // the library closes from two goroutines
}

func (c *canned) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *canned) Write(p []byte) (int, error)      { return c.told.Write(p) }
func (c *canned) Close() error                     { c.closed.Store(true); return nil }
func (c *canned) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (c *canned) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

// addServerLines seeds a fuzzer with what the servers of the dialogues say.
func addServerLines(f *testing.F, add func(text string)) {
	files, _ := filepath.Glob("testdata/dialogues/*.txt")
	for _, file := range files {
		d := readDialogue(new(testing.T), file)
		if d.connections == nil {
			continue
		}
		var said strings.Builder
		for _, line := range d.connections[0] {
			if line[0] == 'S' {
				text, _ := bytesOf(line)
				said.WriteString(text)
			}
		}
		if said.Len() < 4096 {
			add(said.String())
		}
	}
}

// FuzzPreamble: whatever a server says, the preamble ends, tells no password, and
// leaves a connection open only if it is usable.
func FuzzPreamble(f *testing.F) {
	addServerLines(f, func(text string) { f.Add(text) })
	tc := newClientTLS(&tls.Config{ServerName: "x"})
	f.Fuzz(func(t *testing.T, text string) {
		c := &canned{in: strings.NewReader(text)}
		w, err := preamble(context.Background(), c, URL{Scheme: "imap"}, false, tc)
		if err != nil {
			if !c.closed.Load() {
				t.Error("left open")
			}
			return
		}
		if c.closed.Load() || w.caps == nil || strings.Contains(strings.ToUpper(firstLine(text)), "PREAUTH ") && !strings.Contains(strings.ToUpper(firstLine(text)), "OK") {
			t.Errorf("usable after %q", text)
		}
		if told := c.told.String(); told != "" && told != "a CAPABILITY\r\n" {
			t.Errorf("told %q", told)
		}
	})
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// FuzzGuard: whatever a server says to a login, the login ends, there is an OK
// only where a whole line says so under the login's tag, the password is in no
// error, and an unanswered connection is closed.
func FuzzGuard(f *testing.F) {
	addServerLines(f, func(text string) {
		for mode := range byte(4) {
			f.Add(text, mode)
		}
	})
	f.Add("I1 OK\r\nT1 OK [CAPABILITY\r\n", byte(2))
	f.Fuzz(func(t *testing.T, text string, mode byte) {
		const secret = "gr\u00fc\u00df\r\nGott"
		c := &canned{in: strings.NewReader(text)}
		w := &warmConn{raw: c, base: c, offer: offer{caps: caps{"ID": mode&2 != 0}}}
		if mode&1 != 0 {
			w.caps["AUTH=PLAIN"], w.caps["SASL-IR"] = true, mode&2 != 0
		}
		cred := &credentials{authcid: "alice", password: proto.NewPassword(secret), id: []byte("I1 ID NIL\r\n")}
		answer, err := w.login(context.Background(), cred)
		if err != nil {
			if !c.closed.Load() {
				t.Error("left open")
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the password: %v", err)
			}
			return
		}
		if strings.Contains(answer.shown.Error(), secret) {
			t.Error("the answer shows the password")
		}
		if answer.typ != "OK" {
			return
		}
		said := false
		for line := range strings.Lines(text) {
			words := strings.Fields(line)
			said = said || strings.HasSuffix(line, "\n") && len(words) >= 2 && words[0] == "T1" && strings.EqualFold(words[1], "OK")
		}
		if !said {
			t.Errorf("OK out of %q", text)
		}
		if !strings.Contains(c.told.String(), "T1 ") || mode&1 == 0 && !strings.Contains(c.told.String(), secret) {
			t.Errorf("OK before the credentials were told: %q", c.told.String())
		}
	})
}
