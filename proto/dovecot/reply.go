package dovecot

import (
	"fmt"
	"time"

	"imapauthd/proto"
)

// send writes a line. The caller holds mu. If the client does not read, the connection
// ends.
func (s *session) send(format string, args ...any) bool {
	if s.ended {
		return false
	}
	s.c.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := s.c.Write(fmt.Appendf(nil, format+"\n", args...)); err != nil {
		s.endLocked(proto.ErrAborted)
		return false
	}
	return true
}

// answer says an exchange's verdict; more is put behind the fields of FAIL. The caller
// holds mu and has removed the exchange.
func (s *session) answer(id uint32, verdict proto.Verdict, user, more string) {
	if len(user) > maxUser {
		user = ""
		if verdict == proto.Accept {
			verdict = proto.Reject // which no mail server could understand otherwise
		}
	}
	if user != "" {
		user = field("user", user)
	}
	switch {
	case verdict == proto.Accept:
		s.send("OK\t%d%s", id, user)
	case verdict == proto.Reject:
		s.send("FAIL\t%d%s%s", id, user, more)
	case s.others() > 0 && !s.c.Refused():
		s.send("FAIL\t%d%s\tcode=temp_fail", id, user)
	default:
		s.endLocked(proto.ErrAborted)
	}
}

// maxUser is the longest account that is repeated to the client, in bytes: nobody has a
// longer one, and a line with it, of which each byte may be escaped, is short enough.
const maxUser = 1024

// field is a field of a line, with the TAB before it.
func field(key, value string) string {
	return string(appendEscaped([]byte("\t"+key+"="), value))
}

// hint is what Dovecot adds to the FAIL of a response that is no base64.
func hint(refusal *proto.Refusal, which string) string {
	if refusal != errBase64 {
		return ""
	}
	return "\tcode=invalid_base64\treason=Invalid base64 data in " + which + " response"
}

// others counts the exchanges that the end of the connection would cost their answer,
// and not just no verdict like this one's. The caller holds mu.
func (s *session) others() (n int) {
	for _, x := range s.exchanges {
		if !x.over && (!x.waiting || time.Since(x.since) < or(s.f.silence, silence)) {
			n++
		}
	}
	return n
}
