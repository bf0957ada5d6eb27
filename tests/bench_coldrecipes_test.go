//go:build linux

package tests

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// coldPerl is an Exim that has the wiki's routine read once (perl_at_start) and forks
// for each of its clients.
const coldPerl = `do shift; die $@ if $@; $| = 1;
while (<STDIN>) {
	chomp;
	my $pid = fork // die $!;
	exit(imapLogin(split /\t/) ? 0 : 1) unless $pid;
	waitpid $pid, 0;
	print $? ? "no\n" : "yes\n";
}`

func startColdPerl(t *testing.T, p *coldPeer, at coldPlace) {
	text, err := os.ReadFile(filepath.Join("testdata", "wiki", "perl.pl"))
	if err != nil {
		t.Fatal(err)
	}
	modules := "-MNet::IMAP::Simple"
	if at.tls {
		modules = "-MIO::Socket::SSL"
		text = []byte(strings.Replace(string(text), "->new($host)", "->new($host, use_ssl => 1)", 1))
	}
	if err := exec.Command("perl", modules, "-e1").Run(); err != nil {
		missingPeer(t, "Perl's Net::IMAP::Simple and IO::Socket::SSL (Debian packages libnet-imap-simple-perl, libio-socket-ssl-perl)")
	}
	file := filepath.Join(shortDir(t), "perl.pl")
	writeFile(t, file, string(text))
	var ask []func(string) (string, error)
	group := 0
	for range at.clients {
		cmd := exec.Command("perl", "-e", coldPerl, file)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if group == 0 {
			startGroup(t, cmd)
			group = cmd.Process.Pid
		} else {
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: group}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { in.Close(); cmd.Wait() })
		lines := bufio.NewReader(out)
		ask = append(ask, func(line string) (string, error) {
			if _, err := io.WriteString(in, line); err != nil {
				return "", err
			}
			return lines.ReadString('\n')
		})
	}
	p.cpu = func(t *testing.T) time.Duration { return groupCPU(t, group) }
	p.login = timed(func(client int) error {
		user, password := coldUser(client)
		got, err := ask[client](fmt.Sprintf("%s\t%s\t%s\n", loopback(at.port), user, password))
		if err == nil && got != "yes\n" {
			err = fmt.Errorf("got %q", got)
		}
		return err
	})
}

// startColdPython starts the wiki's script for each login, as Exim's ${run} does.
func startColdPython(t *testing.T, p *coldPeer, at coldPlace) {
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		missingPeer(t, "/usr/bin/python3 (Debian package python3)")
	}
	var used atomic.Int64
	p.cpu = func(*testing.T) time.Duration { return time.Duration(used.Load()) }
	p.login = timed(func(client int) error {
		user, password := coldUser(client)
		cmd := exec.Command("/usr/bin/python3", filepath.Join("testdata", "wiki", "checkimappw.py"), loopback(at.port), user, password)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState != nil {
			used.Add(int64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()))
		}
		if string(out) != "OK\n" {
			err = fmt.Errorf("got %q, %v", out, err)
		}
		return err
	})
}
