package imap

import (
	"context"
	"errors"
	"testing"
	"time"

	"imapauthd/proto"
)

// relayed is the mail client's side of a dialogue about an exchange.
//
//	relay: MECHANISM [INITIAL]          ; Go-quoted where quotes stand
//	client: CHALLENGE RESPONSE          ; one step each; Go-quoted likewise
//	client: CHALLENGE abort             ; or error, panic, silence until the end
//	step: DURATION                      ; optional; proto.Exchange.Budget
//	name: AUTHCID                       ; that is proved
type relayed struct {
	mech    string
	initial []byte
	steps   [][2]string
	budget  time.Duration
	name    string
}

func newRelayed(value string) *relayed {
	r := &relayed{budget: 5 * time.Second}
	r.mech, value = word(value)
	if value != "" {
		initial, _ := word(value)
		r.initial = []byte(initial)
	}
	return r
}

// line reads a line of the file, if it is one of the client's.
func (r *relayed) line(t *testing.T, key, value string) bool {
	switch key {
	case "client":
		challenge, rest := word(value)
		response, _ := word(rest)
		r.steps = append(r.steps, [2]string{challenge, response})
	case "step":
		budget, err := time.ParseDuration(value)
		if err != nil {
			t.Fatal(err)
		}
		r.budget = budget
	case "name":
		r.name, _ = word(value)
	default:
		return false
	}
	return true
}

func (r *relayed) run(ctx context.Context, t *testing.T, router *Router, d *dialogue) (proto.Verdict, error) {
	x := &proto.Exchange{Mechanism: r.mech, Initial: r.initial, Budget: r.budget, Client: d.req.Client, Authcid: "left over"}
	steps := r.steps
	x.Challenge = func(ctx context.Context, challenge []byte) ([]byte, error) {
		if len(steps) == 0 {
			t.Errorf("the client is given %q and has no more steps", challenge)
			return nil, proto.ErrAborted
		}
		step := steps[0]
		steps = steps[1:]
		if string(challenge) != step[0] {
			t.Errorf("the client is given %q want %q", challenge, step[0])
		}
		switch step[1] {
		case "abort":
			return nil, proto.ErrAborted
		case "error":
			return nil, errors.New("the client is too slow")
		case "panic":
			panic("boom")
		case "silence":
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return []byte(step[1]), nil
	}
	v, err := router.Relay(ctx, x)
	if len(steps) > 0 {
		t.Errorf("the client was not given %q", steps)
	}
	if x.Authcid != r.name || (v == proto.Accept) != (r.name != "") {
		t.Errorf("proved %q want %q", x.Authcid, r.name)
	}
	if !x.Trail.NoStore || x.Trail.Source == "" {
		t.Errorf("the trail is %+v", x.Trail)
	}
	return v, err
}
