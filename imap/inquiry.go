package imap

import (
	"context"
	"time"
)

const (
	// lookupTimeout bounds one look into DNS: two queries at once, or a name's
	// addresses. Resolvers give a dead server 5 s before they ask the next.
	lookupTimeout = 15 * time.Second
	// lookupPatience is how long a login waits for it if there is an older answer.
	lookupPatience = time.Second
	// lookupPause is how soon DNS is asked again that gave no answer, and keptPause
	// how soon if there is an older one to go on with.
	lookupPause = time.Second
	keptPause   = 5 * time.Second
)

// inquiry is a look into DNS that is under way. All who need its answer wait for the
// same one, and it goes on when they have gone: a slow DNS is slow for the first
// only.
type inquiry struct {
	began time.Time
	done  chan struct{}
}

func newInquiry() *inquiry { return &inquiry{time.Now(), make(chan struct{})} }

// wait returns when the look has ended, or is not worth waiting for: at once if there
// is an older answer and the look before had none either, soon if there is an
// older answer, and else when ctx ends.
func (q *inquiry) wait(ctx context.Context, older, failing bool) {
	patience := lookupTimeout + lookupPatience // ctx or the look ends first
	switch {
	case older && failing:
		patience = 0
	case older:
		patience = lookupPatience - time.Since(q.began)
	}
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case <-q.done:
	case <-enough.C:
	case <-ctx.Done():
	}
}
