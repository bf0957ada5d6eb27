package tests

import (
	"strings"
	"testing"
)

// TestMatrix asks real servers through the daemon, right and wrong, well, hung and
// stopped, and compares what became of it with the support table (matrixtable_test.go).
func TestMatrix(t *testing.T) {
	// All at one time, because some answers take seconds. A server that is not
	// there is skipped by name, and the others are asked all the same.
	var servers []*matrix
	for _, s := range mailServers {
		there := false
		t.Run(s.peer, func(t *testing.T) { s.need(t); there = true })
		if there {
			servers = append(servers, newMatrix(t, s.start(t)))
		}
	}
	each := func(do func(*matrix)) {
		t.Helper()
		for _, m := range servers {
			do(m)
		}
		for _, m := range servers {
			m.judge(t)
		}
	}
	var columns []*column
	for _, m := range servers {
		columns = append(columns, m.column)
	}
	alice, wrong := matrixPasswords["alice"], "a wrong password"

	each(func(m *matrix) { m.ask(rowRight, transports, "alice", alice, yes) })
	// Not all in one go: a server makes a process for each connection, and takes its
	// time.
	for i := range transports {
		each(func(m *matrix) {
			for user, row := range matrixSpecial {
				m.ask(row, transports[i:i+1], user, matrixPasswords[user], yes)
			}
		})
	}
	each(func(m *matrix) {
		m.ask(rowWrong, transports, "alice", wrong, no)
		m.ask(rowUnknown, transports, "stranger", alice, no)
		m.ask(rowDenied, transports, "denied", matrixPasswords["denied"], m.server.denied)
	})
	each(func(m *matrix) {
		for user := range matrixSpecial {
			m.ask("", transports[m.n%3:][:1], user, matrixPasswords[user]+"x", no)
		}
	})

	each(func(m *matrix) {
		m.server.breakUsers(t)
		m.ask(rowNoUsers, []string{"broken"}, "alice", alice, temp)
		m.ask("", []string{"broken"}, "alice", wrong, temp)
	})
	each(func(m *matrix) {
		m.server.mendUsers(t)
		m.warm()
	})
	each(func(m *matrix) {
		m.waitWarm(t)
		m.server.hang(t)
		m.ask(rowHungWarm, transports, "alice", alice, temp)
		m.ask(rowHungCold, coldTransports, "alice", alice, temp)
		m.ask("", transports, "alice", wrong, temp)
		m.ask("", coldTransports, "alice", wrong, temp)
	})
	each(func(m *matrix) {
		m.server.resume(t)
		// Not alice: her logins may go on, and be shared.
		m.ask(rowResumed, transports, "star", matrixPasswords["star"], yes)
		m.ask(rowResumed, coldTransports, "star", matrixPasswords["star"], yes)
	})
	each(func(m *matrix) { m.warm() })
	each(func(m *matrix) {
		m.waitWarm(t)
		m.server.stop(t)
		m.ask(rowStopWarm, transports, "alice", alice, temp)
		m.ask(rowStopCold, coldTransports, "alice", alice, temp)
	})
	each(func(m *matrix) { // the daemon knows by now
		m.ask(rowStopWarm, transports, "alice", wrong, temp)
		m.ask(rowStopCold, coldTransports, "alice", wrong, temp)
	})
	each(func(m *matrix) {
		m.server.start(t)
		m.ask(rowStarted, transports, "alice", alice, yes)
		m.ask(rowStarted, coldTransports, "alice", alice, yes)
	})
	if !t.Failed() {
		judgeTable(t, columns)
	}
}

// The rows of the table.
const (
	rowRight    = "right password"
	rowWrong    = "wrong password"
	rowUnknown  = "unknown account"
	rowDenied   = "account kept out (`nologin`; `cyr_deny`; `disableimap=1`)"
	rowSigns    = "password with `\"`, `\\`, `{5}`, `%`, `*`"
	rowSpaces   = "password with spaces within and around"
	rowUTF8     = "password in UTF-8"
	rowLong     = "password of 200 bytes"
	rowNoUsers  = "its user database gone (file unreadable; no saslauthd; no authdaemond)"
	rowHungWarm = "server hung, a connection warm"
	rowHungCold = "server hung, none warm"
	rowResumed  = "it goes on"
	rowStopWarm = "server stopped, a connection warm"
	rowStopCold = "server stopped, none warm"
	rowStarted  = "it is started again"
)

var matrixRows = []string{rowRight, rowWrong, rowUnknown, rowDenied, rowSigns, rowSpaces, rowUTF8, rowLong,
	rowNoUsers, rowHungWarm, rowHungCold, rowResumed, rowStopWarm, rowStopCold, rowStarted}

// matrixPasswords are the accounts that the servers have. denied is kept out.
var matrixPasswords = map[string]string{
	"alice": "correct horse", "denied": "battery staple",
	"quote": `a"b"c"`, "backslash": `\a\b\\c\`, "braces": "{5}", "literal": "x {5+}", "percent": "100%s%u%", "star": "*a*",
	"spaces": " leading, within  and trailing ",
	"utf8":   "pässwörd €",
	"long":   strings.Repeat("0123456789", 20),
}

// matrixSpecial tells which row an account's password is for.
var matrixSpecial = map[string]string{
	"quote": rowSigns, "backslash": rowSigns, "braces": rowSigns, "literal": rowSigns, "percent": rowSigns, "star": rowSigns,
	"spaces": rowSpaces, "utf8": rowUTF8, "long": rowLong,
}
