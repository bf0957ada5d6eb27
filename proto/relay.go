package proto

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// Relayer has an IMAP server examine a mail client by a SASL mechanism of which this
// daemon only carries the messages (RFC 4422 §3), so that it never sees the password.
//
// Relay runs the exchange to its end, within ctx. A TempFail comes with an error that
// says why; a Reject may come with one; an Accept leaves x.Authcid, the name that the
// exchange proved, and comes from the IMAP server's OK only. Concurrent use is safe.
type Relayer interface {
	Relay(ctx context.Context, x *Exchange) (Verdict, error)
}

// Exchange is one SASL exchange between a mail client and an IMAP server. The first part
// comes from the front-end; the last is left by Relay.
type Exchange struct {
	// Mechanism is its IANA name, in upper case.
	Mechanism string
	// Initial is the initial response; nil: none, which an empty one is not.
	Initial []byte
	// Challenge gives the client a challenge, which may be empty, and returns its
	// response, which may be empty. ErrAborted: the client gave up.
	Challenge func(ctx context.Context, challenge []byte) (response []byte, err error)
	// Budget is what the IMAP server may take for one step.
	Budget time.Duration

	// As in Request.
	Client, Local netip.AddrPort
	Secured       bool
	Session       string

	// Claimed is the account that the client says it is, once it has said so, for the
	// log and for replies; Authcid is the one that was proved.
	Claimed, Authcid string
	Trail            Trail
}

// ErrAborted is a client that cancelled its exchange, or is gone (RFC 4422 §3.5).
var ErrAborted = errors.New("the client gave up")

// MechanismsFunc returns the mechanisms that can be relayed now, by their IANA names in
// upper case, without PLAIN and LOGIN, which are no relay's; nil: that is not known now,
// and what was known last still holds. It may ask an IMAP server for them, within ctx.
type MechanismsFunc func(ctx context.Context) []string
