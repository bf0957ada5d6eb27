package tests

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// run starts the load, until end. Each kind of client does its thing at its own pace.
func (s *soak) run() {
	for pace, kinds := range map[time.Duration][]func(){
		20 * time.Millisecond: {func() { s.right(fmt.Sprint("user", s.r.n(10))) }, func() { s.right(fmt.Sprint("user", s.r.n(10))) }},
		50 * time.Millisecond: {s.dropped},
		100 * time.Millisecond: {
			func() { s.right(fmt.Sprint("user", s.r.n(200))) },
			func() { s.right(fmt.Sprint("changing", s.r.n(5))) },
			func() { s.right(fmt.Sprint("new", 1+s.r.n(9))) }, // that there may be or not
			func() { s.wrong(fmt.Sprint("user", s.r.n(200))) },
			func() { s.wrong(fmt.Sprint("nobody", s.r.n(1_000_000))) },
			func() { s.right(fmt.Sprintf("user%d@moody.test", s.r.n(50))) },
			func() { s.wrong(fmt.Sprintf("user%d@moody.test", s.r.n(50))) },
		},
		300 * time.Millisecond: {s.silent, s.postfix},
		4 * time.Second:        {s.flood},
	} {
		for _, kind := range kinds {
			s.wg.Go(func() {
				for tick := time.NewTicker(pace); ; {
					select {
					case <-s.over:
						tick.Stop()
						return
					case <-tick.C:
						s.wg.Go(kind) // one that must wait keeps no other from coming
					}
				}
			})
		}
	}
}

func (s *soak) right(user string) { s.question(pair{user, s.truth.password(user)}) }
func (s *soak) wrong(user string) { s.question(pair{user, fmt.Sprint("guess ", s.r.n(1_000_000))}) }

// question asks over any front-end.
func (s *soak) question(p pair) {
	f := s.fronts[s.r.n(len(s.fronts))]
	asked := time.Now()
	got, err := f.ask(p)
	if err != nil {
		s.t.Errorf("%s: %q: %v", f.name, p, err)
		return
	}
	s.truth.judge(s.t, f.name, p, asked, got)
}

// flood guesses one account's password a hundred times at once.
func (s *soak) flood() {
	user := fmt.Sprint("user", s.r.n(200))
	for range 100 {
		s.wg.Go(func() { s.wrong(user) })
	}
}

// begin connects to any front-end and writes a request, or the beginning of one.
func (s *soak) begin() (conn net.Conn, err error) {
	user, password := fmt.Sprint("user", s.r.n(200)), "a password that comes in pieces"
	requests := map[string][]string{
		"readsocket": {plainRequest(user, password), extendedRequest(user, password), "mech=CRAM-MD5 rip=192.0.2.1\n"},
		"saslauthd":  {counted(user, password, "smtp", "")},
		"dovecot": {"VERSION\t1\t2\nCPID\t7\nAUTH\t1\tPLAIN\tresp=" + encode("\x00"+user+"\x00"+password) + "\n",
			"VERSION\t1\t2\nCPID\t7\nAUTH\t1\tCRAM-MD5\nAUTH\t2\tLOGIN\n"},
	}
	protocol := []string{"readsocket", "saslauthd", "dovecot"}[s.r.n(3)]
	request := requests[protocol][s.r.n(len(requests[protocol]))]
	if s.r.of(2) {
		request = request[:s.r.n(len(request))]
	}
	if conn, err = dialSocket(s.socket(protocol)); err == nil {
		io.WriteString(conn, request)
	}
	return conn, err
}

// dropped hangs up within a request, or before its answer.
func (s *soak) dropped() {
	conn, err := s.begin()
	if err != nil {
		s.t.Error(err)
		return
	}
	conn.Close()
}

// silent says no more, until the daemon hangs up, or for some seconds.
func (s *soak) silent() {
	conn, err := s.begin()
	if err != nil {
		s.t.Error(err)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if said, _ := io.ReadAll(conn); string(said) == yes || string(said) == counted("OK") || strings.Contains(string(said), "OK\t") {
		s.t.Errorf("half a request got %q", said)
	}
}

// postfix asks for several verdicts at a time on one connection of the dovecot
// front-end, and again.
func (s *soak) postfix() {
	conn, err := dialSocket(s.socket("dovecot"))
	if err != nil {
		s.t.Error(err)
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "VERSION\t1\t2\nCPID\t8\n")
	r := bufio.NewReader(conn)
	for round := range 3 {
		asked, open := time.Now(), make(map[string]pair)
		for i := range 4 {
			user := fmt.Sprint("user", s.r.n(200))
			p, id := pair{user, s.truth.password(user)}, fmt.Sprint(10*round+i+1)
			if s.r.of(3) {
				p.password += "?"
			}
			open[id] = p
			fmt.Fprintf(conn, "AUTH\t%s\tPLAIN\tresp=%s\n", id, encode("\x00"+p.user+"\x00"+p.password))
		}
		for len(open) > 0 {
			line, err := r.ReadString('\n')
			if err != nil {
				return // a TempFail ends the connection
			}
			fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			if fields[0] != "OK" && fields[0] != "FAIL" {
				continue // the handshake
			}
			outcome := fields[0]
			if strings.Contains(line, "code=temp_fail") {
				outcome = "FAIL temp"
			}
			s.truth.judge(s.t, "several exchanges", open[fields[1]], asked, authVerdict[outcome])
			delete(open, fields[1])
		}
	}
}

// moody is an IMAP server that knows its users, and fails in all ways there are. It
// never says OK to a wrong password, nor that a right one is wrong.
func (s *soak) moody(passwords map[string]string) func(*imapSession) {
	return func(i *imapSession) {
		switch s.r.n(25) {
		case 0:
			return
		case 1:
			i.send("\x00\xff what is this")
			return
		case 2:
			i.hold()
			return
		case 3:
			i.send("* BYE full")
			return
		}
		verdicts(func(l login) string {
			answer := users(passwords)(l)
			switch s.r.n(20) {
			case 0:
				i.hold()
			case 1:
				i.conn.Close()
			case 2:
				return "\x00 garbage"
			case 3:
				s.pause(time.Second, time.Duration(s.r.n(5))*time.Second)
			case 4:
				io.WriteString(i.conn, "T1 O")
				i.conn.Close()
			case 5:
				return "NO [UNAVAILABLE] later"
			case 6:
				return "BAD what"
			case 7:
				i.send("* BYE going")
				i.conn.Close()
			}
			return answer
		})(i)
	}
}
