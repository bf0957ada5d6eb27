package tests

import (
	"flag"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

var updateSupport = flag.Bool("update-support", false, "write the support table anew, into README.md")

// column is what the support table says of one server: a cell for each row.
type column struct {
	head  string // the server and its version
	cells map[string]cell
}

// cell is what became of one question.
type cell struct {
	reply   string // on the socket
	essence string // of the log line
	elapsed time.Duration
}

// text is the cell in Markdown. The time is coarse, so that each machine has the same.
func (c cell) text() string {
	text := "`" + c.reply + "`, "
	switch s := c.elapsed.Seconds(); {
	case s < 1.3:
		text += "at once"
	case s < 2.7:
		text += "2 s"
	case s < 4.4:
		text += "3 s"
	case s < 7:
		text += "5 s"
	default:
		text += "9 s"
	}
	if c.essence != "" {
		text += ": " + c.essence
	}
	return text
}

var cellTime = regexp.MustCompile(", [^:`]*")

// timeless is a cell's text without the time, which is the machine's in part.
func timeless(text string) string {
	word, rest, _ := strings.Cut(strings.TrimPrefix(text, "`"), "`")
	return word + cellTime.ReplaceAllString(rest, "")
}

// supportTable is the table in Markdown.
func supportTable(columns []*column) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c.head)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(columns)) + "\n")
	for _, row := range matrixRows {
		fmt.Fprintf(&b, "| %s |", row)
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", c.cells[row].text())
		}
		b.WriteString("\n")
	}
	return b.String()
}

// judgeTable compares what was seen with the README's table, server by server, or
// writes that.
func judgeTable(t *testing.T, columns []*column) {
	t.Helper()
	before, block, after := readmeBlockOf(t, "support")
	if *updateSupport {
		if len(columns) != len(mailServers) {
			t.Fatalf("only %d of %d servers are there: nothing is written", len(columns), len(mailServers))
		}
		writeReadme(t, before+supportTable(columns)+after)
		return
	}
	table := cellsOf(block)
	for _, c := range columns {
		n := 0 // the server's column of the table
		for i, head := range table[0] {
			if head == c.head {
				n = i + 1 // the head of the rows' names is empty
			}
		}
		if n == 0 {
			t.Logf("%s is not in the table, so it is not compared", c.head)
			continue
		}
		for i, row := range matrixRows {
			if i+2 >= len(table) || table[i+2][0] != row {
				t.Fatalf("the table has no row %q at its place: write it anew with -update-support", row)
			}
			if got, want := c.cells[row].text(), table[i+2][n]; timeless(got) != timeless(want) {
				t.Errorf("%s, %s: got %s, the table has %s", c.head, row, got, want)
			}
		}
	}
}
