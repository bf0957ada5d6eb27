package dovecot

import (
	"bytes"
	"encoding/base64"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"imapauthd/proto/prototest"
)

// FuzzSession: whatever a client says, the connection ends when the client has, each
// reply is a whole line for an id that was used, no more exchanges end than were
// begun or continued, and an OK names an account that a response had in it, beside
// a right password.
func FuzzSession(f *testing.F) {
	auth := plainLine(1, "alice", "secret")
	for _, said := range []string{
		hello + auth,
		hello + plainLine(1, "alice", "wrong") + plainLine(2, "bob", "secret") + "AUTH\t3\tLOGIN\nCONT\t3\t" + base("carol") + "\nCONT\t3\t" + base("secret") + "\n",
		hello + "AUTH\t1\tCRAM-MD5\nCONT\t1\t" + base("alice secret") + "\nCANCEL\t1\n",
		hello + "AUTH\t1\tPLAIN\nCONT\t1\t" + base("\x00alice\x00secret") + "\nCANCEL\t1\nCANCEL\t9\n",
		hello + plainLine(1, "alice", "unknown") + auth,
		hello + auth + auth,
		"CPID\t1\nVERSION\t1\t2\n" + auth,
		"VERSION\t1\t0\nVERSION\t1\t0\n",
		"VERSION\t2\t0\nCPID\t0\n",
		hello + "WHAT\t1\n" + strings.ReplaceAll(auth, "\n", "\tno-penalty\n"),
		hello + "AUTH\t1\tPLAIN\tresp=" + strings.Repeat("A", maxLine) + "\n" + auth,
	} {
		f.Add([]byte(said))
	}
	path := prototest.Listen(f, relayed(nil), 50*time.Millisecond)
	f.Fuzz(func(t *testing.T, said []byte) {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		go func() { // what is answered need not have been read
			conn.Write(said)
			conn.(*net.UnixConn).CloseWrite()
		}()
		all, err := io.ReadAll(conn)
		if err != nil {
			t.Fatalf("%q: %v", said, err)
		}
		_, replies, whole := strings.Cut(string(all), "\nDONE\n")
		if !whole || replies != "" && !strings.HasSuffix(replies, "\n") {
			t.Fatalf("%q: got %q", said, all)
		}
		checkReplies(t, said, replies)
	})
}

// checkReplies holds FuzzSession's properties of the lines behind the handshake.
func checkReplies(t *testing.T, said []byte, replies string) {
	t.Helper()
	asked, ids, responses := 0, make(map[string]bool), make(map[string]bool)
	for line := range bytes.SplitSeq(said, []byte("\n")) {
		fields := strings.Split(strings.TrimSuffix(string(line), "\r"), "\t")
		if fields[0] != "AUTH" && fields[0] != "CONT" || len(fields) < 2 {
			continue
		}
		asked++
		ids[strings.TrimLeft(fields[1], "0")] = true
		if response, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(fields[len(fields)-1], "resp=")); err == nil {
			responses[string(response)] = true
		}
	}
	answered := 0
	for line := range strings.Lines(replies) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) < 2 || !ids[fields[1]] {
			t.Fatalf("%q: got %q", said, line)
		}
		switch fields[0] {
		case "CONT":
			continue
		case "OK":
			account, named := strings.CutPrefix(unescape([]byte(fields[len(fields)-1])), "user=")
			if len(fields) != 3 || !named || account == "" || !vouched(responses, account) {
				t.Fatalf("%q: got %q", said, line)
			}
		case "FAIL":
		default:
			t.Fatalf("%q: got %q", said, line)
		}
		answered++
	}
	if answered > asked {
		t.Fatalf("%q: %d ends of %d exchanges: %q", said, answered, asked, replies)
	}
}

// vouched reports whether the responses hold an account with a password that
// prototest.Door accepts, in the manner of PLAIN, LOGIN or the relay of these tests.
func vouched(responses map[string]bool, account string) bool {
	login := false
	for r := range responses {
		if parts := strings.Split(r, "\x00"); len(parts) == 3 && len(parts[2]) == len("secret") && (parts[0] == account || parts[0] == "" && parts[1] == account) {
			return true
		}
		login = login || len(r) == len("secret")
	}
	return login && responses[account] || responses[account+" secret"]
}
