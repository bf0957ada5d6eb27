//go:build !linux

package tests

import "net"

// established cannot be told here, so the limit on connections goes unchecked.
func established(net.Conn) bool { return false }
