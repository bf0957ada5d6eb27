//go:build linux

package tests

import (
	"fmt"
	"strings"
)

// coldTable has a row for each case, and says how the paced logins compare with one
// round trip and Dovecot's own time.
func coldTable(series []*benchSeries) string {
	var b strings.Builder
	b.WriteString("Dovecot has a process of `imap-login` for each core (`service_count = 0`) and its passwords in plain. saslauthd has its 5 processes; " +
		"Perl and its module are loaded once, as by `perl_at_start`, and fork for each login; Python is started for each. imapauthd has `connections = 128` and `warm = 32`, or 16 and 4, its defaults.\n\n")
	b.WriteString("| IMAP server | clients | server | logins/s | p50 | p99 | CPU per login | Dovecot's | × Dovecot's | warm |\n|" + strings.Repeat(" --- |", 10) + "\n")
	var busiest float64
	for _, s := range series {
		if s.Server == coldOwn || s.Server == coldOwnFar {
			continue
		}
		warm := "–"
		if strings.HasPrefix(s.Server, ours) {
			warm = fmt.Sprintf("%.0f %%", 100*s.of(warmOf).median)
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %s | %s | %s | %.2f | %s |\n", s.Place, s.Clients, s.Server,
			s.of(rateOf).text(fewOrMany), s.of(p50Of).text(seconds), s.of(p99Of).text(seconds),
			s.of(cpuOf).text(seconds), s.of(serverOf).text(seconds), s.of(func(f benchFigures) float64 { return cpuOf(f) / max(1e-9, serverOf(f)) }).median, warm)
		busiest = max(busiest, s.of(loadOf).median)
	}
	fmt.Fprintf(&b, "\nThe clients, and the distance where there is one, took at most %.0f %% of the machine.\n", 100*busiest)
	for _, s := range series {
		own, far := find(series, coldOwn, s.Place, s.Clients), find(series, coldOwnFar, s.Place, s.Clients)
		if s.Server == ours && own != nil {
			fmt.Fprintf(&b, "With time for a connection to be ready (%s) a login took %s: %.3f times (one round trip + the %s that Dovecot itself takes), and %.3f times what Dovecot takes over the same distance.\n",
				s.Place, s.of(p50Of).text(seconds), s.promised(own).median, seconds(own.of(p50Of).median), s.against(far, p50Of).median)
		}
	}
	return b.String()
}

// promised is the time of a login as a multiple of one round trip and the server's own
// time, measured in the same round.
func (s *benchSeries) promised(own *benchSeries) spread {
	var values []float64
	for i, f := range s.Rounds {
		values = append(values, p50Of(f)/(trip.Seconds()+p50Of(own.Rounds[i])))
	}
	return spreadOf(values)
}

func serverOf(f benchFigures) float64 { return f.Server.Seconds() }
func warmOf(f benchFigures) float64   { return f.Warm }

// fewOrMany writes a rate that may be small.
func fewOrMany(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.1f", v)
	}
	return count(v)
}
