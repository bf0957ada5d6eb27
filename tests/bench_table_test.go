//go:build linux

package tests

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// benchTables is what the README shows: the machine, and each chapter's table.
func benchTables(results benchResults) string {
	var b strings.Builder
	b.WriteString(machine())
	if hits := results["hits"]; len(hits) > 0 {
		var shares []float64
		for _, s := range hits {
			shares = append(shares, s.of(loadOf).median*100)
		}
		fmt.Fprintf(&b, " Of their time the load generator took %.0f to %.0f %%.", slices.Min(shares), slices.Max(shares))
	}
	b.WriteString("\n")
	for _, c := range benchChapters {
		if series := results[c.name]; len(series) > 0 {
			fmt.Fprintf(&b, "\n%s", c.table(series))
		}
	}
	return b.String()
}

// machine says on what it was measured.
func machine() string {
	var u unix.Utsname
	unix.Uname(&u)
	return fmt.Sprintf("Measured on %d cores, Linux %s, %s.", runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]), runtime.Version())
}

// hitsTable has a row for each server and number of clients.
func hitsTable(series []*benchSeries) string {
	var b strings.Builder
	b.WriteString("Remembered accounts:\n\n| clients | server | replies/s | × floor | CPU per reply | × floor | p50 | p99 |\n" + "|" + strings.Repeat(" --- |", 8) + "\n")
	for _, s := range series {
		base := find(series, cFloor, s.Place, s.Clients)
		fmt.Fprintf(&b, "| %d | %s | %s | %.2f | %s | %.2f | %s | %s |\n", s.Clients, s.Server,
			s.of(rateOf).text(count), s.against(base, rateOf).median, s.of(cpuOf).text(seconds), s.against(base, cpuOf).median,
			s.of(p50Of).text(seconds), s.of(p99Of).text(seconds))
	}
	return b.String()
}

// hitsGoals says how far a hit is from what it should cost (medians of paired rounds).
func hitsGoals(series []*benchSeries) string {
	of := func(server string, clients int) *benchSeries { return find(series, server, "", clients) }
	return fmt.Sprintf("replies/s at 64 clients: %.2f × floor (goal: at least 0.9), %.2f × %s (2.0); CPU: %.2f × floor (at most 1.5); p50 at one client: %.2f × floor (1.15)",
		of(ours, 64).against(of(cFloor, 64), rateOf).median, of(ours, 64).against(of(saslOld, 64), rateOf).median, saslOld,
		of(ours, 64).against(of(cFloor, 64), cpuOf).median, of(ours, 1).against(of(cFloor, 1), p50Of).median)
}

// text is the median, with the quartiles in brackets, without a unit twice that is the same in all.
func (s spread) text(format func(float64) string) string {
	median, low, high := format(s.median), format(s.low), format(s.high)
	if _, unit, found := strings.Cut(median, " "); found && strings.HasSuffix(low, " "+unit) && strings.HasSuffix(high, " "+unit) {
		low = strings.TrimSuffix(low, " "+unit)
	}
	return fmt.Sprintf("%s (%s–%s)", median, low, high)
}

// count writes a number with its thousands apart.
func count(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// seconds writes a time with three digits.
func seconds(v float64) string {
	switch d := time.Duration(v * 1e9); {
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g µs", v*1e6)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", v*1e3)
	default:
		return fmt.Sprintf("%.3g s", v)
	}
}
