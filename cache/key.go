package cache

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"

	"imapauthd/proto"
)

// Key is HMAC-SHA-256 under a key made at start: without the process's memory it
// cannot be computed, so what the cache holds gives no password away. It is the
// first half (RFC 2104 §5), a third of an account's memory less: nobody can search
// for two that are equal without that key, and that a wrong password's key is an
// entry's by chance is 2⁻¹²⁸ a guess.
type Key [sha256.Size / 2]byte

// Purposes keep an account's key from ever being an entry's.
const (
	forAccount = 'a'
	forEntry   = 'e'
)

// keyer computes keys. It is safe for concurrent use and does not allocate once
// warm.
type keyer struct {
	hashers sync.Pool // of *hasher
}

// hasher is one HMAC with its scratch space.
type hasher struct {
	mac hash.Hash
	msg []byte
	sum []byte
}

func newKeyer() *keyer {
	var secret [sha256.Size]byte
	rand.Read(secret[:]) // never fails: crypto/rand ends the process instead
	return &keyer{sync.Pool{New: func() any {
		return &hasher{mac: hmac.New(sha256.New, secret[:])}
	}}}
}

// account returns the key of an account: server and authcid in ASCII lower case,
// for that is how far servers may fold.
func (k *keyer) account(server, authcid string) Key {
	h := k.hashers.Get().(*hasher)
	defer k.hashers.Put(h)
	h.begin(forAccount)
	h.field(server)
	start := len(h.msg)
	h.field(authcid)
	for i, c := range h.msg[start:] {
		if 'A' <= c && c <= 'Z' && i >= 4 { // not the length before it
			h.msg[start+i] = c + 'a' - 'A'
		}
	}
	return h.end()
}

// entry returns the key of these very credentials on this route. Every field is
// exact, and its length stands before it, so no two requests share a key.
func (k *keyer) entry(route proto.Route, req *proto.Request) Key {
	h := k.hashers.Get().(*hasher)
	defer k.hashers.Put(h)
	h.begin(forEntry)
	h.field(route.Server)
	h.msg = append(h.msg, 0)
	if route.PerAddress {
		addr := req.Client.Addr().As16()
		h.msg[len(h.msg)-1] = byte(1 + req.Client.Addr().BitLen()/8) // 1: no address told
		h.msg = append(h.msg, addr[:]...)
	}
	h.field(req.Authcid)
	h.field(req.Authzid)
	h.field(req.Password.Reveal())
	return h.end()
}

func (h *hasher) begin(purpose byte) { h.msg = append(h.msg[:0], purpose) }

func (h *hasher) field(s string) {
	h.msg = binary.BigEndian.AppendUint32(h.msg, uint32(len(s)))
	h.msg = append(h.msg, s...)
}

func (h *hasher) end() (key Key) {
	h.mac.Reset()
	h.mac.Write(h.msg)
	h.sum = h.mac.Sum(h.sum[:0])
	copy(key[:], h.sum)
	clear(h.msg)
	return key
}
