package proto

// Looker is an Authenticator that can also look into its memory: it answers at once, asks
// nobody, and keeps nothing of the request. TempFail: Authenticate has to be called.
type Looker interface {
	Look(req *Request) Verdict
}

// Instant is a Frontend whose connections carry one request each, so that one which has
// come whole, and whose verdict is remembered, can be answered by the accept loop.
type Instant interface {
	Frontend
	// Reader returns a function for the use of one goroutine. It is given all that was
	// read, and returns the request, which it and the bytes lend until it is called
	// again; nil if there is none yet, or anything else to be said about it.
	Reader() func(raw []byte) *Request
	// Reply returns the whole reply to such a request.
	Reply(Verdict) string
}
