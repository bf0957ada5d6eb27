package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pkg is what "go list" tells of a package.
type pkg struct {
	ImportPath, Name, Dir                              string
	GoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
	Imports                                            []string
}

// listPackages returns the packages of the module.
func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json", "./...")
	cmd.Dir = moduleRoot()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// allowed lists what each room may import of ours (DESIGN §1). A room that is not
// here has no place in the house.
var allowed = map[string][]string{
	"imapauthd/proto":       {},
	"imapauthd/cache":       {"imapauthd/proto"},
	"imapauthd/cache/guard": {"imapauthd/proto"},
	"imapauthd/imap":        {"imapauthd/proto"},
	"imapauthd/tests":       {},
}

// Imports point one way: main to everything, the rooms to proto, proto to none.
func TestImports(t *testing.T) {
	for _, p := range listPackages(t) {
		may, known := allowed[p.ImportPath]
		switch {
		case p.ImportPath == "imapauthd":
			continue // main assembles
		case strings.HasPrefix(p.ImportPath, "imapauthd/proto/"):
			may, known = []string{"imapauthd/proto"}, true
		}
		if !known {
			t.Errorf("%s is no room of DESIGN §1", p.ImportPath)
		}
		for _, i := range p.Imports {
			if (i == "imapauthd" || strings.HasPrefix(i, "imapauthd/")) && !slices.Contains(may, i) {
				t.Errorf("%s imports %s", p.ImportPath, i)
			}
		}
	}
}

// Every package has one package comment, and it names the package.
func TestPackageComments(t *testing.T) {
	for _, p := range listPackages(t) {
		var docs []string
		for _, f := range parse(t, p, slices.Concat(p.GoFiles, p.IgnoredGoFiles)) {
			if f.tree.Doc != nil {
				docs = append(docs, f.tree.Doc.Text())
			}
		}
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "Imapauthd "
		}
		if len(docs) != 1 {
			t.Errorf("%s has %d package comments, want 1", p.ImportPath, len(docs))
		} else if !strings.HasPrefix(docs[0], want) && !strings.HasPrefix(docs[0], strings.ToLower(want)) && !strings.HasPrefix(docs[0], "Command ") {
			t.Errorf("%s: its package comment begins %.30q, want %q", p.ImportPath, docs[0], want)
		}
	}
}

// revealers are the only files that see a password in clear (STYLE, DESIGN §3.2).
var revealers = []string{"cache/key.go", "imap/conn.go"}

// Password.Reveal is used nowhere else. Every use of the name counts, not only
// calls, so that a method value does not slip through.
func TestReveal(t *testing.T) {
	used := make(map[string]bool)
	for _, p := range listPackages(t) {
		for _, f := range parse(t, p, slices.Concat(p.GoFiles, p.IgnoredGoFiles)) {
			ast.Inspect(f.tree, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Reveal" {
					used[f.path] = true
					if !slices.Contains(revealers, f.path) {
						t.Errorf("%s uses Reveal", f.path)
					}
				}
				return true
			})
		}
	}
	for _, path := range revealers {
		if !used[path] {
			t.Errorf("%s does not use Reveal: is this test still right?", path)
		}
	}
}

// source is a parsed file; path is relative to the module's root.
type source struct {
	path string
	tree *ast.File
}

func parse(t *testing.T, p pkg, names []string) []source {
	t.Helper()
	var all []source
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue // IgnoredGoFiles holds those of other systems too
		}
		full := filepath.Join(p.Dir, name)
		tree, err := parser.ParseFile(token.NewFileSet(), full, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		path, err := filepath.Rel(moduleRoot(), full)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{filepath.ToSlash(path), tree})
	}
	return all
}
