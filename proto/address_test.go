package proto

import (
	"net/netip"
	"strings"
	"testing"
)

// FuzzAddress: an address has no zone, consists of what addresses consist of, and is
// itself again.
func FuzzAddress(f *testing.F) {
	for _, text := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:DB8::1", "fe80::1%eth0", "fe80::1%\"\r\n)", "::ffff:1.2.3.4%x", "1.2.3", "", "[::1]", "0x7f.1", "01.2.3.4"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			if a.IsValid() || len(text) > 20 && strings.Contains(err.Error(), text) {
				t.Fatalf("%q: got %v, %v", text, a, err)
			}
			return
		}
		if a.Zone() != "" || a.Is4In6() || strings.Trim(a.String(), "0123456789abcdef.:") != "" {
			t.Fatalf("%q: got %v", text, a)
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Fatalf("%q: got %v, and of that %v, %v", text, a, again, err)
		}
		if want := netip.MustParseAddr(text); want.Unmap() != a {
			t.Fatalf("%q: got %v", text, a)
		}
	})
}
