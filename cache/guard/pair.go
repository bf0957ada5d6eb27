package guard

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/netip"

	"imapauthd/proto"
)

// pair is an account and the address that it is asked for from, as a key: names are up to
// 16 KiB and a stranger's to choose. It is HMAC-SHA-256 under a secret made at start,
// cut in half (RFC 2104 §5), so nobody can look for a name that blocks another's.
type pair [sha256.Size / 2]byte

type secret [sha256.Size]byte

func newSecret() *secret {
	s := new(secret)
	rand.Read(s[:]) // never fails: crypto/rand ends the process instead
	return s
}

// pair returns the pair of a request. Accounts differ as the cache's do: by server, and by
// the name in ASCII lower case, for that is how far servers may fold.
func (s *secret) pair(server string, req *proto.Request) (p pair) {
	mac := hmac.New(sha256.New, s[:])
	address := network(req.Client.Addr()).As16()
	mac.Write(address[:])
	mac.Write(append([]byte(server), 0)) // neither name holds a NUL
	name := []byte(req.Authcid)
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			name[i] = c + 'a' - 'A'
		}
	}
	mac.Write(name)
	copy(p[:], mac.Sum(nil))
	return p
}

// network returns the first address of the block that one client can have to itself: an
// IPv4 address alone, of IPv6 a /64, in which each host picks its own and changes it
// (RFC 4291 §2.5.4, RFC 8981).
func network(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() {
		p, _ := a.Prefix(64) // fails past 128 bits alone
		return p.Addr()
	}
	return a
}
