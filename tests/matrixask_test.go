package tests

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// transports are the ways to a server, each a [[server]] with warm connections;
// coldTransports are the same without.
var (
	transports     = []string{"clear", "starttls", "imaps"}
	coldTransports = []string{"clear-cold", "starttls-cold", "imaps-cold"}
)

// matrix is a mail server behind a daemon, and what has been asked.
type matrix struct {
	server *mailServer
	daemon *daemon
	column *column

	asking sync.WaitGroup
	asked  []*question // since the last judge
	n      int         // of questions, ever
}

// question is one request, and what became of it.
type question struct {
	row, server, user, password, want, session string

	got     string
	err     error
	elapsed time.Duration
}

func newMatrix(t *testing.T, server *mailServer) *matrix {
	t.Helper()
	// Without lifetimes the cache answers nothing.
	config := "[[listen]]\nsocket = SOCKET\nmode = \"0666\"\n[cache]\npositive_ttl = \"0s\"\nnegative_ttl = \"0s\"\n"
	table := func(name, url, more string) {
		config += fmt.Sprintf("[[server]]\nname = %q\nurl = [%q]\ndomains = [%q]\nca_file = %q\nconnections = 30\n%s\n",
			name, url, name+".test", server.caFile, more)
	}
	for i, transport := range transports {
		table(transport, server.urls[transport], "")
		table(coldTransports[i], server.urls[transport], "warm = 0")
	}
	table("broken", server.broken, "")
	m := &matrix{server: server, daemon: serveConfig(t, config), column: &column{head: server.name, cells: make(map[string]cell)}}
	for _, password := range matrixPasswords {
		m.daemon.hides(password)
	}
	return m
}

// ask begins to ask the daemon about an account of each server. What becomes of it
// is noted in a row, if one is named.
func (m *matrix) ask(row string, servers []string, user, password, want string) {
	for _, server := range servers {
		m.n++
		q := &question{row: row, server: server, user: user, password: password, want: want, session: fmt.Sprint("matrix", m.n)}
		m.asked = append(m.asked, q)
		m.asking.Go(func() {
			start := time.Now()
			q.got, q.err = exchange(m.daemon.socket, fmt.Sprintf("user=%s pass=%s server=%s session=%s\n",
				encode(q.user), encode(q.password), q.server, q.session), true)
			q.elapsed = time.Since(start)
		})
	}
}

// judge waits for the answers, and compares them with what was wanted and with each
// other: all transports and all accounts of a row must agree.
func (m *matrix) judge(t *testing.T) {
	t.Helper()
	m.asking.Wait()
	for _, q := range m.asked {
		what := fmt.Sprintf("%s (%s, %s by %s)", q.row, m.server.name, q.user, q.server)
		if q.got != q.want || q.err != nil || q.elapsed > 10*time.Second {
			t.Errorf("%s: got %q (%v) after %v, want %q within 10s", what, q.got, q.err, q.elapsed, q.want)
		}
		var line string
		eventually(t, "the log line of "+what, func() bool {
			line = regexp.MustCompile(` session=` + q.session + ` .*`).FindString(m.daemon.out.String())
			return line != ""
		})
		verdict := map[string]string{yes: "accept", no: "reject", temp: "tempfail"}[q.got]
		if want := " verdict=" + verdict + " source=imap server=" + q.server + " "; !strings.Contains(line, want) {
			t.Errorf("%s: the log has %q, want %q in it", what, line, want)
		}
		if q.row == "" {
			continue
		}
		c := cell{reply: q.got, essence: essence(line), elapsed: q.elapsed}
		if before, known := m.column.cells[q.row]; known {
			if timeless(before.text()) != timeless(c.text()) {
				t.Errorf("%s: got %s; another of the row had %s", what, c.text(), before.text())
			}
			c.elapsed = min(c.elapsed, before.elapsed) // what is more is this machine's
		}
		m.column.cells[q.row] = c
	}
	m.asked = nil
}

// essence is what an administrator looks for in the err of a log line: the server's
// own words, or the cause.
func essence(line string) string {
	_, err, _ := strings.Cut(line, " err=")
	if text, unquoted := strconv.Unquote(err); unquoted == nil {
		err = text
	}
	if _, said, found := strings.Cut(err, "the server said "); found {
		said, _, _ = strings.Cut(said, " [vm")
		return "`" + strings.ReplaceAll(said, `"`, "") + "`"
	}
	for _, cause := range []string{"connection refused", "no answer: after 5s", "no verdict within the time limit"} {
		if strings.Contains(err, cause) {
			return cause
		}
	}
	return err
}

// warm makes the demand for warm connections by each transport.
func (m *matrix) warm() {
	for _, user := range []string{"quote", "backslash", "braces", "literal", "percent", "star"} {
		m.ask("", transports, user, matrixPasswords[user], yes)
	}
}

// waitWarm waits for them.
func (m *matrix) waitWarm(t *testing.T) {
	t.Helper()
	for _, transport := range transports {
		// Connections of the logins just made may still be counted, on their way
		// out; of those that are kept there are 4.
		eventually(t, "warm connections by "+transport, func() bool { return connections(t, m.server.urls[transport]) >= 3 })
	}
}

// connections returns how many TCP connections to a URL's address are established.
func connections(t *testing.T, url string) int {
	t.Helper()
	_, addr, _ := strings.Cut(url, "://")
	host, port, _ := strings.Cut(addr, ":")
	var a, b, c, d, p int
	fmt.Sscanf(host, "%d.%d.%d.%d", &a, &b, &c, &d)
	fmt.Sscan(port, &p)
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	// "sl local rem_address st": little-endian addresses in hexadecimal, 01 is ESTABLISHED.
	return countLines(string(text), fmt.Sprintf(" %02X%02X%02X%02X:%04X 01 ", d, c, b, a, p))
}
