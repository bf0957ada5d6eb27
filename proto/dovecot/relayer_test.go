package dovecot

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"imapauthd/proto"
)

// offering is a MechanismsFunc.
func offering(names ...string) proto.MechanismsFunc {
	return func(context.Context) []string { return names }
}

// fakeRelayer speaks for an IMAP server. The client's last response is "NAME PASSWORD",
// the password as in prototest.Door; "lost" is a server that goes away.
//
//	CRAM-MD5       one challenge, "<1@test>"
//	SCRAM-SHA-256  client first, a challenge, and a last message that is answered by nothing
//	XOAUTH2        as initial response or after an empty challenge
//	DIGEST-MD5     waits for nothing but the end of its time
type fakeRelayer struct {
	// aborted, if not nil, is told the error of a challenge that got no response.
	aborted chan error
}

func (r fakeRelayer) Relay(ctx context.Context, x *proto.Exchange) (proto.Verdict, error) {
	ask := func(challenge string) ([]byte, error) {
		response, err := x.Challenge(ctx, []byte(challenge))
		if err != nil && r.aborted != nil {
			r.aborted <- err
		}
		return response, err
	}
	last := x.Initial
	var err error
	switch x.Mechanism {
	case "CRAM-MD5":
		last, err = ask("<1@test>")
	case "SCRAM-SHA-256":
		if last == nil {
			last, err = ask("")
		}
		if err == nil {
			last, err = ask("r=" + string(bytes.TrimPrefix(last, []byte("n,,"))))
		}
	case "XOAUTH2":
		if last == nil {
			last, err = ask("")
		}
	case "DIGEST-MD5":
		<-ctx.Done()
		return proto.TempFail, context.Cause(ctx)
	}
	if err != nil {
		return proto.TempFail, err
	}
	name, password, _ := strings.Cut(string(last), " ")
	if password == "lost" {
		return proto.TempFail, errors.New("the server is gone")
	}
	x.Claimed, x.Authcid = name, name
	if x.Mechanism == "SCRAM-SHA-256" && password == "secret" {
		if last, err = ask("v=proof"); err != nil || len(last) > 0 {
			return proto.TempFail, err
		}
	}
	x.Trail.Source = proto.SourceIMAP
	switch {
	case password == "secret":
		return proto.Accept, nil
	case password == "panic":
		panic(password)
	case password == "unknown":
		return proto.TempFail, errors.New("who knows")
	}
	return proto.Reject, nil
}

var _ proto.Relayer = fakeRelayer{}

// relayerFunc makes a function a Relayer.
type relayerFunc func(ctx context.Context, x *proto.Exchange) (proto.Verdict, error)

func (f relayerFunc) Relay(ctx context.Context, x *proto.Exchange) (proto.Verdict, error) {
	return f(ctx, x)
}
