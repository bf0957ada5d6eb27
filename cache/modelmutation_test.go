package cache

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var modelMutations = flag.Bool("mutations", false, "seed each of the model's mutations and see it found")

// mutation is a bug seeded in one rule, as pairs of what stands in the code and what
// stands there then. The model must find it within the sequences of a plain run.
type mutation struct {
	rule  string
	found int // after so many sequences, once
	edits []string
}

// TestModelFinds sees the model find each of the mutations, with -mutations, for it
// builds the tests once for each. Without, it holds that the table fits the code.
func TestModelFinds(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	code := make(map[string]string)
	for _, file := range files {
		if text, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		} else if !strings.HasSuffix(file, "_test.go") {
			code[file] = string(text)
		}
	}
	for _, m := range mutations {
		t.Run(m.rule, func(t *testing.T) {
			overlay := m.seed(t, code)
			if !*modelMutations {
				return
			}
			cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-timeout=2m", "-overlay="+overlay, "-run=^TestModel$", ".",
				fmt.Sprint("-seed=", *modelSeed), fmt.Sprint("-sequences=", *modelSequences))
			cmd.WaitDelay = 10 * time.Second
			out, _ := cmd.CombinedOutput()
			if found := regexp.MustCompile(`sequence (\d+),.*`).FindSubmatch(out); found != nil {
				t.Logf("after %s sequences, once after %d: %s", found[1], m.found, found[0])
			} else {
				t.Errorf("not found:\n%.2000s", out)
			}
		})
	}
}

// seed returns an overlay for the go command in which the edits are made.
func (m mutation) seed(t *testing.T, code map[string]string) string {
	dir, replace := t.TempDir(), make(map[string]string)
	changed := make(map[string]string)
	for i := 0; i < len(m.edits); i += 2 {
		places := 0
		for file, text := range code {
			if done, ok := changed[file]; ok {
				text = done
			}
			if n := strings.Count(text, m.edits[i]); n > 0 {
				places += n
				changed[file] = strings.Replace(text, m.edits[i], m.edits[i+1], 1)
			}
		}
		if places != 1 {
			t.Fatalf("%q stands in %d places of the code", m.edits[i], places)
		}
	}
	for file, text := range changed {
		path, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		replace[path] = filepath.Join(dir, file)
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
