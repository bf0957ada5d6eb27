package imap

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imapauthd/proto"
)

// copyFile puts a file's content in the place of another's, in one step.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}

// TestCAFileChanges: at the next dial another file is in force, also against
// sessions that the old one vouched for, and an unusable one is not.
func TestCAFileChanges(t *testing.T) {
	cert, goodCA := certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	_, otherCA := certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	addr, _ := imapsServer(t, &tls.Config{Certificates: []tls.Certificate{cert}})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	copyFile(t, goodCA, ca)
	r := newRouter(t, "imaps://"+addr, func(c *Config) { c.CAFile, c.Warm = ca, 0 })
	defer r.Close()
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("-----BEGIN CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(what string, want proto.Verdict) {
		t.Helper()
		if v, text := login(t, r); v != want || v == proto.TempFail && !strings.Contains(text, "unknown authority") {
			t.Errorf("%s: got %v (%s) want %v", what, v, text, want)
		}
	}
	check("the right one", proto.Accept)
	copyFile(t, otherCA, ca)
	check("another", proto.TempFail)
	copyFile(t, goodCA, ca)
	check("the right one again", proto.Accept)
	copyFile(t, junk, ca)
	check("junk", proto.Accept)
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	check("none", proto.Accept)
	copyFile(t, otherCA, ca)
	check("another after none", proto.TempFail)
}

// TestCAFileMended: a file that could not be used is tried again though its size and
// time are the same, as after a chmod.
func TestCAFileMended(t *testing.T) {
	_, oldCA := certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	cert, newCA := certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	addr, _ := imapsServer(t, &tls.Config{Certificates: []tls.Certificate{cert}})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	copyFile(t, oldCA, ca)
	r := newRouter(t, "imaps://"+addr, func(c *Config) { c.CAFile = ca })
	defer r.Close()
	text, err := os.ReadFile(newCA)
	if err != nil {
		t.Fatal(err)
	}
	// A bundle that ends within its second certificate, then with it.
	stamp := time.Now().Add(-time.Hour)
	write := func(second string) {
		t.Helper()
		both := append(bytes.Clone(text), second...)
		if err := errors.Join(os.WriteFile(ca, both, 0o600), os.Chtimes(ca, stamp, stamp)); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Repeat("#", len(text)-1) + "\n")
	if v, text := login(t, r); v != proto.Accept {
		t.Errorf("whole: got %v (%s)", v, text)
	}
	copyFile(t, oldCA, ca)
	if v, _ := login(t, r); v != proto.TempFail {
		t.Errorf("the old one: got %v", v)
	}
	write(string(text[:len(text)/2]) + strings.Repeat("#", len(text)-len(text)/2))
	if v, text := login(t, r); v != proto.TempFail || !strings.Contains(text, "unknown authority") {
		t.Errorf("cut short: got %v (%s)", v, text)
	}
	write(string(text))
	if v, text := login(t, r); v != proto.Accept {
		t.Errorf("mended: got %v (%s)", v, text)
	}
}

// TestWarmAfterCA: what is kept warm is not used when the file that vouched for it has
// gone.
func TestWarmAfterCA(t *testing.T) {
	cert, goodCA := certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	_, otherCA := certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	addr, _ := imapsServer(t, &tls.Config{Certificates: []tls.Certificate{cert}})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	copyFile(t, goodCA, ca)
	r := newRouter(t, "imaps://"+addr, func(c *Config) { c.CAFile = ca })
	defer r.Close()
	warm := func() bool {
		p := r.fallback.pools[0]
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.idle) > 0 && p.dialing == 0
	}
	for deadline := time.Now().Add(10 * time.Second); !warm() && time.Now().Before(deadline); {
		if v, text := login(t, r); v != proto.Accept {
			t.Fatalf("got %v (%s)", v, text)
		}
	}
	if !warm() {
		t.Fatal("nothing is kept warm")
	}
	copyFile(t, otherCA, ca)
	if v, text := login(t, r); v != proto.TempFail || !strings.Contains(text, "unknown authority") {
		t.Errorf("got %v (%s)", v, text)
	}
}

// TestClientCertificate is shown to a server that wants one, and a renewed one
// takes its place.
func TestClientCertificate(t *testing.T) {
	cert, ca := certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	clients := x509.NewCertPool()
	var pairs []string // path of the certificate, then of its key
	for _, name := range []string{"relay1", "relay2"} {
		own, file := certificate(t, time.Now().Add(time.Hour), name)
		der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		key := filepath.Join(t.TempDir(), "key.pem")
		if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		clients.AppendCertsFromPEM(text)
		pairs = append(pairs, file, key)
	}
	// crypto/tls would want clientAuth among the usages, which the test's lack.
	addr, last := imapsServer(t, &tls.Config{
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAnyClientCert,
		ClientCAs:    clients,
	})
	without := newRouter(t, "imaps://"+addr, func(c *Config) { c.CAFile = ca })
	defer without.Close()
	if v, text := login(t, without); v != proto.TempFail || !strings.Contains(text, "certificate") {
		t.Errorf("without: got %v (%s)", v, text)
	}
	dir := t.TempDir()
	ownCert, ownKey := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	var with *Router
	for i, name := range []string{"relay1", "relay2"} {
		copyFile(t, pairs[2*i], ownCert)
		copyFile(t, pairs[2*i+1], ownKey)
		if with == nil {
			with = newRouter(t, "imaps://"+addr, func(c *Config) {
				c.CAFile, c.ClientCert, c.ClientKey, c.Warm = ca, ownCert, ownKey, 0
			})
			defer with.Close()
		}
		if v, text := login(t, with); v != proto.Accept {
			t.Fatalf("%s: got %v (%s)", name, v, text)
		}
		if got := last().PeerCertificates[0].DNSNames; len(got) != 1 || got[0] != name {
			t.Errorf("the server saw %v want %s", got, name)
		}
	}
}
