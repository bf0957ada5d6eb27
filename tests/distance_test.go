package tests

import (
	"net"
	"sync"
	"testing"
	"time"
)

// startDistance stands before the server at addr and is as far from its clients as
// one round trip of this length, which connecting costs as well. It returns the port
// of its own that clients connect to.
//
// The kernel's netem does the same where it is built in; this needs no kernel and no
// root. It is late by what a timer is: half a millisecond for a round trip of 20.
func startDistance(t testing.TB, addr string, trip time.Duration) (port int) {
	t.Helper()
	return new(gauge).listen(t, func(client net.Conn) { bridge(client, addr, trip) })
}

// bridge joins a client to the server at addr until both have hung up.
//
// The kernel connects the client at once, so that its first bytes come a round trip
// too early: they count as sent when it would have been connected. The server hears
// of it when the last packet of the handshake would arrive.
func bridge(client net.Conn, addr string, trip time.Duration) {
	connected := time.Now().Add(trip)
	out := load(client, connected, trip/2)
	time.Sleep(time.Until(connected.Add(trip / 2)))
	server, err := net.Dial("tcp", addr)
	if err != nil {
		client.Close()
		for range out {
		}
		return
	}
	defer server.Close()
	back := load(server, connected, trip/2)
	var wg sync.WaitGroup
	wg.Go(func() { deliver(server, client, out) })
	wg.Go(func() { deliver(client, server, back) })
	wg.Wait()
}

// parcel is what was read at one time, or the end.
type parcel struct {
	bytes []byte
	end   bool
	due   time.Time
}

// load takes what from sends, due after delay. What comes before start counts as sent
// then.
func load(from net.Conn, start time.Time, delay time.Duration) <-chan parcel {
	road := make(chan parcel, 1024) // of at most 16 KiB each: more than a login has
	go func() {
		defer close(road)
		for {
			buf := make([]byte, 16<<10)
			n, err := from.Read(buf)
			sent := time.Now()
			if sent.Before(start) {
				sent = start
			}
			road <- parcel{buf[:n], err != nil, sent.Add(delay)}
			if err != nil {
				return
			}
		}
	}()
	return road
}

// deliver hands each parcel over when it is due. Where that fails, from hears of it.
func deliver(to, from net.Conn, road <-chan parcel) {
	for p := range road {
		time.Sleep(time.Until(p.due))
		_, err := to.Write(p.bytes)
		if p.end {
			to.(*net.TCPConn).CloseWrite()
		}
		if err != nil {
			from.Close()
		}
	}
}
