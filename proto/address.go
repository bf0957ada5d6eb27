package proto

import (
	"errors"
	"net/netip"
)

// ParseAddress reads an address that a mail server tells of its client. A zone is
// refused: netip.ParseAddr would let it hold quotes and line ends, and Addr.String
// would print them. An IPv4 address within IPv6 (::ffff:192.0.2.1) is the IPv4 one.
func ParseAddress(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, errors.New("not an address") // err would quote the text
	}
	return a.Unmap(), nil
}
