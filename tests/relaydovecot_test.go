package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// relayMechanisms are the mechanisms that mail clients are tried with, in the order of
// the README's table.
var relayMechanisms = []string{"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"}

// relayDovecot is a Dovecot that knows all of relayMechanisms. As the IMAP server it
// stands behind imapauthd; its own auth socket is what imapauthd's is compared with.
type relayDovecot struct {
	*dovecot
	authSocket    string
	token, forged string // relayUser's, by its own key and by another
}

const relayDovecotAdd = `
auth_debug = yes
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = OAUTH/oauth2.conf.ext
}
service auth {
  unix_listener DIR/auth-client {
    mode = 0666
  }
}
`

// relayOAuth has Dovecot check tokens by itself, by the keys in OAUTH/keys.
const relayOAuth = `
introspection_mode = local
local_validation_key_dict = fs:posix:prefix=OAUTH/keys/
username_attribute = sub
`

// startRelayDovecot starts it with one user, relayUser.
func startRelayDovecot(t *testing.T) *relayDovecot {
	t.Helper()
	signer, dir := newTokenSigner(t), shortDir(t)
	// By the party that the token is for, the algorithm and the key's id.
	keys := filepath.Join(dir, "keys", "default", "HS256")
	if err := os.MkdirAll(keys, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(keys, "default"), signer.keyFile())
	writeFile(t, filepath.Join(dir, "oauth2.conf.ext"), strings.ReplaceAll(relayOAuth, "OAUTH", dir))
	d := startDovecot(t, dovecotOptions{
		users:      map[string]string{relayUser: relayPassword},
		mechanisms: strings.ToLower(strings.Join(relayMechanisms, " ")),
		add:        strings.ReplaceAll(relayDovecotAdd, "OAUTH", dir),
	})
	return &relayDovecot{
		dovecot:    d,
		authSocket: filepath.Join(d.dir, "auth-client"),
		token:      signer.token(t, relayUser),
		forged:     newTokenSigner(t).token(t, relayUser),
	}
}

const (
	relayUser     = "alice"
	relayPassword = "correct horse"
)

// secrets are a right and a wrong password, or token.
func (d *relayDovecot) secrets(mechanism string) (right, wrong string) {
	if strings.Contains(mechanism, "OAUTH") {
		return d.token, d.forged
	}
	return relayPassword, "a wrong password"
}
