package tests

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updateMechanisms = flag.Bool("update-mechanisms", false, "write the table of mechanisms anew, into README.md, and tests/testdata/relay")

// transcript is what was said on the auth socket, in the form of relayPlain.
func (s *relaySeen) transcript(t *testing.T) []string {
	t.Helper()
	lines := []string{"# handshake"}
	for i, each := range s.handshakes {
		var plain []string
		for _, line := range each {
			plain = append(plain, relayPlain(line))
		}
		if i == 0 {
			lines = append(lines, plain...)
		} else if !slices.Equal(plain, lines[1:]) {
			t.Errorf("handshakes differ:\n%s\nand\n%s", strings.Join(lines[1:], "\n"), strings.Join(plain, "\n"))
		}
	}
	for _, c := range s.cases {
		if c.outcome == relayGone {
			continue // not the reference's
		}
		lines = append(lines, fmt.Sprintf("# %s, %s, %s: %s", c.mechanism, c.outcome, c.client, c.reply))
		lines = append(lines, c.lines...)
	}
	return lines
}

// judgeTranscript compares what was said to Dovecot's socket with what is kept in
// tests/testdata/relay, or writes that. Another version may say other things.
func judgeTranscript(t *testing.T, mailer string, d *relayDovecot, seen *relaySeen) {
	t.Helper()
	version, err := exec.Command(d.program, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	head := "# " + mailer + " and Dovecot " + strings.Fields(string(version))[0]
	got := append([]string{head}, seen.transcript(t)...)
	file := filepath.Join("testdata", "relay", strings.ToLower(mailer)+".txt")
	if *updateMechanisms {
		if t.Failed() {
			t.Fatal("nothing is written")
		}
		writeFile(t, file, strings.Join(got, "\n")+"\n")
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if want[0] != head {
		t.Logf("%s is of another version (%s), so it is not compared with %s", file, want[0], head)
		return
	}
	for _, line := range differences(want, got) {
		t.Errorf("%s: %s; write it anew: go test ./tests -run TestRelay -update-mechanisms", file, line)
	}
}

// relayAccepted are the differences between Dovecot's lines and ours that are meant: what
// is left out of both, and why.
var relayAccepted = []struct {
	in     *regexp.Regexp
	reason string
}{
	{regexp.MustCompile(`\ttoken=TOKEN$`), "neither mail server reads it in OK, and who has it can log in"},
}

// compareTranscripts compares what the same clients had said by Dovecot's socket and by
// ours, line by line.
func compareTranscripts(t *testing.T, reference, ours *relaySeen) {
	t.Helper()
	alike := func(s *relaySeen) []string {
		lines := s.transcript(t)
		for i := range lines {
			for _, d := range relayAccepted {
				lines[i] = d.in.ReplaceAllString(lines[i], "")
			}
		}
		// An IMAP server's capabilities have no order (RFC 9051 §7.2.2), so that of the
		// mechanisms is lost. Clients choose by themselves.
		isMech := func(line string) bool { return strings.HasPrefix(line, "S: MECH\t") }
		if first := slices.IndexFunc(lines, isMech); first >= 0 {
			end := first
			for end < len(lines) && isMech(lines[end]) {
				end++
			}
			slices.Sort(lines[first:end])
		}
		return lines
	}
	for _, line := range differences(alike(reference), alike(ours)) {
		t.Error(line)
	}
}

// differences lists the lines of two transcripts that are not the same, part by part.
func differences(want, got []string) (found []string) {
	heads, parts := transcriptParts(want)
	gotHeads, gotParts := transcriptParts(got)
	for _, head := range heads {
		w, g := parts[head], gotParts[head]
		if !slices.Contains(gotHeads, head) {
			found = append(found, "missing: "+head)
			continue
		}
		for i := range max(len(w), len(g)) {
			a, b := "nothing", "nothing"
			if i < len(w) {
				a = w[i]
			}
			if i < len(g) {
				b = g[i]
			}
			if a != b {
				found = append(found, fmt.Sprintf("%s, line %d: want %q, got %q", head, i+1, a, b))
			}
		}
	}
	for _, head := range gotHeads {
		if !slices.Contains(heads, head) {
			found = append(found, "new: "+head)
		}
	}
	return found
}

func transcriptParts(lines []string) (heads []string, parts map[string][]string) {
	parts = make(map[string][]string)
	head := ""
	for _, line := range lines {
		if strings.HasPrefix(line, "# ") {
			head = line
			heads = append(heads, head)
			continue
		}
		parts[head] = append(parts[head], line)
	}
	return heads, parts
}
