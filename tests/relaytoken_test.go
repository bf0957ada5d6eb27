package tests

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"
)

// tokenSigner makes the tokens of OAuth (RFC 7519, HS256) that Dovecot is given the
// key of.
type tokenSigner struct{ key []byte }

func newTokenSigner(t *testing.T) *tokenSigner {
	t.Helper()
	s := &tokenSigner{key: make([]byte, 32)}
	rand.Read(s.key)
	return s
}

// keyFile is the key as Dovecot's file of it has it.
func (s *tokenSigner) keyFile() string { return base64.StdEncoding.EncodeToString(s.key) }

// token is valid for an hour.
func (s *tokenSigner) token(t *testing.T, user string) string {
	t.Helper()
	part := func(v map[string]any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	now := time.Now()
	signed := part(map[string]any{"alg": "HS256", "typ": "JWT"}) + "." +
		part(map[string]any{"sub": user, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
