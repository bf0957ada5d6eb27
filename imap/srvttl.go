package imap

import (
	"context"
	"math"
	"net"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsTap keeps the last message that one lookup of net.Resolver reads from DNS
// servers, because the resolver tells no TTLs. A lookup asks one server after
// another, one query on each connection, and returns at the first message that it
// believes: when it has a result, the last message is that result's.
type dnsTap struct {
	dial   func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer's
	stream bool                                                                 // a length comes before the message (RFC 1035 §4.2.2)
	last   []byte
}

// dialContext returns a net.Resolver's Dial. The resolver heeds its context's
// deadline, but not that it is cancelled: then the connection is closed under it.
func (t *dnsTap) dialContext(lookup context.Context) func(ctx context.Context, network, address string) (net.Conn, error) {
	dial := t.dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		t.last = t.last[:0]
		stop := context.AfterFunc(lookup, func() { conn.Close() })
		// The resolver takes what is a net.PacketConn for UDP and all else for TCP.
		udp, packets := conn.(*net.UDPConn)
		if t.stream = !packets; t.stream {
			return &tappedStream{conn, t, stop}, nil
		}
		return &tappedPackets{udp, t, stop}, nil
	}
}

// message returns the last message that was read.
func (t *dnsTap) message() []byte {
	if t.stream {
		return t.last[min(len(t.last), 2):]
	}
	return t.last
}

// tappedPackets keeps the last packet.
type tappedPackets struct {
	*net.UDPConn
	tap  *dnsTap
	stop func() bool
}

func (c *tappedPackets) Read(p []byte) (int, error) {
	n, err := c.UDPConn.Read(p)
	c.tap.last = append(c.tap.last[:0], p[:n]...)
	return n, err
}

func (c *tappedPackets) Close() error {
	c.stop()
	return c.UDPConn.Close()
}

// tappedStream keeps all that is read, which is one message of at most 64 KiB.
type tappedStream struct {
	net.Conn
	tap  *dnsTap
	stop func() bool
}

func (c *tappedStream) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tap.last = append(c.tap.last, p[:n]...)
	return n, err
}

func (c *tappedStream) Close() error {
	c.stop()
	return c.Conn.Close()
}

// messageTTLs returns the TTLs that bound how long a message on SRV holds: of each
// record in the answer, aliases on the way included, and, if it says that there is
// no SRV record, for how long (RFC 2308 §5). It returns none where that is not
// said, as some caches leave it out.
func messageTTLs(msg []byte) (ttls []time.Duration) {
	var p dnsmessage.Parser
	if _, err := p.Start(msg); err != nil || p.SkipAllQuestions() != nil {
		return nil
	}
	positive := false
	for {
		h, err := p.AnswerHeader()
		if err != nil || p.SkipAnswer() != nil {
			break
		}
		positive = positive || h.Type == dnsmessage.TypeSRV
		ttls = append(ttls, ttlOf(h.TTL))
	}
	if positive {
		return ttls
	}
	for {
		h, err := p.AuthorityHeader()
		if err != nil {
			return nil
		}
		if h.Type == dnsmessage.TypeSOA {
			soa, err := p.SOAResource()
			if err != nil {
				return nil
			}
			return append(ttls, min(ttlOf(h.TTL), ttlOf(soa.MinTTL)))
		}
		if p.SkipAuthority() != nil {
			return nil
		}
	}
}

// ttlOf reads a TTL field, in which the first bit makes it 0 (RFC 2181 §8).
func ttlOf(seconds uint32) time.Duration {
	if seconds > math.MaxInt32 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
