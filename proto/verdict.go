package proto

import "errors"

// Verdict is the answer to a Request. The zero value decides nothing, so that
// whatever is forgotten can neither let anyone in nor turn anyone away.
type Verdict uint8

const (
	// TempFail says that nothing was decided: an outage, a limit, a deadline.
	// It is never cached and never becomes a Reject.
	TempFail Verdict = iota
	// Accept says that an IMAP server said OK to these very credentials.
	Accept
	// Reject says that an IMAP server said NO to them, or that they break a
	// rule of our own (grammar, routing, the guard).
	Reject
)

// String returns the verdict's name as logs and metrics carry it.
func (v Verdict) String() string {
	switch v {
	case Accept:
		return "accept"
	case Reject:
		return "reject"
	default:
		return "tempfail"
	}
}

// Source names the link that decided. It is a closed set: a log key and a label.
type Source string

const (
	SourceFrontend Source = "frontend" // the request's grammar, a limit or a deadline of ours
	SourceRouter   Source = "router"   // no server for this account
	SourceCache    Source = "cache"    // an entry remembered
	SourceFlight   Source = "flight"   // the login that another request had begun
	SourceGuard    Source = "guard"    // too many wrong passwords before
	SourceIMAP     Source = "imap"     // a login of this request's own
	SourceGrace    Source = "grace"    // an entry past its lifetime, while its server cannot be reached
)

// ErrUnreachable is what the error of a TempFail wraps if no URL of the account's server
// could be connected to, or none greeted. A server that answers, if only to say that it
// is busy, and limits of our own are something else.
var ErrUnreachable = errors.New("the server cannot be reached")
