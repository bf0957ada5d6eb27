package tests

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var relayOutcomes = []string{relayRight, relayWrong, relayAborted, relayGone}

// mechanismsTable is the table in Markdown.
func mechanismsTable(columns []*relaySeen) string {
	var b strings.Builder
	b.WriteString("| | clients |")
	for _, m := range relayMailers {
		for _, outcome := range relayOutcomes {
			b.WriteString(" " + m.name + ": " + outcome + " |")
		}
	}
	b.WriteString("\n|" + strings.Repeat(" --- |", 2+len(relayMailers)*len(relayOutcomes)) + "\n")
	for _, mechanism := range relayMechanisms {
		b.WriteString("| " + strings.Join(mechanismRow(columns, mechanism), " | ") + " |\n")
	}
	return b.String()
}

// mechanismRow is a row's cells: the mechanism, the clients that spoke it, and what
// they got.
func mechanismRow(columns []*relaySeen, mechanism string) []string {
	var clients []string
	for i := range saslClients {
		if slices.Contains(saslClients[i].mechanisms, mechanism) {
			clients = append(clients, saslClients[i].name)
		}
	}
	cells := []string{mechanism, strings.Join(clients, ", ")}
	for _, seen := range columns {
		for _, outcome := range relayOutcomes {
			cells = append(cells, seen.cell(mechanism, outcome))
		}
	}
	return cells
}

// cell is the code that all clients got, or each client's.
func (s *relaySeen) cell(mechanism, outcome string) string {
	if s == nil {
		return "–"
	}
	var codes, each []string
	for _, c := range s.cases {
		if c.mechanism == mechanism && c.outcome == outcome {
			code, _, _ := strings.Cut(c.reply, " ")
			codes, each = append(codes, code), append(each, c.client+": "+code)
		}
	}
	if one := slices.Compact(codes); len(one) == 1 {
		return one[0]
	}
	return strings.Join(each, "; ")
}

// judgeMechanisms compares what was seen with the README's table, or writes that. Mail
// servers that are not there are left out of the comparison.
func judgeMechanisms(t *testing.T, columns []*relaySeen) {
	t.Helper()
	const anew = "write the table anew: go test ./tests -run TestRelay -update-mechanisms"
	before, block, after := readmeBlockOf(t, "mechanisms")
	if *updateMechanisms {
		if t.Failed() || slices.Contains(columns, nil) {
			t.Fatal("nothing is written")
		}
		writeFile(t, filepath.Join(moduleRoot(), "README.md"), before+mechanismsTable(columns)+after)
		return
	}
	want := strings.Split(strings.TrimSuffix(block, "\n"), "\n")
	got := strings.Split(strings.TrimSuffix(mechanismsTable(columns), "\n"), "\n")
	if len(want) != len(got) || want[0] != got[0] {
		t.Fatalf("README.md has other rows or columns; %s", anew)
	}
	for i := range got {
		w, g := strings.Split(want[i], " | "), strings.Split(got[i], " | ")
		for j := range g {
			if len(w) != len(g) || w[j] != g[j] && !strings.HasPrefix(g[j], "–") {
				t.Errorf("got %s, README.md has %s; %s", got[i], want[i], anew)
				break
			}
		}
	}
}
