package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The table of what a Dovecot can do with passwords that it keeps in one form or
// another, by one account for each row.
func TestReadmeSchemes(t *testing.T) {
	page := readReadme(t)
	tables := page.tables("Challenge-response")
	i := slices.IndexFunc(tables, func(rows [][]string) bool { return len(rows) > 0 && rows[0][0] == "`{PLAIN}`" })
	if i < 0 {
		t.Fatal("the page has no such table")
	}
	challenges := []string{"CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"}
	d := startDovecot(t, dovecotOptions{mechanisms: strings.ToLower("plain login " + strings.Join(challenges, " ")), failureDelay: "0s"})
	doveadm := needPeer(t, "doveadm", "dovecot-core")
	var users strings.Builder
	able := make(map[string]string) // account to mechanisms
	for n, row := range tables[i] {
		scheme := strings.Trim(row[0], "`{}")
		if !strings.HasPrefix(row[0], "`{") {
			scheme = "SHA512-CRYPT" // "any other hash"
		}
		user := fmt.Sprint("user", n)
		hash, err := exec.Command(doveadm, "-c", d.conf, "pw", "-s", scheme, "-u", user, "-p", "secret").Output()
		if err != nil {
			t.Fatalf("doveadm pw -s %s: %v", scheme, err)
		}
		fmt.Fprintf(&users, "%s:%s", user, hash)
		able[user] = strings.NewReplacer("all", strings.Join(challenges, " "), "none", "").Replace(row[1])
	}
	file := filepath.Join(d.dir, "users")
	writeFile(t, file+".new", users.String())
	future := time.Now().Add(time.Hour) // Dovecot goes by the time
	if err := os.Chtimes(file+".new", future, future); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	for user, mechanisms := range able {
		for _, mechanism := range append([]string{"PLAIN", "LOGIN"}, challenges...) {
			out, err := exec.Command(needPeer(t, "gsasl", "gsasl"), "--imap", "--verbose", "--connect", loopback(d.port), "--no-starttls",
				"--mechanism", mechanism, "--service", "imap", "--hostname", "localhost", "--quality-of-protection", "qop-auth",
				"--authentication-id", user, "--password", "secret").CombinedOutput()
			want := mechanism == "PLAIN" || mechanism == "LOGIN" || slices.Contains(strings.Fields(mechanisms), mechanism)
			if (err == nil) != want {
				t.Errorf("%s (%s), %s: gsasl ended with %v:\n%s", user, mechanisms, mechanism, err, out)
			}
		}
	}
}
