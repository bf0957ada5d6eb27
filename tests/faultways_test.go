package tests

import (
	"bufio"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// threeSockets is a daemon with a listener of each kind.
type threeSockets struct{ dir, file string }

func newThreeSockets(t *testing.T, url string) *threeSockets {
	t.Helper()
	s := &threeSockets{dir: shortDir(t)}
	text := fmt.Sprintf("timeout = %q\n", faultTimeout)
	for _, protocol := range []string{"readsocket", "saslauthd", "dovecot"} {
		text += fmt.Sprintf("[[listen]]\nprotocol = %q\nsocket = %q\nmode = \"0666\"\n", protocol, s.socket(protocol))
	}
	s.file = filepath.Join(s.dir, "imapauthd.toml")
	writeFile(t, s.file, text+fmt.Sprintf("[[server]]\nurl = [%q]\nconnections = 200\nwarm = 0\n", url))
	return s
}

func (s *threeSockets) socket(protocol string) string { return filepath.Join(s.dir, protocol) }

func (s *threeSockets) start(t *testing.T) *daemon {
	t.Helper()
	return startDaemon(t, s.socket("readsocket"), "--config", s.file)
}

// threeWays ask a listener of each kind about several accounts, and return a verdict
// each: yes, no, or what else was said.
var threeWays = map[string]func(socket string, all []login) []string{
	"readsocket": func(socket string, all []login) []string {
		return oneEach(all, func(l login) string {
			reply, err := exchange(socket, plainRequest(l.authcid, l.password), true)
			return reply + cause(err)
		})
	},
	"saslauthd": func(socket string, all []login) []string {
		return oneEach(all, func(l login) string {
			reply, err := exchange(socket, counted(l.authcid, l.password, "smtp", ""), false)
			switch {
			case strings.Contains(reply, "OK"):
				return yes + cause(err)
			case strings.Contains(reply, "NO"):
				return no + cause(err)
			}
			return reply + cause(err)
		})
	},
	"dovecot": dovecotVerdicts,
}

func cause(err error) string {
	if err == nil {
		return ""
	}
	return " " + err.Error()
}

func oneEach(all []login, ask func(login) string) []string {
	replies := make([]string, len(all))
	var wg sync.WaitGroup
	for i, l := range all {
		wg.Go(func() { replies[i] = ask(l) })
	}
	wg.Wait()
	return replies
}

// dovecotVerdicts has all exchanges at one time on one connection, and reads on to its
// end: a second verdict would stand behind the first.
func dovecotVerdicts(socket string, all []login) []string {
	replies := make([]string, len(all))
	conn, err := dialSocket(socket)
	if err != nil {
		return replies
	}
	defer conn.Close()
	fmt.Fprint(conn, "VERSION\t1\t2\nCPID\t1\n")
	for i, l := range all {
		fmt.Fprintf(conn, "AUTH\t%d\tPLAIN\tservice=smtp\tsecured\tresp=%s\n", i+1, encode("\x00"+l.authcid+"\x00"+l.password))
	}
	missing := len(all)
	for in := bufio.NewScanner(conn); in.Scan(); {
		word, rest, _ := strings.Cut(in.Text(), "\t")
		id := 0
		fmt.Sscan(rest, &id)
		switch {
		case word == "OK":
			replies[id-1] += yes
		case word == "FAIL" && !strings.Contains(rest, "temp_fail"):
			replies[id-1] += no
		case word == "FAIL":
			replies[id-1] += temp
		default:
			continue
		}
		if missing--; missing == 0 {
			conn.CloseWrite()
		}
	}
	return replies
}

// flightsOf returns n logins, every second of which is right.
func flightsOf(protocol string, n int) (all []login, want []string) {
	for i := range n {
		l, verdict := login{authcid: fmt.Sprint(protocol, i), password: accounts["alice"]}, yes
		if i%2 == 1 {
			l.password, verdict = "a wrong password", no
		}
		all, want = append(all, l), append(want, verdict)
	}
	return all, want
}
