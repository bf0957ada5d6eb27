//go:build linux

package tests

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// The benchmark itself, for moments: that its servers start and answer rightly, that
// every figure is there, and that the tables and the picture can be made of them.
func TestBenchSmoke(t *testing.T) {
	results := measure(t, benchOptions{warm: 10 * time.Millisecond, run: 30 * time.Millisecond, rounds: 1,
		flood: 300 * time.Millisecond, delay: "0s", accounts: []int{0, 100}, smoke: true})
	if t.Failed() {
		return
	}
	for chapter, series := range results {
		for _, s := range series {
			f := s.Rounds[0]
			if s.Clients > 0 && s.Place != "0" && (f.Rate <= 0 || f.P50 <= 0 || f.P99 < f.P50 || f.Max*101/100 < f.P99 || f.LoadCPU <= 0) {
				t.Errorf("%s, %s, %s: %+v", chapter, s.Server, s.Place, f)
			}
			if chapter == "hits" && (f.CPU <= 0 || f.CPU > time.Second) {
				t.Errorf("%s, %s, %d clients: CPU %v for each reply", chapter, s.Server, s.Clients, f.CPU)
			}
		}
	}
	for _, s := range results["memory"] {
		if f := s.Rounds[0]; f.RSS < 1<<20 || f.LongestStop <= 0 {
			t.Errorf("memory, %s accounts: %+v", s.Place, f)
		}
	}
	judgeCold(t, results["cold"])
	tables, picture := benchTables(results), benchSVG(results)
	columns := 0
	for line := range strings.Lines(tables) {
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		n := strings.Count(line, "|")
		if columns != 0 && n != columns {
			t.Errorf("a row with %d cells in a table with %d: %s", n-1, columns-1, line)
		}
		columns = n
	}
	for _, s := range results["hits"] {
		if !strings.Contains(tables, s.Server) || !strings.Contains(picture, ">"+s.Server+"<") {
			t.Errorf("%s is missing in the tables or in the picture", s.Server)
		}
	}
	if strings.Contains(tables+picture, "NaN") || strings.Contains(tables+picture, "%!") || strings.Contains(tables+picture, "Inf") {
		t.Errorf("there is no number somewhere:\n%s\n%s", tables, picture)
	}
	for dec := xml.NewDecoder(strings.NewReader(picture)); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the picture is no XML: %v\n%s", err, picture)
		}
	}
	if t.Failed() {
		t.Logf("\n%s\n%s", tables, picture)
	}
}
