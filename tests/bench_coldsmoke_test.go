//go:build linux

package tests

import (
	"strings"
	"testing"
)

// judgeCold holds that the chapter of logins that no cache answers measures what it says.
func judgeCold(t *testing.T, series []*benchSeries) {
	t.Helper()
	if series == nil {
		return // a peer is missing
	}
	seen, warm := make(map[string]bool), 0.0
	for _, s := range series {
		seen[s.Server] = true
		f, raw := s.Rounds[0], strings.HasPrefix(s.Server, coldOwn)
		if f.Rate <= 0 || f.P50 <= 0 || f.P50 > f.P99 || f.Server <= 0 || f.LoadCPU <= 0 || (f.CPU > 0) == raw {
			t.Errorf("%s, %s: %+v", s.Server, s.Place, f)
		}
		if strings.Contains(s.Place, "away") && s.Server != coldOwn && f.P50 < trip {
			t.Errorf("%s, %s: a login took %v", s.Server, s.Place, f.P50)
		}
		if strings.HasPrefix(s.Server, ours) {
			warm += f.Warm
		} else if f.Warm != 0 {
			t.Errorf("%s has warm connections: %v", s.Server, f.Warm)
		}
	}
	if warm == 0 {
		t.Error("imapauthd's warm connections are not seen")
	}
	table := coldTable(series)
	for _, p := range coldStarts {
		if !seen[p.name] || !strings.Contains(table, "| "+p.name+" |") {
			t.Errorf("nothing is said about %s", p.name)
		}
	}
	if !strings.Contains(table, "times (one round trip + ") {
		t.Error("paced logins are not compared with Dovecot's own time")
	}
}
