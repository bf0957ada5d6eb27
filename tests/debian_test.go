package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The split file holds the very text of extended.conf; only its first words, for
// whom and where, differ.
func TestSnippetSplitFile(t *testing.T) {
	body := func(name string) string {
		text, err := os.ReadFile(snippet(name))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(string(text), "\n# The three outcomes.")
		if !found {
			t.Fatalf("%s does not explain the three outcomes", name)
		}
		return rest
	}
	if body("20_local_imapauthd") != body("extended.conf") {
		t.Error("20_local_imapauthd and extended.conf differ")
	}
}

// Debian's own tool builds a configuration with the split file in it, and Exim
// reads that.
func TestSnippetDebian(t *testing.T) {
	tool := needPeer(t, "update-exim4.conf", "exim4-config")
	program := needPeer(t, "exim4", "exim4-daemon-heavy")
	needRoot(t, "exim4")
	dir := shortDir(t)
	conf := filepath.Join(dir, "exim4")
	if err := os.CopyFS(conf, os.DirFS("/etc/exim4")); err != nil {
		t.Skipf("Debian's /etc/exim4 cannot be copied: %v", err)
	}
	text, err := os.ReadFile(snippet("20_local_imapauthd"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(conf, "conf.d", "auth", "20_local_imapauthd"), string(text))
	writeFile(t, filepath.Join(conf, "update-exim4.conf.conf"),
		"dc_eximconfig_configtype='local'\ndc_local_interfaces='127.0.0.1'\ndc_use_split_config='true'\n")
	merged := filepath.Join(dir, "merged")
	if out, err := exec.Command(tool, "--confdir", conf, "--output", merged).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", tool, err, out)
	}
	for _, macros := range [][]string{nil, {"-DAUTH_SERVER_ALLOW_NOTLS_PASSWORDS=yes"}} {
		out, err := exec.Command(program, append(macros, "-C", merged, "-bP", "authenticators")...).CombinedOutput()
		if err != nil {
			t.Fatalf("exim4 -bP authenticators: %v\n%s", err, out)
		}
		got := string(out)
		for want, n := range map[string]int{
			"imapauthd_plain authenticator:": 1, "imapauthd_login authenticator:": 1,
			"readsocket{/run/imapauthd/readsocket.sock}": 4, // asking and forgetting, twice
			"server_advertise_condition = ${if def:tls":  2 * (1 - len(macros)),
		} {
			if strings.Count(got, want) != n {
				t.Errorf("with %q: want %q %d times in:\n%s", macros, want, n, got)
			}
		}
	}
}
