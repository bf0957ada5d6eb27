package proto

import "context"

// Refusal is a verdict of our own, with its reason for the log: an error that
// grammar, routing and limits return. Reason is a fixed text or built from the
// administrator's words; it holds nothing that may be a password.
type Refusal struct {
	Verdict Verdict // Reject: the mail client's doing; TempFail: the administrator's to mend, or a limit
	Reason  string
}

func (r *Refusal) Error() string { return r.Reason }

// Limits of ours that end in TempFail, at once.
var (
	ErrBusy     = &Refusal{TempFail, "too many connections: raise max_connections, or look for what holds them"}
	ErrDenied   = &Refusal{TempFail, "this local user is not in the listener's allow"}
	ErrDeadline = &Refusal{TempFail, "no verdict within the time limit"}
	ErrShutdown = &Refusal{TempFail, "shutting down"}
)

// always answers err's verdict to whatever is asked.
func always(err *Refusal) Authenticator {
	return AuthenticatorFunc(func(context.Context, *Request) (Verdict, error) { return err.Verdict, err })
}
