package tests

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

var updateRecipes = flag.Bool("update-recipes", false, "write the table of the wiki's recipes anew, into README.md")

// recipesTable is the table in Markdown.
func recipesTable(columns []wikiColumn) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, r := range recipes {
		fmt.Fprintf(&b, " %s |", r.head)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(recipes)) + "\n")
	for _, row := range wikiRows {
		fmt.Fprintf(&b, "| %s |", row)
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", c.text(row))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (c wikiColumn) text(row string) string {
	if text, ok := c[row]; ok {
		return text
	}
	return "–"
}

// judgeRecipes compares what was seen with the README's table, or writes that. Recipes
// whose peers are not there are left out of the comparison.
func judgeRecipes(t *testing.T, columns []wikiColumn) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seen:\n%s", recipesTable(columns))
		}
	})
	before, block, after := readmeBlockOf(t, "recipes")
	if *updateRecipes {
		if t.Failed() {
			t.Fatal("nothing is written")
		}
		for i, c := range columns {
			if c == nil {
				t.Fatalf("%s (%s) was not tried to its end: nothing is written", recipes[i].head, recipes[i].conf)
			}
		}
		writeReadme(t, before+recipesTable(columns)+after)
		return
	}
	table := cellsOf(block)
	const anew = "write the table anew: go test ./tests -run TestWiki -update-recipes"
	if len(table) != len(wikiRows)+2 {
		t.Fatalf("README.md has %d lines of recipes, want %d; %s", len(table), len(wikiRows)+2, anew)
	}
	for i, c := range columns {
		if c == nil {
			continue
		}
		for j, row := range wikiRows {
			cells := table[j+2]
			if len(cells) != len(recipes)+1 || cells[0] != row || table[0][i] != recipes[i].head {
				t.Fatalf("README.md has other rows or columns; %s", anew)
			}
			if got, want := c.text(row), cells[i+1]; got != want {
				t.Errorf("%s, %s: got %s, README.md has %s; %s", recipes[i].conf, row, got, want, anew)
			}
		}
	}
}
