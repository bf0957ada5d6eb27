package imap

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsReply is what the DNS server of a test says to one query.
type dnsReply struct {
	rcode     dnsmessage.RCode
	answers   []dnsmessage.Resource
	authority []dnsmessage.Resource
	truncated bool     // over UDP; over TCP the same reply is whole
	before    [][]byte // packets that a stranger puts before it; in TCP, before the connection ends
	silent    bool     // nothing more is said
}

// dnsServer answers on UDP and TCP, on one port of the loopback.
type dnsServer struct {
	addr string

	mu      sync.Mutex // protects those below
	answers map[string]dnsReply
	asked   []string // name, and the network
}

// startDNS answers by the names, without the dot at the end. Other names do not
// exist, and no SOA record says for how long.
func startDNS(t testing.TB, answers map[string]dnsReply) *dnsServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dnsServer{addr: l.Addr().String(), answers: answers}
	udp, err := net.ListenPacket("udp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		udp.Close()
		wg.Wait()
	})
	wg.Go(func() { s.servePackets(udp) })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serveStream(conn) })
		}
	})
	return s
}

// resolver returns a resolver that asks the server, whatever /etc/resolv.conf says.
func (s *dnsServer) resolver() *srvResolver {
	return &srvResolver{dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.addr)
	}}
}

func (s *dnsServer) servePackets(conn net.PacketConn) {
	buf := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		reply, msg := s.reply(buf[:n], "udp")
		for _, b := range reply.before {
			conn.WriteTo(b, from)
		}
		if !reply.silent {
			conn.WriteTo(msg, from)
		}
	}
}

// serveStream writes the message in three pieces.
func (s *dnsServer) serveStream(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, query); err != nil {
		return
	}
	reply, msg := s.reply(query, "tcp")
	if len(reply.before) > 0 {
		conn.Write(reply.before[0])
		return
	}
	if reply.silent {
		io.Copy(io.Discard, conn)
		return
	}
	msg = append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
	for _, piece := range [][]byte{msg[:1], msg[1:20], msg[20:]} {
		conn.Write(piece)
	}
}

// reply returns what is said to a query, and its bytes.
func (s *dnsServer) reply(query []byte, network string) (dnsReply, []byte) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return dnsReply{silent: true}, nil
	}
	name := m.Questions[0].Name.String()
	s.mu.Lock()
	s.asked = append(s.asked, name+" "+network)
	reply, known := s.answers[name[:len(name)-1]]
	s.mu.Unlock()
	if !known {
		reply.rcode = dnsmessage.RCodeNameError
	}
	m.Response, m.RecursionAvailable, m.RCode = true, true, reply.rcode
	m.Answers, m.Authorities = slices.Clone(reply.answers), slices.Clone(reply.authority) // Pack writes into them
	if m.Truncated = reply.truncated && network == "udp"; m.Truncated {
		m.Answers = m.Answers[:1]
	}
	m.Additionals = nil
	msg, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return reply, msg
}

// header is a record's, without the dot at the name's end.
func header(name string, ttl uint32) dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name + "."), Class: dnsmessage.ClassINET, TTL: ttl}
}

func srvRecord(name string, ttl uint32, priority, weight, port uint16, target string) dnsmessage.Resource {
	return dnsmessage.Resource{Header: header(name, ttl), Body: &dnsmessage.SRVResource{
		Priority: priority, Weight: weight, Port: port, Target: dnsmessage.MustNewName(target)}}
}

func soaRecord(name string, ttl, minTTL uint32) dnsmessage.Resource {
	n := dnsmessage.MustNewName(name + ".")
	return dnsmessage.Resource{Header: header(name, ttl), Body: &dnsmessage.SOAResource{NS: n, MBox: n, MinTTL: minTTL}}
}
