package tests

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// saslCall is one login by a client that speaks SMTP.
type saslCall struct {
	mechanism    string
	port         int
	user, secret string // the secret is a password, or a token
	caFile       string // "": without TLS
}

// saslClient is a program that others wrote.
type saslClient struct {
	name, debianPackage string
	mechanisms          []string
	args                func(c saslCall) []string
	// mails is whether it goes on to send a mail, which nobody takes: its status does
	// not tell how the login ended.
	mails bool
}

// saslSMTPLib is Python's smtplib at work.
const saslSMTPLib = `
import smtplib, ssl, sys
mechanism, port, user, secret, ca = sys.argv[1:]
s = smtplib.SMTP("127.0.0.1", int(port))
s.set_debuglevel(1)
if ca:
    s.starttls(context=ssl.create_default_context(cafile=ca))
s.ehlo()
s.user, s.password = user, secret
try:
    s.auth(mechanism, getattr(s, "auth_" + mechanism.lower().replace("-", "_")))
finally:
    s.quit()
`

var saslClients = []saslClient{
	{"swaks", "swaks", []string{"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"}, func(c saslCall) []string {
		args := []string{"--server", loopback(c.port), "--auth", c.mechanism, "--auth-user", c.user, "--auth-password", c.secret, "--quit-after", "AUTH"}
		if c.caFile != "" {
			args = append(args, "--tls", "--tls-verify", "--tls-ca-path", c.caFile)
		}
		return args
	}, false},
	// It checks the server's proof (SCRAM, DIGEST-MD5). It says STARTTLS before EHLO.
	{"gsasl", "gsasl", []string{"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"}, func(c saslCall) []string {
		args := []string{"--smtp", "--connect", loopback(c.port), "--mechanism", c.mechanism, "--verbose", "--authentication-id", c.user, "--password", c.secret}
		if c.caFile != "" {
			return append(args, "--starttls", "--no-cb", "--x509-ca-file", c.caFile)
		}
		return append(args, "--no-starttls")
	}, false},
	// Its DIGEST-MD5 wants algorithm=md5-sess without quotes, and Dovecot writes quotes;
	// and it takes OAUTHBEARER for XOAUTH2 where both are there.
	{"curl", "curl", []string{"PLAIN", "LOGIN", "CRAM-MD5", "OAUTHBEARER"}, func(c saslCall) []string {
		args := []string{"--silent", "--verbose", "--login-options", "AUTH=" + c.mechanism, "smtp://" + loopback(c.port) + "/client.test", "--request", "NOOP"}
		if strings.Contains(c.mechanism, "OAUTH") {
			args = append(args, "--user", c.user+":", "--oauth2-bearer", c.secret)
		} else {
			args = append(args, "--user", c.user+":"+c.secret)
		}
		if c.caFile != "" {
			args = append(args, "--ssl-reqd", "--cacert", c.caFile)
		}
		return args
	}, false},
	{"msmtp", "msmtp", []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"}, func(c saslCall) []string {
		args := []string{"--debug", "--host=127.0.0.1", fmt.Sprint("--port=", c.port), "--auth=" + strings.ToLower(c.mechanism), "--user=" + c.user, "--passwordeval=echo '" + c.secret + "'", "--from=alice@client.test"}
		if c.caFile != "" {
			args = append(args, "--tls=on", "--tls-trust-file="+c.caFile)
		}
		return append(args, "bob@client.test")
	}, true},
	// smtplib; it has no OAuth of its own.
	{"python3", "python3", []string{"PLAIN", "LOGIN", "CRAM-MD5"}, func(c saslCall) []string {
		return []string{"-c", saslSMTPLib, c.mechanism, fmt.Sprint(c.port), c.user, c.secret, c.caFile}
	}, false},
}

// saslReply is the last reply to AUTH in what a client prints of its dialogue.
var saslReply = regexp.MustCompile(`\b(?:235|421|435|454|50[0-4]|53[0-9]) [^\r\n\\]*`)

// login runs the client, and returns the last reply that it got and all it printed.
func (s *saslClient) login(t *testing.T, c saslCall) (last, said string, err error) {
	t.Helper()
	if !slices.Contains(s.mechanisms, c.mechanism) {
		t.Fatalf("%s does not speak %s", s.name, c.mechanism)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, needPeer(t, s.name, s.debianPackage), s.args(c)...)
	out, err := cmd.CombinedOutput()
	replies := saslReply.FindAllString(string(out), -1)
	if len(replies) > 0 {
		last = replies[len(replies)-1]
	}
	return last, string(out), err
}

func saslClientNamed(name string) *saslClient {
	return &saslClients[slices.IndexFunc(saslClients, func(s saslClient) bool { return s.name == name })]
}
