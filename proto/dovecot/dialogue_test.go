package dovecot

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapauthd/proto/prototest"
)

// dialogue is one file of testdata/dialogues: what a client says (C:) and must be told
// (S:). The password that is right is "secret", "unknown" is undecided.
//
//	# free text
//	mechanisms: NAME ...    ; optional: the listener's key mechanisms
//	relayable: NAME ...     ; optional: what can be relayed (fakeRelayer)
//	require_secured         ; optional
//	raw                     ; optional: the handshake is not read beforehand
//	C: text | S: text       ; a line, less its LF; as within quotes in Go: \t \x01
//	C "text"                ; no LF of its own
//	half                    ; the client says no more
//	EOF                     ; the server hangs up, having said no more
//
// What a server chooses stands as <number> and <cookie> in lines of a handshake.
type dialogue struct {
	frontend *Frontend
	raw      bool
	lines    []string
}

func readDialogue(t *testing.T, file string) *dialogue {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := &dialogue{frontend: &Frontend{MaxPassword: 200}}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		key, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" || line[0] == '#':
		case key == "mechanisms":
			d.frontend.Mechanisms = strings.Fields(value)
		case key == "relayable":
			d.frontend.Relayer, d.frontend.Relayable = fakeRelayer{}, offering(strings.Fields(value)...)
		case line == "require_secured":
			d.frontend.RequireSecured = true
		case line == "raw":
			d.raw = true
		default:
			d.lines = append(d.lines, line)
		}
	}
	return d
}

// bytesOf returns what a line of the file stands for.
func bytesOf(t *testing.T, line string) string {
	t.Helper()
	quoted, end := strings.TrimSpace(line[1:]), ""
	if line[1] == ':' {
		quoted, end = `"`+strings.TrimSpace(line[2:])+`"`, "\n"
	}
	text, err := strconv.Unquote(quoted)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return text + end
}

// chosen are the values of a handshake that differ each time.
var chosen = map[string]*regexp.Regexp{
	"${1}<number>": regexp.MustCompile(`^((?:SPID|CUID)\t)[1-9][0-9]*`),
	"${1}<cookie>": regexp.MustCompile(`^(COOKIE\t)[0-9a-f]{32}`),
}

// peer is a client on a connection.
type peer struct {
	net.Conn
	in *bufio.Reader
}

func dial(t testing.TB, path string) *peer {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second)) // so that a failing test ends
	return &peer{c, bufio.NewReader(c)}
}

// line reads a line, less its end; "EOF" where there is none.
func (p *peer) line() string {
	line, err := p.in.ReadString('\n')
	if err != nil {
		if err == io.EOF && line == "" {
			return "EOF"
		}
		return fmt.Sprintf("%q, %v", line, err)
	}
	for with, what := range chosen {
		line = what.ReplaceAllString(line, with)
	}
	return strings.TrimSuffix(line, "\n")
}

// handshake reads the server's.
func (p *peer) handshake(t testing.TB) (mechanisms []string) {
	t.Helper()
	for {
		line := p.line()
		if rest, ok := strings.CutPrefix(line, "MECH\t"); ok {
			name, _, _ := strings.Cut(rest, "\t")
			mechanisms = append(mechanisms, name)
		}
		if line == "DONE" {
			return mechanisms
		}
		if !strings.Contains(line, "\t") {
			t.Fatalf("in the handshake: %s", line)
		}
	}
}

func (p *peer) say(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		t.Fatal(err)
	}
}

// expect reads a line, which must be want.
func (p *peer) expect(t testing.TB, want string) {
	t.Helper()
	if got := p.line(); got != want {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
}

func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/dialogues/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			readDialogue(t, file).run(t)
		})
	}
}

func (d *dialogue) run(t *testing.T) {
	path := prototest.Listen(t, d.frontend, time.Minute)
	p := dial(t, path)
	if !d.raw {
		p.handshake(t)
	}
	for _, line := range d.lines {
		switch {
		case line == "half":
			p.Conn.(*net.UnixConn).CloseWrite()
		case line == "EOF":
			p.expect(t, "EOF")
		case line[0] == 'S':
			p.expect(t, strings.TrimSuffix(bytesOf(t, line), "\n"))
		case line[0] == 'C':
			p.say(t, bytesOf(t, line))
		default:
			t.Fatalf("no line of a dialogue: %s", line)
		}
	}
	p.Close() // or the front-end would wait for more
}
