package tests

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// wikiSpecial are the characters that a password is tried with, a user each: what
// shells, Perl, IMAP's quoted strings and Exim's expansions have a meaning for.
var wikiSpecial = []struct{ user, row, password string }{
	{"apostrophe", "password with `'`", `pass'word`},
	{"quote", "password with `\"`", `pass"word`},
	{"backslash", "password with `\\`", `pass\word`},
	{"dollar", "password with `$`", `pass$word`},
	{"space", "password with a space", `pass word`},
	{"all", "password with all of these", `a'b"c\d$e f`},
	{"euro", "password with `€`", `pass€word`},
}

var wikiUsers = func() map[string]string {
	users := map[string]string{"alice": "correct-horse", "bob": "battery-staple"}
	for _, special := range wikiSpecial {
		users[special.user] = special.password
	}
	return users
}()

// The other rows of the table.
const (
	wikiRight    = "right password"
	wikiWrong    = "wrong password"
	wikiQuoted   = "right password, the name in quotes: an account that there is not"
	wikiLater    = "right password, `PLAIN` without initial response"
	wikiUsed     = "IMAP server stopped, the password used a moment before"
	wikiStopped  = "IMAP server stopped"
	wikiNoDaemon = "saslauthd or imapauthd not running"
)

var wikiRows = func() []string {
	rows := []string{wikiRight, wikiWrong}
	for _, special := range wikiSpecial {
		rows = append(rows, special.row)
	}
	return append(rows, wikiQuoted, wikiLater, wikiUsed, wikiStopped, wikiNoDaemon)
}()

// TestWiki runs the lines of Exim's wiki page in a real Exim, with what they were
// written for and with what takes its place, and compares the replies that a mail
// client gets with the README's table (wikitable_test.go).
func TestWiki(t *testing.T) {
	t.Parallel()
	expectUnmounted(t, "/run")
	columns := make([]wikiColumn, len(recipes))
	t.Run("recipes", func(t *testing.T) {
		for i, r := range recipes {
			t.Run(r.head+" "+r.conf, func(t *testing.T) {
				t.Parallel()
				columns[i] = r.try(t)
			})
		}
	})
	judgeRecipes(t, columns)
}

// wikiColumn is what became of each row's situation. One that a recipe does not know
// is missing.
type wikiColumn map[string]string

// try asks in all situations, one after the other.
func (r *recipe) try(t *testing.T) wikiColumn {
	imap := startDovecot(t, dovecotOptions{users: wikiUsers})
	conf := readWikiConf(t, r.conf)
	stop := r.start(t, imap, conf)
	e := conf.exim(t)
	dial := e.dialClear
	if r.tls {
		dial = e.dial
	}

	column := make(wikiColumn)
	ask := func(row, user, password string, mechanisms ...string) {
		t.Helper()
		got := wikiReplies(t, func() *smtpClient { return dial(t) }, user, password, mechanisms)
		if strings.Contains(got, "235") && password != wikiUsers[strings.Trim(user, `"`)] {
			t.Errorf("%s: %q in place of %s's password: %s", row, password, user, got)
		}
		if before, ok := column[row]; ok && before != got {
			t.Errorf("%s: %s for one account, and %s for %s", row, before, got, user)
		}
		column[row] = got
	}
	both := []string{"PLAIN", "LOGIN"}
	ask(wikiRight, "alice", wikiUsers["alice"], both...)
	ask(wikiWrong, "alice", wikiUsers["alice"]+"x", both...)
	ask(wikiWrong, "all", wikiUsers["all"]+"x", both...)
	for _, special := range wikiSpecial {
		ask(special.row, special.user, special.password, both...)
	}
	ask(wikiQuoted, `"alice"`, wikiUsers["alice"], both...)
	ask(wikiLater, "alice", wikiUsers["alice"], "PLAIN without initial response")
	imap.stop(t)
	ask(wikiUsed, "alice", wikiUsers["alice"], both...)
	ask(wikiStopped, "bob", wikiUsers["bob"], both...)
	if stop != nil {
		stop()
		ask(wikiNoDaemon, "alice", wikiUsers["alice"], both...)
	}
	for _, words := range r.logs {
		if countLines(e.logText(t), "Unable to authenticate at present", words) == 0 {
			t.Errorf("Exim's log does not have %q", words)
		}
	}
	return column
}

// wikiReplies is what a mail client gets by each mechanism, each in a session of its
// own: one reply if they agree. They ask at one time, because some replies take
// seconds: Net::IMAP::Simple waits for 5 before it dials once more.
func wikiReplies(t *testing.T, dial func() *smtpClient, user, password string, names []string) string {
	t.Helper()
	replies, each := make([]string, len(names)), make([]string, len(names))
	var asking sync.WaitGroup
	for i, name := range names {
		asking.Go(func() {
			c := dial()
			replies[i] = wikiReply(mechanisms[name](c, user, password))
			each[i] = name + ": " + replies[i]
			c.goesOn()
		})
	}
	asking.Wait()
	if len(slices.Compact(slices.Clone(replies))) == 1 {
		return replies[0]
	}
	return strings.Join(each, "; ")
}

// wikiReply is the code, and of a temporary failure what Exim says about it.
func wikiReply(r reply) string {
	switch r.code {
	case authAccepted, authRejected:
		return r.String()[:3]
	default:
		text, _ := strings.CutPrefix(r.text, "Unable to authenticate at present")
		return fmt.Sprint(r.code, strings.Replace(text, ":", "", 1))
	}
}
