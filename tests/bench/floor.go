//go:build ignore

// Floor is what an answer over a UNIX socket costs in Go as one writes it: package
// net, a goroutine for each connection, which reads a request once, writes a constant
// and closes.
//
//	floor SOCKET REPLY
package main

import (
	"log"
	"net"
	"os"
)

func main() {
	l, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	reply := []byte(os.Args[2])
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer c.Close()
			request := make([]byte, 4096)
			if n, _ := c.Read(request); n > 0 {
				c.Write(reply)
			}
		}()
	}
}
