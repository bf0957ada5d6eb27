package tests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dnsServer is a dnsmasq of the test's own that answers for all of .test and asks
// nobody else. It listens on port 53, because /etc/resolv.conf can name no other,
// of a loopback address of its own.
type dnsServer struct {
	addr string // 127.x.y.z
	out  *output

	records []string
	cmd     *exec.Cmd
	done    chan struct{}
	stopped bool
}

// startDNS starts a server with records, which are options of dnsmasq:
//
//	srv-host=NAME,TARGET,PORT,PRIORITY,WEIGHT   without a target: "."
//	host-record=NAME,ADDRESS
//	cname=NAME,TARGET
//	local-ttl=SECONDS                           of all the others; else 0
//
// A name of which there is no record does not exist, and no SOA record says for how
// long. That is what caches of dnsmasq's kind say, too.
func startDNS(t *testing.T, records ...string) *dnsServer {
	t.Helper()
	needPeer(t, "dnsmasq", "dnsmasq-base")
	needRoot(t, "dnsmasq")
	needPeer(t, "unshare", "util-linux")
	needPeer(t, "mount", "mount")
	if out, err := exec.Command("unshare", "--mount", "--propagation", "unchanged", "true").CombinedOutput(); err != nil {
		missingPeer(t, fmt.Sprintf("mount namespaces (%s)", bytes.TrimSpace(out)))
	}
	d := &dnsServer{addr: freeDNSAddress(t), out: &output{}, records: records}
	d.start(t)
	t.Cleanup(func() { d.stop(t) })
	return d
}

// freeDNSAddress picks an address by lot, so that tests that run side by side do
// not meet, and looks whether somebody else is there.
func freeDNSAddress(t *testing.T) string {
	t.Helper()
	for {
		addr := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
		udp, err := net.ListenPacket("udp", addr+":53")
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		udp.Close()
		return addr
	}
}

func (d *dnsServer) start(t *testing.T) {
	t.Helper()
	args := []string{"--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--group=root",
		"--no-resolv", "--no-hosts", "--local=/test/", "--cache-size=0", "--bind-interfaces", "--listen-address=" + d.addr,
		"--log-facility=-", "--log-queries"}
	for _, r := range d.records {
		args = append(args, "--"+r)
	}
	d.cmd = exec.Command(needPeer(t, "dnsmasq", "dnsmasq-base"), args...)
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	startGroup(t, d.cmd)
	d.done, d.stopped = make(chan struct{}), false
	go func(cmd *exec.Cmd, done chan struct{}) { cmd.Wait(); close(done) }(d.cmd, d.done)
	eventually(t, "dnsmasq to answer", func() bool {
		select {
		case <-d.done:
			t.Fatalf("dnsmasq ended at start:\n%s", d.out)
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := d.resolver().LookupTXT(ctx, "harness.test.")
		dnsErr, _ := errors.AsType[*net.DNSError](err)
		return dnsErr != nil && dnsErr.IsNotFound
	})
}

func (d *dnsServer) stop(t *testing.T) {
	t.Helper()
	if d.stopped {
		return
	}
	d.stopped = true
	d.resume(t)
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(patience):
		d.cmd.Process.Kill()
		t.Errorf("dnsmasq still ran %v after SIGTERM", patience)
	}
	if t.Failed() {
		t.Logf("dnsmasq said:\n%.20000s", d.out)
	}
}

// set replaces the records, which dnsmasq does only by a restart.
func (d *dnsServer) set(t *testing.T, records ...string) {
	t.Helper()
	d.stop(t)
	d.records = records
	d.start(t)
}

// hang stops the server where it is: no query is answered, and none is refused.
// resume lets it go on, with the queries that came meanwhile.
func (d *dnsServer) hang(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

func (d *dnsServer) resume(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGCONT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
}

// queries returns how many queries of a type there were, for a name. The log may be
// late, and is whole when the server has stopped.
func (d *dnsServer) queries(kind, name string) int {
	return countLines(d.out.String(), "query["+kind, "] "+name)
}

// resolver returns a resolver for the test itself.
func (d *dnsServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(d.addr, "53"))
	}}
}

// command returns a command whose only DNS server is this one: it runs in a mount
// namespace in which other files stand for /etc/resolv.conf and /etc/nsswitch.conf.
// The latter may send glibc past DNS, to systemd-resolved.
func (d *dnsServer) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	dir := shortDir(t)
	// Propagation is left as it is, because a chroot whose / is no mount point can
	// change none; where it can, nothing that follows may reach the machine.
	script := "mount --make-rprivate / 2>/dev/null\n"
	for path, text := range map[string]string{
		"/etc/resolv.conf":   "nameserver " + d.addr + "\n",
		"/etc/nsswitch.conf": "hosts: files dns\n",
	} {
		target, err := filepath.EvalSymlinks(path) // a mount on a link is one on its target
		if errors.Is(err, os.ErrNotExist) && path == "/etc/nsswitch.conf" {
			continue // the same is what glibc and Go do without it
		}
		if err != nil {
			missingPeer(t, "a machine with DNS ("+err.Error()+")")
		}
		source := filepath.Join(dir, filepath.Base(path))
		writeFile(t, source, text)
		script += fmt.Sprintf("mount --bind %q %q || exit 75\n", source, target)
		expectUnmounted(t, target)
	}
	script += `exec "$0" "$@"`
	return exec.Command("unshare", append([]string{"--mount", "--propagation", "unchanged", "sh", "-c", script, name}, args...)...)
}

// expectUnmounted fails the test if what was mounted over a file in the other
// namespace shows up here, and takes it away: that is a chroot in a shared mount.
func expectUnmounted(t *testing.T, file string) {
	t.Helper()
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
			syscall.Unmount(file, 0)
			t.Errorf("the test's %s was mounted on the machine's own", file)
		}
	})
}

// serveDNS is serveConfig for a daemon that asks this DNS server. A variable of the
// environment may follow.
func serveDNS(t *testing.T, dns *dnsServer, text string, env ...string) *daemon {
	t.Helper()
	socket, file := configFile(t, text)
	cmd := dns.command(t, daemonBinary(t), "serve", "--config", file)
	cmd.Env = append(os.Environ(), env...)
	return startCommand(t, socket, cmd)
}

func TestHarnessDNS(t *testing.T) {
	d := startDNS(t, "srv-host=_imaps._tcp.example.test,mail.example.test,1993,10,20", "host-record=mail.example.test,127.0.0.1", "local-ttl=7")
	lookup := func() (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, records, err := d.resolver().LookupSRV(ctx, "imaps", "tcp", "example.test")
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%+v", *records[0]), nil
	}
	if got, err := lookup(); got != "{Target:mail.example.test. Port:1993 Priority:10 Weight:20}" {
		t.Errorf("got %s, %v", got, err)
	}
	eventually(t, "the query in the log", func() bool { return d.queries("SRV", "_imaps._tcp.example.test") == 1 })
	d.hang(t)
	if got, err := lookup(); err == nil {
		t.Errorf("a hung server said %s", got)
	}
	d.resume(t)
	if _, err := lookup(); err != nil {
		t.Errorf("after the hang: %v", err)
	}
	d.set(t, "srv-host=_imaps._tcp.example.test")
	if got, err := lookup(); got != "{Target:. Port:1 Priority:0 Weight:0}" {
		t.Errorf("changed: got %s, %v", got, err)
	}
	d.stop(t)
	if got, err := lookup(); err == nil {
		t.Errorf("a stopped server said %s", got)
	}
	d.start(t)
	if _, err := lookup(); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

// A command in the namespace asks the server alone; here nothing has changed.
func TestHarnessDNSNamespace(t *testing.T) {
	d := startDNS(t, "host-record=mail.example.test,127.9.9.9")
	before, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.command(t, "getent", "ahostsv4", "mail.example.test").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "127.9.9.9 ") {
		t.Errorf("got %q, %v", out, err)
	}
	eventually(t, "the query in the log", func() bool { return d.queries("A", "mail.example.test") > 0 })
	if after, err := os.ReadFile("/etc/resolv.conf"); err != nil || string(after) != string(before) {
		t.Errorf("/etc/resolv.conf is %q, %v; it was %q", after, err, before)
	}
}

// The daemon finds a server's name there, whichever resolver it was built with, and
// asks anew when it dials.
func TestDNSName(t *testing.T) {
	for _, resolver := range []string{"go", "cgo"} {
		t.Run(resolver, func(t *testing.T) {
			t.Parallel()
			imap := startIMAP(t, verdicts(users(accounts)))
			dns := startDNS(t)
			d := serveDNS(t, dns, serverTOML(fmt.Sprint("imap://mail.example.test:", imap.port), "any_domain = true"), "GODEBUG=netdns="+resolver)
			d.hides(accounts["alice"])
			request := plainRequest("alice", accounts["alice"])
			if got := ask(t, d.socket, request); got != temp {
				t.Errorf("no such name: got %q, want %q", got, temp)
			}
			dns.set(t, "host-record=mail.example.test,127.0.0.1")
			eventually(t, "the name to be found", func() bool { return ask(t, d.socket, request) == yes })
		})
	}
}
