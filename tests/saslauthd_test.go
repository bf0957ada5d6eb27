package tests

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// saslauthdTOML is a listener for saslauthd's clients on a socket of its own, to be put
// before the tables of the servers.
func saslauthdTOML(socket string, more ...string) string {
	return fmt.Sprintf("[[listen]]\nprotocol = \"saslauthd\"\nsocket = %q\nmode = \"0666\"\n%s\n", socket, strings.Join(more, "\n"))
}

// The same bytes to the original and to ours, with the realm joined and not, before the
// same Dovecot. alice has a password of her own in each of her names, so that the one
// who says OK tells which was asked.
func TestSaslauthdReplies(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: map[string]string{"alice": "correct horse", "alice@example.test": "battery staple"}})
	dir := shortDir(t)
	join, ignore := filepath.Join(dir, "join"), filepath.Join(dir, "ignore")
	d := startSaslauthdListeners(t, saslauthdTOML(join)+saslauthdTOML(ignore, `realm = "ignore"`)+serverTOML(imap.url()))
	originals := map[string]*saslauthd{
		join:   startSaslauthd(t, shortDir(t), imap.port, "-r"),
		ignore: startSaslauthd(t, shortDir(t), imap.port),
	}
	d.hides("correct horse")
	d.hides("battery staple")
	t.Cleanup(func() {
		if n := countLines(d.out.String(), "request refused", "verdict=tempfail", "it ends within a string"); n == 0 {
			t.Error("the log does not tell of requests that were cut")
		}
	})
	long := strings.Repeat("x", 257)
	const unlike = "(unlike the original) "
	for name, request := range map[string]string{
		"right":                        counted("alice", "correct horse", "smtp", ""),
		"wrong":                        counted("alice", "a wrong password", "smtp", ""),
		"right, with a realm":          counted("alice", "correct horse", "smtp", "example.test"),
		"right, with its realm":        counted("alice", "battery staple", "smtp", "example.test"),
		"right, whole":                 counted("alice@example.test", "battery staple", "smtp", ""),
		"right, whole, with its realm": counted("alice@example.test", "battery staple", "smtp", "example.test"),
		"right, without a service":     counted("alice", "correct horse", "", ""),
		"right, and bytes behind":      counted("alice", "correct horse", "smtp", "", "", "more"),
		"of 256 bytes":                 counted(long[1:], long[1:], long[1:], long[1:]),
		"login of 257 bytes":           counted(long, "correct horse", "smtp", ""),
		"password of 257 bytes":        counted("alice", long, "smtp", ""),
		"service of 257 bytes":         counted("alice", "correct horse", long, ""),
		"realm of 257 bytes":           counted("alice", "correct horse", "smtp", long),
		"length of 65535":              "\xff\xff",
		"no login":                     counted("", "correct horse", "smtp", ""),
		"no login, with a realm":       counted("", "correct horse", "smtp", "example.test"),
		"no password":                  counted("alice", "", "smtp", ""),
		"nothing":                      "",
		"half a length":                "\x00",
		"cut":                          counted("alice", "correct horse", "smtp", "")[:12],
		"no realm":                     counted("alice", "correct horse", "smtp"),
		unlike + "NUL in the login":    counted("alice\x00eve", "correct horse", "smtp", ""),
		unlike + "NUL in the password": counted("alice", "correct horse\x00", "smtp", ""),
		"line end in the login":        counted("alice\" \"correct horse\"\r\n", "x", "smtp", ""),
	} {
		for socket, original := range originals {
			t.Run(name+", "+filepath.Base(socket), func(t *testing.T) {
				t.Parallel()
				want, err := exchange(original.socket, request, true)
				if err != nil {
					t.Fatalf("the original: %v", err)
				}
				if strings.HasPrefix(name, unlike) {
					if verdict(want) != "OK" {
						t.Errorf("the original says %q, which was thought to be OK", want)
					}
					want = counted("NO authentication failed")
				}
				got, err := exchange(socket, request, true)
				if err != nil || verdict(got) != verdict(want) {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
			})
		}
	}
}

// verdict is a reply of saslauthd's protocol, less the words that differ between the
// ways to check a password.
func verdict(reply string) string {
	const length = 2
	if len(reply) < length {
		return reply
	}
	switch text := reply[length:]; {
	case strings.HasPrefix(text, "OK"):
		return "OK"
	case text == "NO ", strings.HasPrefix(text, "NO NULL"):
		return reply
	default:
		return strings.Fields(text)[0]
	}
}

// startSaslauthdListeners starts a daemon whose listeners the text names.
func startSaslauthdListeners(t *testing.T, text string) *daemon {
	t.Helper()
	_, file := configFile(t, text)
	return startDaemon(t, "", "--config", file)
}

// The program that comes with saslauthd, unmodified, and what it makes of an outage.
func TestSaslauthdClient(t *testing.T) {
	t.Parallel()
	imap := startDovecot(t, dovecotOptions{users: map[string]string{"alice@example.test": "it's \"a\" \\ $ b"}})
	socket := filepath.Join(shortDir(t), "mux")
	d := startSaslauthdListeners(t, saslauthdTOML(socket)+serverTOML(imap.url())+"[cache]\npositive_ttl = \"0s\"\n")
	d.hides("it's \"a\" \\ $ b")
	for _, tt := range []struct {
		login, password string
		more            []string
		said            string
		status          int
	}{
		{"alice@example.test", "it's \"a\" \\ $ b", nil, `0: OK "Success."`, 0},
		{"alice", "it's \"a\" \\ $ b", []string{"-r", "example.test", "-s", "smtp"}, `0: OK "Success."`, 0},
		{"alice", "it's \"a\" \\ $ b", nil, `0: NO "authentication failed"`, 255},
		{"alice@example.test", "a wrong password", nil, `0: NO "authentication failed"`, 255},
		{"alice@example.test", "", nil, `0: NO "authentication failed"`, 255},
	} {
		if said, status := testsaslauthd(t, socket, tt.login, tt.password, tt.more...); said != tt.said || status != tt.status {
			t.Errorf("%s %q %q: got %q, status %d, want %q, %d", tt.login, tt.password, tt.more, said, status, tt.said, tt.status)
		}
	}
	imap.stop(t)
	said, status := testsaslauthd(t, socket, "alice@example.test", "it's \"a\" \\ $ b")
	if !strings.Contains(said, "size read failed") || status != 255 {
		t.Errorf("with the IMAP server stopped: got %q, status %d, want no reply", said, status)
	}
}
