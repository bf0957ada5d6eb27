package tests

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The words of a fence ("```sh") are what a block is, and with the heading above it
// they are how it is tried. What is not here fails.
var readmeKinds = map[string]func(*testing.T, *readmePage, readmeBlock){
	"console": tryConsole,
	"diff":    tryDiff,
	"dovecot": tryDovecot,
	"exim":    tryExim,
	"log":     tryLog,
	"mermaid": tryMermaid,
	"postfix": tryPostfix,
	"sasl":    trySASL,
	"sh":      tryShell,
	"systemd": trySystemd,
	"toml":    tryTOML,
}

// readmeCommands are the programs that blocks of commands may start, with Debian's
// package; without one they are the shell's, or played by standIns.
var readmeCommands = map[string]string{
	"adduser": "", "echo": "", "imapauthd": "", "set": "", "systemctl": "",
	"base64": "coreutils", "openssl": "openssl",
	"install": "coreutils", "ls": "coreutils", "make": "make", "ps": "procps", "runuser": "util-linux", "sed": "sed",
	"ss": "iproute2", "swaks": "swaks", "update-exim4.conf": "exim4-config",
}

type readmeBlock struct {
	line                int
	kind, heading, text string
}

type readmePage struct {
	text   string
	blocks []readmeBlock
}

// readReadme cuts the page into its blocks. Code that stands in no fence, or in an
// odd one, would not be tried, so there must be none.
func readReadme(t *testing.T) *readmePage {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	page, heading, n := &readmePage{text: string(text)}, "", 0
	var open *readmeBlock
	for line := range strings.Lines(page.text) {
		n++
		kind, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && open == nil:
			open = &readmeBlock{line: n, kind: kind, heading: heading}
		case fence:
			page.blocks = append(page.blocks, *open)
			open = nil
		case open != nil:
			open.text += line
		case strings.HasPrefix(line, "#"):
			heading = strings.Trim(line, "# \n")
		case strings.HasPrefix(line, "    "), strings.HasPrefix(line, "\t"), strings.Contains(line, "~~~"):
			t.Errorf("README.md:%d: code without a fence of three backticks", n)
		}
	}
	if open != nil {
		t.Errorf("README.md:%d: the block does not end", open.line)
	}
	return page
}

// under returns the blocks of a kind below a heading.
func (p *readmePage) under(heading, kind string) (found []readmeBlock) {
	for _, b := range p.blocks {
		if b.heading == heading && b.kind == kind {
			found = append(found, b)
		}
	}
	return found
}

// tables returns the rows of every table below a heading, cells trimmed.
func (p *readmePage) tables(heading string) (tables [][][]string) {
	_, rest, _ := strings.Cut(p.text, "\n## "+heading+"\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	before := ""
	for line := range strings.Lines(rest) {
		if row := strings.Trim(line, "| \n"); strings.HasPrefix(line, "|") && strings.Trim(row, "-| ") != "" {
			if !strings.HasPrefix(before, "|") {
				tables = append(tables, nil) // and the first row is its head
			} else {
				last := len(tables) - 1
				tables[last] = append(tables[last], strings.Split(row, " | "))
			}
		}
		before = line
	}
	return tables
}

func TestReadmeBlocks(t *testing.T) {
	page := readReadme(t)
	for _, b := range page.blocks {
		t.Run(fmt.Sprintf("line %d %s", b.line, b.kind), func(t *testing.T) {
			try := readmeKinds[b.kind]
			if try == nil {
				t.Fatalf("README.md:%d: nobody tries blocks of kind %q", b.line, b.kind)
			}
			try(t, page, b)
		})
	}
}

// readmePeers are what commands of the page talk to: a Dovecot with alice, whose
// password is in password.txt, with cert.pem as its certificate, which ca.pem signed.
func readmePeers(t *testing.T) (*dovecot, *sandbox) {
	t.Helper()
	d := startDovecot(t, dovecotOptions{users: map[string]string{"alice": "secret", "alice@example.com": "secret"}})
	s := newSandbox(t)
	s.pairs = append(s.pairs, "imap.example.com", d.tlsAddr())
	for from, to := range map[string]string{d.ca.caFile: "ca.pem", filepath.Join(d.dir, "cert.pem"): "cert.pem"} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(s.dir, to), string(text))
	}
	writeFile(t, filepath.Join(s.dir, "password.txt"), "secret\n")
	writeFile(t, filepath.Join(s.dir, "etc/imapauthd.toml"), fmt.Sprintf("[[server]]\nurl = [\"imaps://%s\"]\nca_file = %q\n", d.tlsAddr(), filepath.Join(s.dir, "ca.pem")))
	return d, s
}

func tryShell(t *testing.T, page *readmePage, b readmeBlock) {
	s := newSandbox(t)
	if strings.Contains(b.text, "install -d -o") {
		needRoot(t, "install -o")
	}
	for _, example := range page.under(b.heading, "toml") {
		text := postfixGroup.Replace(example.text)
		needGroup(t, text)
		writeFile(t, filepath.Join(s.dir, "etc", "imapauthd.toml"), text)
	}
	debian, send := strings.Contains(b.text, "update-exim4.conf"), strings.Contains(b.text, "swaks ")
	if debian {
		copyDebian(t, s, strings.Contains(b.text, "conf.d"))
	}
	if send {
		imap, _ := readmePeers(t)
		d := serve(t, imap.url())
		openToAll(t, d.socket)
		e := startExim(t, snippet("extended.conf"), d.socket)
		s.pairs = append(s.pairs, "mail.example.com", loopback(e.port))
	}
	out, err := s.run(t, b.text, "secret\n")
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if debian {
		ours, want := "= ${readsocket{/run/imapauthd/readsocket.sock}", 2
		if strings.Contains(b.text, "dovecot.conf") {
			ours, want = "= /run/imapauthd/auth-client", len(relayMechanisms)
		}
		got, err := exec.Command(needPeer(t, "exim4", "exim4-daemon-heavy"), "-C", s.dir+"/merged", "-bP", "authenticators").CombinedOutput()
		if n := strings.Count(string(got), ours); err != nil || n != want {
			t.Errorf("Exim has %d authenticators of ours, want %d (%v):\n%s", n, want, err, got)
		}
	}
	if send && !strings.Contains(out, "235 Authentication succeeded") {
		t.Errorf("no 235 in:\n%s", out)
	}
	if strings.Contains(b.text, "make install") {
		for _, path := range []string{"bin/imapauthd", "share/imapauthd/exim/extended.conf"} {
			if _, err := os.Stat(filepath.Join(s.dir, "installed/usr/local", path)); err != nil || !strings.Contains(b.text, filepath.Dir("/usr/local/"+path)) {
				t.Errorf("make install and the page do not agree about %s (%v); it said:\n%s", path, err, out)
			}
		}
	}
}

// copyDebian puts Debian's own files for Exim into the sandbox.
func copyDebian(t *testing.T, s *sandbox, split bool) {
	t.Helper()
	needPeer(t, "update-exim4.conf", "exim4-config")
	needRoot(t, "exim4")
	conf := filepath.Join(s.dir, "etc", "exim4")
	if err := os.CopyFS(conf, os.DirFS("/etc/exim4")); err != nil {
		missingPeer(t, "Debian's /etc/exim4 ("+err.Error()+")")
	}
	writeFile(t, filepath.Join(conf, "update-exim4.conf.conf"), fmt.Sprintf(
		"dc_eximconfig_configtype='local'\ndc_local_interfaces='127.0.0.1'\ndc_use_split_config='%t'\n", split))
}

// needGroup skips the test of a configuration whose group comes with a peer.
func needGroup(t *testing.T, text string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^\s*group = "?([\w-]+)`).FindAllStringSubmatch(text, -1) {
		if _, err := user.LookupGroup(m[1]); err != nil {
			missingPeer(t, "the group "+m[1]+" (Debian has it with exim4-base and with base-passwd)")
		}
	}
}

// same compares an output with the page's lines, but for times, ports and paths; "…"
// stands for anything.
func same(t *testing.T, got, want string) {
	t.Helper()
	plain := func(s string) string {
		for pattern, word := range map[string]string{
			` +\d+\.\d+ ms`:            " TIME",
			`127\.0\.0\.1:\d+`:         "ADDRESS",
			`[^ ]*/imapauthd-demo-\d+`: "FOLDER",
			`time=\S+`:                 "TIME",
			`elapsed=\S+`:              "ELAPSED",
		} {
			s = regexp.MustCompile(pattern).ReplaceAllString(s, word)
		}
		return strings.TrimSpace(s)
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(plain(want)), "…", ".*")
	if !regexp.MustCompile("^" + pattern + "$").MatchString(plain(got)) {
		t.Errorf("got:\n%s\nwant:\n%s", plain(got), plain(want))
	}
}

// tryConsole runs what stands behind "$ " and compares what is printed.
func tryConsole(t *testing.T, page *readmePage, b readmeBlock) {
	s, addr := newSandbox(t), "none"
	if strings.Contains(b.text, "imap.example.com") || strings.Contains(b.text, "cert.pem") {
		var d *dovecot
		d, s = readmePeers(t)
		addr = d.tlsAddr()
	}
	for _, part := range strings.Split("\n"+b.text, "\n$ ")[1:] {
		command, want, _ := strings.Cut(part, "\n")
		out, err := s.run(t, "set +e; "+command, "")
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
		same(t, strings.ReplaceAll(out, addr, "imap.example.com"), want)
	}
}

// tryMermaid knows the little of the language that the page uses.
func tryMermaid(t *testing.T, page *readmePage, b readmeBlock) {
	head, edges, _ := strings.Cut(b.text, "\n")
	edge := regexp.MustCompile(`^  \w+(\[[\w ]+\])? (-->|-\.->)\|[\w ,.]+\| \w+(\[[\w ]+\])?$`)
	for line := range strings.Lines(edges) {
		if !edge.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("no edge: %q", line)
		}
	}
	if head != "flowchart LR" {
		t.Errorf("got %q, want a flowchart", head)
	}
}

func tryTOML(t *testing.T, page *readmePage, b readmeBlock) {
	b.text = postfixGroup.Replace(b.text)
	needGroup(t, b.text)
	print := func(text string) string {
		file := filepath.Join(t.TempDir(), "imapauthd.toml")
		writeFile(t, file, text)
		out, err := exec.Command(daemonBinary(t), "config", "--config", file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
		return string(out)
	}
	effective := print(b.text)
	if b != page.under("Configuration", "toml")[0] {
		return
	}
	if effective != print("") || effective != b.text {
		t.Errorf("the defaults are:\n%s", effective)
	}
	for _, m := range regexp.MustCompile(`(?m)^\w+`).FindAllString(effective, -1) {
		if !strings.Contains(page.text, "`"+m+"`") {
			t.Errorf("the key %s is explained nowhere", m)
		}
	}
}

// trySystemd asks systemd about the unit, and plays systemd for Type=notify. What is
// no whole unit is more of the first one.
func trySystemd(t *testing.T, page *readmePage, b readmeBlock) {
	if !strings.Contains(b.text, "ExecStart=") {
		b.text = page.under("Install", "systemd")[0].text + b.text
	}
	unit := filepath.Join(t.TempDir(), "imapauthd.service")
	writeFile(t, unit, strings.Replace(b.text, "/usr/local/bin/imapauthd", daemonBinary(t), 1))
	out, err := exec.Command(needPeer(t, "systemd-analyze", "systemd"), "verify", unit).CombinedOutput()
	if err != nil || len(out) > 0 { // a word that it does not know is no error to it
		t.Errorf("systemd-analyze verify: %v:\n%s", err, out)
	}
	path := filepath.Join(shortDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	serve(t, "imap://localhost")
	said := make([]byte, 100)
	conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := conn.Read(said); err != nil || string(said[:n]) != "READY=1" || !strings.Contains(b.text, "\nType=notify\n") {
		t.Errorf("systemd was told %q (%v), want READY=1, for Type=notify", said[:n], err)
	}
}

// tryDovecot runs Dovecot with the block, and has doveconf repeat every line of it.
func tryDovecot(t *testing.T, page *readmePage, b readmeBlock) {
	needGroup(t, b.text)
	d := startDovecot(t, dovecotOptions{users: accounts})
	d.add(t, b.text)
	if got := imapLogin(t, d, "alice", accounts["alice"]); !strings.HasPrefix(got, "a OK") {
		t.Errorf("right password: got %q", got)
	}
	out, err := exec.Command(needPeer(t, "doveconf", "dovecot-core"), "-n", "-c", d.conf).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); !slices.ContainsFunc(strings.Split(string(out), "\n"), func(got string) bool { return strings.TrimSpace(got) == line }) {
			t.Errorf("doveconf does not repeat %q", line)
		}
	}
	for _, m := range regexp.MustCompile(`(\w+) = \S+ +# stock: (\d+)`).FindAllStringSubmatch(b.text, -1) {
		setting := map[string]string{"process_limit": "default_process_limit", "process_min_avail": "service/imap-login/process_min_avail"}[m[1]]
		if setting == "" {
			setting = m[1]
		}
		if stock, err := exec.Command("doveconf", "-d", "-h", setting).Output(); err != nil || strings.TrimSpace(string(stock)) != m[2] {
			t.Errorf("%s: Dovecot's own value is %q (%v), the page has %s", setting, stock, err, m[2])
		}
	}
}

// tryExim puts the block between Exim and the Dovecot of the same heading.
func tryExim(t *testing.T, page *readmePage, b readmeBlock) {
	imap := startDovecot(t, dovecotOptions{users: accounts})
	for _, d := range page.under(b.heading, "dovecot") {
		needGroup(t, d.text)
		imap.add(t, d.text)
	}
	text := strings.ReplaceAll(b.text, "/run/dovecot/", filepath.Join(imap.dir, "run")+"/")
	text += strings.NewReplacer("_plain", "_login", "PLAIN", "LOGIN").Replace(text) // "the same once more"
	include := filepath.Join(shortDir(t), "exim.conf")
	writeFile(t, include, text)
	e := startExim(t, include, "/nonexistent")
	for mechanism, authenticate := range mechanisms {
		for password, code := range map[string]int{accounts["alice"]: authAccepted, "a wrong password": authRejected} {
			c := e.dial(t)
			if got := authenticate(c, "alice", password); got.code != code {
				t.Errorf("%s: got %v, want %d", mechanism, got, code)
			}
			c.goesOn()
		}
	}
}

// tryLog has the lines logged anew.
func tryLog(t *testing.T, page *readmePage, b readmeBlock) {
	imap := startDovecot(t, dovecotOptions{users: accounts})
	d := serve(t, imap.url())
	for _, password := range []string{accounts["alice"], "a wrong password"} {
		ask(t, d.socket, from("192.0.2.7", "alice", password))
	}
	d.stop()
	var logins strings.Builder
	for line := range strings.Lines(d.out.String()) {
		if strings.Contains(line, "msg=login") {
			logins.WriteString(line)
		}
	}
	same(t, logins.String(), b.text)
}
