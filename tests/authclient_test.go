package tests

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// authPID numbers the clients of authAsk: Dovecot refuses a second one of the same
// process.
var authPID atomic.Uint32

// authAsk is a client of Dovecot's authentication service, and of ours, for one
// exchange of PLAIN or LOGIN. The outcome is "OK", "FAIL", "FAIL temp", or "" when the
// connection ended without one.
func authAsk(socket, mechanism, user, password string) (string, error) {
	conn, err := dialSocket(socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	initial, responses := "\tresp="+encode("\x00"+user+"\x00"+password), []string(nil)
	if mechanism == "LOGIN" {
		initial, responses = "", []string{user, password}
	}
	fmt.Fprintf(conn, "VERSION\t1\t2\nCPID\t%d\nAUTH\t1\t%s\tservice=imap\tsecured%s\n", authPID.Add(1), mechanism, initial)
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil { // a line that is cut is none
			return "", nil
		}
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case fields[0] == "CONT" && len(responses) > 0:
			fmt.Fprintf(conn, "CONT\t1\t%s\n", encode(responses[0]))
			responses = responses[1:]
		case fields[0] == "OK":
			return "OK", nil
		case fields[0] == "FAIL" && (strings.Contains(line, "\tcode=temp_fail") || strings.Contains(line, "\ttemp")):
			return "FAIL temp", nil
		case fields[0] == "FAIL":
			return "FAIL", nil
		}
	}
}

// doveadm asks a Dovecot by "doveadm auth test", and returns an outcome as authAsk does.
func (d *dovecot) doveadm(t testing.TB, user, password string) string {
	t.Helper()
	cmd := exec.Command(needPeer(t, "doveadm", "dovecot-core"), "-c", d.conf, "auth", "test", "-x", "service=imap", "--", user, password)
	out, _ := cmd.CombinedOutput()
	switch code := cmd.ProcessState.ExitCode(); code {
	case 0:
		return "OK"
	case 77: // EX_NOPERM
		return "FAIL"
	default:
		return fmt.Sprintf("status %d: %s", code, out)
	}
}
