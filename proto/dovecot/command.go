package dovecot

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"imapauthd/proto"
)

// handle does what a line asks for. A refusal ends the connection.
func (s *session) handle(line []byte) *proto.Refusal {
	command, args, _ := bytes.Cut(line, tab)
	name := string(command)
	if !s.greeted && name != "VERSION" {
		return broken("no VERSION")
	}
	switch name {
	case "VERSION":
		return s.version(args)
	case "CPID":
		if _, ok := parseID(args); !ok || s.known {
			return broken("a CPID that is no number, or a second one")
		}
		s.known = true
		return nil
	case "AUTH", "CONT", "CANCEL":
		if !s.known {
			return broken("no CPID before " + name)
		}
	}
	switch name {
	case "AUTH":
		return s.begin(args)
	case "CONT":
		return s.resume(args)
	case "CANCEL":
		return s.abandon(args)
	}
	return nil // of a later minor version
}

// version reads the client's VERSION.
func (s *session) version(args []byte) *proto.Refusal {
	major, rest, _ := bytes.Cut(args, tab)
	minor, _, _ := bytes.Cut(rest, tab)
	n, err := strconv.ParseUint(string(minor), 10, 32)
	if s.greeted || string(major) != "1" || err != nil {
		return broken("a VERSION that is not 1 and a number, or a second one")
	}
	s.greeted, s.minor = true, n
	return nil
}

// begin starts the exchange of an AUTH line.
func (s *session) begin(args []byte) *proto.Refusal {
	req, refusal := parseRequest(args, s.minor)
	if refusal != nil {
		return refusal
	}
	x := &exchange{request: req, s: s, answer: make(chan []byte, 1), quit: make(chan struct{})}
	var ok bool
	if req.response != nil {
		if x.initial, ok = decode(req.response); !ok {
			x.refusal = errBase64
		}
	}
	x.response = nil // a part of the line
	switch {
	case x.refusal != nil:
	case !slices.Contains(s.offered, x.mechanism), !s.f.allows(x.mechanism): // what a last resort may announce
		x.refusal = &proto.Refusal{Verdict: proto.TempFail, Reason: "the client asks for a mechanism that was not announced"}
	case s.f.RequireSecured && plaintext(x.mechanism) && !x.secured:
		x.refusal = &proto.Refusal{Verdict: proto.Reject, Reason: "a mechanism that hands over the password, without TLS (require_secured)"}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.served = true
	switch {
	case s.ended:
		return nil
	case s.exchanges[x.id] != nil:
		return broken("an id of an exchange in progress")
	case len(s.exchanges) >= maxExchanges:
		x.refusal = &proto.Refusal{Verdict: proto.TempFail, Reason: fmt.Sprintf("more than %d exchanges on one connection", maxExchanges)}
	}
	if x.refusal != nil {
		clear(x.initial)
		s.answer(x.id, s.c.Refuse(x.refusal), "", hint(x.refusal, "initial"))
		s.settle()
		return nil
	}
	x.start = time.Now()
	x.arrived = x.start
	x.ctx, x.cancel = context.WithCancelCause(s.ctx)
	s.exchanges[x.id] = x
	s.wg.Go(func() { s.c.Guard(x.run) })
	return nil
}

// resume gives a CONT to its exchange.
func (s *session) resume(args []byte) *proto.Refusal {
	text, data, ok := bytes.Cut(args, tab)
	id, good := parseID(text)
	if !ok || !good {
		return broken("CONT without an id or a response")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.exchanges[id]
	if x == nil { // it has expired, or was cancelled
		s.send("FAIL\t%d\treason=Authentication request timed out", id)
		return nil
	}
	response, ok := decode(data)
	switch {
	case x.over: // and about to be answered
		return nil
	case !x.waiting:
		s.remove(x)
		s.send("FAIL\t%d\treason=Unexpected continuation", id)
	case !ok:
		s.remove(x)
		s.answer(id, s.c.Refuse(errBase64), "", hint(errBase64, "continued"))
	default:
		x.waiting, x.arrived = false, time.Now()
		x.answer <- response
		return nil
	}
	s.settle()
	return nil
}

// abandon obeys a CANCEL.
func (s *session) abandon(args []byte) *proto.Refusal {
	id, ok := parseID(args)
	if !ok {
		return broken("CANCEL without an id")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.exchanges[id]; x != nil {
		s.remove(x)
		s.settle()
	}
	return nil
}

// tooLong refuses the exchange of a line that is too long, of which head is the
// beginning: a mail client can cause it.
func (s *session) tooLong(head []byte) *proto.Refusal {
	fields := bytes.SplitN(head, tab, 3)
	if len(fields) < 3 || !s.known {
		return broken(errTooLong.Error())
	}
	id, ok := parseID(fields[1])
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.exchanges[id]
	switch command := string(fields[0]); {
	case ok && command == "AUTH" && x == nil:
		s.served = true
	case ok && command == "CONT" && x != nil:
		s.remove(x)
	default:
		return broken(errTooLong.Error())
	}
	s.answer(id, s.c.Refuse(errLong), "", "")
	s.settle()
	return nil
}
