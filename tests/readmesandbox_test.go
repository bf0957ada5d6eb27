package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sandbox is where the page's commands run: the real programs, on files of the
// sandbox, but for those that would change the machine.
type sandbox struct {
	dir   string
	pairs []string // what is replaced in a script, and by what
}

// standIns play the programs that would change the machine. The real make builds and
// installs a copy of the module; of its other targets it shows the commands alone.
var standIns = map[string]string{
	"adduser":           `echo adduser "$@"`,
	"systemctl":         `echo systemctl "$@"`,
	"imapauthd":         `[ "$1" != config ] || set -- "$@" --config "$dir/etc/imapauthd.toml"; exec "$binary" "$@"`,
	"update-exim4.conf": `exec update-exim4.conf --confdir "$dir/etc/exim4" --output "$dir/merged"`,
	"make": `cd "$root"
steps=$(make -n --no-print-directory "$1") || exit
echo "$steps"
[ "$1" != demo ] || exec "$binary" demo </dev/null
[ "$1" = build ] || [ "$1" = install ] || exit 0
cp -r *.go go.mod go.sum Makefile proto cache imap exim-snippets "$dir/src"
cd "$dir/src"
if make -n DESTDIR="$dir/installed" "$1" | grep '^install' | grep -v " $dir/installed/"; then
	echo "make $1 ignores DESTDIR"; exit 1
fi
exec make DESTDIR="$dir/installed" "$1"`,
}

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	s := &sandbox{dir: shortDir(t)}
	s.pairs = []string{"/etc/", s.dir + "/etc/", "/usr/local/", s.dir + "/usr/local/", "/var/", s.dir + "/var/", "-o imapauthd", "-o nobody", "-g postfix", "-g nogroup"}
	for _, dir := range []string{"bin", "etc", "src", "usr/local/bin"} {
		if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	share := filepath.Join(s.dir, "usr/local/share/imapauthd/exim")
	if err := os.CopyFS(share, os.DirFS(filepath.Join(moduleRoot(), "exim-snippets"))); err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("#!/bin/sh\nset -u\ndir=%q root=%q binary=%q\nPATH=${PATH#*:}\n", s.dir, moduleRoot(), daemonBinary(t))
	for name, script := range standIns {
		if err := os.WriteFile(filepath.Join(s.dir, "bin", name), []byte(head+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

var (
	// commandWord finds the program that a line, or a part of it, starts.
	commandWord = regexp.MustCompile(`(?:^|&&|;|\||\x60|\$\()\s*(?:\w+=\S*\s+)*([^\s;&|#]+)`)
	// absolutePath finds the files that a script names.
	absolutePath = regexp.MustCompile(`(?:^|[\s<>'"=])(/[\w.][^\s;'"]*)`)
)

// run runs a script of the page, and returns all that it prints. The tests may be
// root: programs and files that are not known are not touched.
func (s *sandbox) run(t *testing.T, script, stdin string) (string, error) {
	t.Helper()
	for line := range strings.Lines(script) {
		line, _, _ = strings.Cut(line, " #")
		for _, m := range commandWord.FindAllStringSubmatch(line, -1) {
			debianPackage, known := readmeCommands[m[1]]
			if !known {
				t.Fatalf("the page's command %q is not one of readmeCommands", m[1])
			}
			if debianPackage != "" {
				needPeer(t, m[1], debianPackage)
			}
		}
	}
	run := strings.NewReplacer(s.pairs...).Replace(script)
	for line := range strings.Lines(run) {
		line, _, _ = strings.Cut(line, " #")
		for _, m := range absolutePath.FindAllStringSubmatch(line, -1) {
			if !strings.HasPrefix(m[1], s.dir+"/") && !slices.Contains(s.pairs, m[1]) && m[1] != os.DevNull && m[1] != "/nonexistent" {
				t.Fatalf("the page's file %s is not the sandbox's", m[1])
			}
		}
	}
	cmd := exec.Command("sh", "-ec", run)
	cmd.Dir, cmd.Stdin = s.dir, strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "PATH="+s.dir+"/bin:"+os.Getenv("PATH")+":/usr/sbin:/sbin")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
