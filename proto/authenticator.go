package proto

import "context"

// Authenticator is the one door. The cache is one, the IMAP router is one, and
// main stacks them.
//
// Authenticate answers within ctx. It may write req.Trail and nothing else of the
// request, and it keeps no reference to it after it has returned. A TempFail comes
// with an error that says why; a Reject may come with one (the server's own
// words); an Accept never does. The error is for the log and holds no password; the
// mail client is told a fixed phrase only. Concurrent use is safe.
type Authenticator interface {
	Authenticate(ctx context.Context, req *Request) (Verdict, error)
}

// AuthenticatorFunc makes a function an Authenticator.
type AuthenticatorFunc func(ctx context.Context, req *Request) (Verdict, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, req *Request) (Verdict, error) {
	return f(ctx, req)
}

var _ Authenticator = AuthenticatorFunc(nil)

// Route says where a request goes, before anybody is asked.
type Route struct {
	// Server is the name of the configured server.
	Server string
	// PerAddress says that its verdicts hold for the mail client's address only.
	PerAddress bool
}

// RouteFunc returns the request's route; false if there is none, in which case
// the router will refuse the request itself. It does not allocate on success.
type RouteFunc func(req *Request) (Route, bool)
