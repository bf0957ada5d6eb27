package imap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	"go.uber.org/goleak"

	"imapauthd/proto"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(benchKind); kind != "" {
		if err := benchMain(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// dialogue is one file of testdata/dialogues: what a server says (S:) and must be
// told (C:) on each of its connections, and the verdict that comes of it.
//
//	# free text
//	login: ACCOUNT PASSWORD [AUTHZID]   ; Go-quoted where quotes stand
//	relay: MECHANISM [INITIAL]          ; in place of login; see relayed
//	config: KEY = VALUE                 ; optional, again for more; of [[server]]
//	rip: ADDRESS                        ; optional
//	budget: DURATION                    ; optional; 5s
//	want: VERDICT [TEXT]                ; TEXT stands in the error
//	not: TEXT                           ; TEXT stands nowhere in it
//	S: line | S "Go-quoted bytes, without a line end of their own"
//	C: line | C "Go-quoted bytes"
//	silence                             ; until the client hangs up
//	---                                 ; the next connection
//
// A connection ends with its lines. The LOGOUT that ends every answered login is
// not written down.
type dialogue struct {
	req         proto.Request
	budget      time.Duration
	want        string
	text, not   string
	connections [][]string
	config      string   // TOML
	relay       *relayed // nil: a login
}

func readDialogue(t *testing.T, file string) *dialogue {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := &dialogue{budget: 5 * time.Second, connections: [][]string{nil}}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		key, value, _ := strings.Cut(line, ": ")
		switch last := len(d.connections) - 1; {
		case line == "" || line[0] == '#':
		case line == "---":
			d.connections = append(d.connections, nil)
		case key == "login":
			words := make([]string, 3)
			for i := range words {
				words[i], value = word(value)
			}
			d.req.Authcid, d.req.Password, d.req.Authzid = words[0], proto.NewPassword(words[1]), words[2]
		case key == "config":
			d.config += value + "\n"
		case key == "relay" || d.relay != nil && d.relay.line(t, key, value):
			if key == "relay" {
				d.relay = newRelayed(value)
			}
		case key == "rip":
			d.req.Client = netip.AddrPortFrom(netip.MustParseAddr(value), 0)
		case key == "budget":
			d.budget, err = time.ParseDuration(value)
		case key == "want":
			d.want, d.text, _ = strings.Cut(value, " ")
		case key == "not":
			d.not = value
		default:
			d.connections[last] = append(d.connections[last], line)
		}
	}
	if err != nil || d.want == "" {
		t.Fatalf("%s: %v", file, err)
	}
	if d.relay != nil && len(d.connections[0]) == 0 {
		d.connections = nil // nobody is asked
	}
	return d
}

// word takes one word, or one Go-quoted string, off s.
func word(s string) (first, rest string) {
	if q, err := strconv.QuotedPrefix(s); err == nil {
		first, _ = strconv.Unquote(q)
		return first, strings.TrimPrefix(s[len(q):], " ")
	}
	first, rest, _ = strings.Cut(s, " ")
	return first, rest
}

// bytesOf returns what a line of the file stands for.
func bytesOf(line string) (string, error) {
	if line[1] == ':' {
		return strings.TrimPrefix(line[2:], " ") + "\r\n", nil
	}
	return strconv.Unquote(strings.TrimSpace(line[1:]))
}

// play is the server's side of one connection.
func play(c net.Conn, lines []string) error {
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(c)
	for _, line := range lines {
		if line == "silence" {
			io.Copy(io.Discard, in)
			return nil
		}
		text, err := bytesOf(line)
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		if line[0] == 'S' {
			if _, err := io.WriteString(c, text); err != nil {
				return nil // hung up on us, which the verdict shows
			}
			continue
		}
		got := make([]byte, len(text))
		n, err := io.ReadFull(in, got)
		if string(got) != text {
			return fmt.Errorf("got %q want %q (%v)", got[:n], text, err)
		}
	}
	// Whoever closes with unread bytes resets the connection.
	c.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, in)
	return nil
}

func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/dialogues/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			readDialogue(t, file).run(t)
		})
	}
}

func (d *dialogue) run(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	played := make(chan error, 1)
	go func() {
		played <- func() error {
			for _, lines := range d.connections {
				c, err := l.Accept()
				if err != nil {
					return errors.New("a connection was not made")
				}
				if err := play(c, lines); err != nil {
					return err
				}
			}
			return nil
		}()
		l.Close() // one connection more is refused
	}()
	router := newRouter(t, "imap://"+l.Addr().String(), func(c *Config) {
		if err := toml.Unmarshal([]byte(d.config), c); err != nil {
			t.Fatal(err)
		}
	})
	ctx, cancel := context.WithTimeoutCause(t.Context(), d.budget, proto.ErrDeadline)
	defer cancel()
	verdict, verr := d.ask(ctx, t, router)
	l.Close()
	router.Close()
	if err := <-played; err != nil {
		t.Error(err)
	}
	if verdict.String() != d.want {
		t.Errorf("got %v (%v) want %v", verdict, verr, d.want)
	}
	text := fmt.Sprint(verr)
	if !strings.Contains(text, d.text) {
		t.Errorf("the error is %q want %q in it", text, d.text)
	}
	if d.not != "" && strings.Contains(text, d.not) {
		t.Errorf("the error shows %q: %q", d.not, text)
	}
}

// ask asks what the dialogue is about.
func (d *dialogue) ask(ctx context.Context, t *testing.T, r *Router) (proto.Verdict, error) {
	if d.relay != nil {
		return d.relay.run(ctx, t, r, d)
	}
	return r.Authenticate(ctx, &d.req)
}

// newRouter returns a router with one server.
func newRouter(t testing.TB, url string, change func(*Config)) *Router {
	t.Helper()
	cfg := DefaultConfig()
	u, err := ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.URL = []URL{u}
	if change != nil {
		change(&cfg)
	}
	r, err := NewRouter([]Config{cfg}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r
}
