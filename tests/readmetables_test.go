package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readmeBlockOf cuts the README at a block that a test writes.
func readmeBlockOf(t *testing.T, name string) (before, block, after string) {
	t.Helper()
	begin, end := fmt.Sprintf("<!-- %s: begin -->\n", name), fmt.Sprintf("<!-- %s: end -->\n", name)
	text, err := os.ReadFile(filepath.Join(moduleRoot(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	block, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("README.md has no place for the table, between %q and %q", begin, end)
	}
	return before + begin, block, end + after
}

func writeReadme(t *testing.T, text string) {
	t.Helper()
	writeFile(t, filepath.Join(moduleRoot(), "README.md"), text)
}

// cellsOf are the cells of a table, row by row; the second row is the line below the
// head, and the head has no cell above the rows' names.
func cellsOf(table string) (rows [][]string) {
	for line := range strings.Lines(table) {
		rows = append(rows, strings.Split(strings.Trim(line, "| \n"), " | "))
	}
	return rows
}
