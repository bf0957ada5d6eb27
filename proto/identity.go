package proto

import (
	"fmt"
	"os/user"
	"strconv"
)

// lookupGroup returns the number of the group that s names.
func lookupGroup(s string) (int, error) {
	if gid, err := strconv.ParseUint(s, 10, 31); err == nil {
		return int(gid), nil
	}
	g, err := user.LookupGroup(s)
	if err != nil {
		return 0, fmt.Errorf("no group %q on this machine", s)
	}
	return strconv.Atoi(g.Gid)
}

// lookupUsers returns the numbers of the users that names lists.
func lookupUsers(names []string) (map[uint32]bool, error) {
	uids := make(map[uint32]bool, len(names))
	for _, s := range names {
		if uid, err := strconv.ParseUint(s, 10, 32); err == nil {
			uids[uint32(uid)] = true
			continue
		}
		u, err := user.Lookup(s)
		if err != nil {
			return nil, fmt.Errorf("no user %q on this machine", s)
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %q has the odd number %q", s, u.Uid)
		}
		uids[uint32(uid)] = true
	}
	return uids, nil
}
