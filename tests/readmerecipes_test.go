package tests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tryDiff: what goes stands in a configuration of the wiki's, and what comes, and what
// stays, in one that takes its place. TestWiki runs both.
func tryDiff(t *testing.T, page *readmePage, b readmeBlock) {
	judgeDiff(t, b.text)
}

func judgeDiff(t *testing.T, diff string) {
	t.Helper()
	var before, after string // of one authenticator, or of a part of one
	for line := range strings.Lines(diff) {
		if line[0] != '+' {
			before += line[1:]
		}
		if line[0] != '-' {
			after += line[1:]
		}
	}
	within := func(text string, pattern string) bool {
		files, err := filepath.Glob(filepath.Join("testdata", "wiki", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		for _, file := range files {
			conf, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if contains(string(conf), text) {
				return true
			}
		}
		return false
	}
	if !within(before, "p*[ln].conf") {
		t.Errorf("no recipe of the wiki's has:\n%s", before)
	}
	if !within(after, "*-*.conf") {
		t.Errorf("nothing that takes a recipe's place has:\n%s", after)
	}
}

// contains reports whether the lines of part stand in text, in this order.
func contains(text, part string) bool {
	rest := strings.Split(text, "\n")
	for line := range strings.Lines(part) {
		i := slices.IndexFunc(rest, func(other string) bool { return strings.TrimSpace(other) == strings.TrimSpace(line) })
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
	}
	return true
}

// trySASL: what libsasl2 is told is what Postfix is run with.
func trySASL(t *testing.T, page *readmePage, b readmeBlock) {
	if got, want := strings.TrimSpace(b.text), strings.TrimSpace(postfixSASL); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// The replies of Postfix, as TestPostfixOutcomes and tryPostfix see them.
func TestReadmePostfix(t *testing.T) {
	page := readReadme(t)
	for _, want := range []reply{
		postfixAccepted, postfixRejected, postfixTempFail,
		relayPostfixAccepted, relayPostfixRejected, relayPostfixAborted, relayPostfixTempFail,
	} {
		if !strings.Contains(page.text, "| "+want.String()+" |") {
			t.Errorf("the page does not have %q", want)
		}
	}
}

// The diffs of the snippets' own page.
func TestReadmeSnippets(t *testing.T) {
	text, err := os.ReadFile(snippet("README.md"))
	if err != nil {
		t.Fatal(err)
	}
	diffs := strings.Split(string(text), "```diff\n")[1:]
	if len(diffs) == 0 {
		t.Error("the page has no diffs")
	}
	for _, diff := range diffs {
		diff, _, _ = strings.Cut(diff, "```")
		judgeDiff(t, diff)
	}
}
