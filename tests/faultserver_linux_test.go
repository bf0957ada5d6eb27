package tests

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Dovecot falls ill and recovers, in each way, while the daemon runs. Who is remembered
// does not notice, nobody is told a verdict that Dovecot did not give, those who must
// wait do so within the budget, and the first login after it is a verdict again.
func TestFaultServer(t *testing.T) {
	for name, tt := range map[string]struct {
		add          string // to Dovecot's configuration
		begin, end   func(*testing.T, *dovecot)
		flight       []string // what the login may be told that Dovecot had heard before
		right, wrong string   // and those that come meanwhile
		silent       bool     // these wait for the budget; else they are told at once
	}{
		"killed": {
			begin: func(t *testing.T, d *dovecot) {
				syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
				<-d.done
				d.stopped = true
			},
			end:    func(t *testing.T, d *dovecot) { d.start(t) },
			flight: []string{temp}, right: temp, wrong: temp,
		},
		"hung": {
			begin:  func(t *testing.T, d *dovecot) { d.hang(t) },
			end:    func(t *testing.T, d *dovecot) { d.resume(t) },
			flight: []string{temp}, right: temp, wrong: temp, silent: true,
		},
		"restarted": {
			begin:  func(t *testing.T, d *dovecot) { d.stop(t) },
			end:    func(t *testing.T, d *dovecot) { d.start(t) },
			flight: []string{no, temp}, right: temp, wrong: temp, // it may end what it has begun
		},
		// No process is left for a session: Dovecot has found the password right, and says NO.
		"full": {
			add: "service imap {\n  process_limit = 2\n}\n",
			begin: func(t *testing.T, d *dovecot) {
				for range 2 {
					d.session(t, "", "dave", "holds sessions")
				}
			},
			end:    func(t *testing.T, d *dovecot) { d.leave(t) },
			flight: []string{no}, right: temp, wrong: no, silent: true,
		},
		// The master starts no more processes, and nobody takes the connections.
		"out of descriptors": {
			begin: func(t *testing.T, d *dovecot) {
				limitFiles(t, d.cmd.Process.Pid, 0)
				d.crowd(t)
			},
			end: func(t *testing.T, d *dovecot) {
				limitFiles(t, d.cmd.Process.Pid, 1024)
				d.leave(t)
			},
			flight: []string{no}, right: temp, wrong: temp, silent: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			users := map[string]string{"dave": "holds sessions"}
			maps.Copy(users, accounts)
			imap := startDovecot(t, dovecotOptions{users: users, failureDelay: "2s", add: tt.add})
			// Without warm connections, so that those of Dovecot's are counted.
			d := serveConfig(t, fmt.Sprintf("timeout = %q\n%s", faultTimeout, serverTOML(imap.url(), "warm = 0")))
			d.hides(accounts["bob"])
			expect := func(phase, user, password, want string, most time.Duration) {
				t.Helper()
				start := time.Now()
				if got := ask(t, d.socket, plainRequest(user, password)); got != want {
					t.Errorf("%s: %s, %q: got %q, want %q", phase, user, password, got, want)
				}
				within(t, start, most)
			}
			expect("before", "alice", accounts["alice"], yes, faultTimeout)
			expect("before", "alice", "a wrong password", no, faultTimeout)

			flight := make(chan string, 1)
			go func() {
				reply, err := exchange(d.socket, plainRequest("carol", "a wrong password"), true)
				flight <- reply + cause(err)
			}()
			eventually(t, "Dovecot to hear of it", func() bool { _, n := imap.logins(t, "carol"); return n == 1 })
			tt.begin(t, imap)
			most := quick
			if tt.silent {
				most += faultTimeout
			}
			start := time.Now()
			var others sync.WaitGroup
			for request, want := range map[string]string{
				plainRequest("bob", accounts["bob"]):            tt.right,
				plainRequest("alice", "another wrong password"): tt.wrong,
			} {
				others.Go(func() {
					if got := ask(t, d.socket, request); got != want {
						t.Errorf("meanwhile: %q: got %q, want %q", request, got, want)
					}
					within(t, start, most)
				})
			}
			expect("meanwhile", "alice", accounts["alice"], yes, quick)
			expect("meanwhile", "alice", "a wrong password", no, quick)
			if got := <-flight; !slices.Contains(tt.flight, got) {
				t.Errorf("in flight: got %q, want one of %q", got, tt.flight)
			}
			if !tt.silent {
				within(t, start, quick)
			}
			others.Wait()

			tt.end(t, imap)
			expect("after", "carol", accounts["carol"], yes, quick)
			expect("after", "alice", "a third wrong password", no, faultTimeout)
			eventually(t, "the login that was given up to be asked again", func() bool {
				return ask(t, d.socket, plainRequest("bob", accounts["bob"])) == yes
			})
		})
	}
}

// crowd takes what is left of Dovecot's processes until there is no greeting. leave ends
// that, and all sessions.
func (d *dovecot) crowd(t *testing.T) {
	t.Helper()
	for range 20 {
		conn, err := net.Dial("tcp", loopback(d.port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		d.held = append(d.held, conn)
		conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 200)); err != nil {
			return
		}
	}
	t.Fatal("Dovecot never has enough of connections")
}

func (d *dovecot) leave(t *testing.T) {
	t.Helper()
	for _, conn := range d.held {
		conn.Close()
	}
	d.held = nil
	eventually(t, "Dovecot to have room", func() bool { return greets(loopback(d.port), "* OK") })
}
