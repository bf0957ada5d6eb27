package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"imapauthd/imap"
	"imapauthd/proto"
)

// finding is a value that is well formed but cannot work.
type finding struct {
	table string // as in positions: "server[1]"; empty: the top of the file
	err   *proto.KeyError
}

// check returns what cannot work: in each table, and between tables. Those in
// bad were not understood whole, so what they seem to say is left alone.
func (c *config) check(bad map[string]bool) []finding {
	var found []finding
	report := func(table string, err error) {
		if err == nil || bad[table] {
			return
		}
		k, ok := errors.AsType[*proto.KeyError](err)
		if !ok {
			k = &proto.KeyError{Err: err}
		}
		found = append(found, finding{table, k})
	}
	report("", c.validateTimes())
	report("", c.validateMaxPassword())
	for i := range c.Listen {
		report(element("listen", i), c.Listen[i].Validate(protocols))
	}
	for i := range c.Server {
		report(element("server", i), c.Server[i].Validate())
	}
	report("cache", c.Cache.Validate())
	report("guard", c.Guard.Validate())
	report("log", c.Log.Validate())
	if len(bad) == 0 {
		c.checkSockets(report)
		c.checkNames(report)
		c.checkDomains(report)
	}
	return found
}

// element is the path of an element of a list.
func element(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

func (c *config) validateTimes() error {
	if c.Timeout == 0 {
		return proto.BadKey("timeout", "must be more than 0s")
	}
	// A login that is cut before its callers give up could never be answered.
	if c.LoginTimeout < c.Timeout {
		timeout, _ := c.Timeout.MarshalText()
		return proto.BadKey("login_timeout", "must be at least timeout (%s)", timeout)
	}
	return nil
}

func (c *config) validateMaxPassword() error {
	if c.MaxPassword < 1 {
		return proto.BadKey("max_password", "must be at least 1")
	}
	return nil
}

// checkSockets refuses two listeners on one socket.
func (c *config) checkSockets(report func(string, error)) {
	seen := map[string]bool{}
	for i, l := range c.Listen {
		socket := l.Socket
		if filepath.IsAbs(socket) {
			socket = filepath.Clean(socket)
		}
		if seen[socket] {
			report(element("listen", i), proto.BadKey("socket", "another [[listen]] has the socket %q (give each its own)", socket))
		}
		seen[socket] = true
	}
}

// checkNames refuses two servers of one name. It is easily forgotten, since a
// server alone needs none.
func (c *config) checkNames(report func(string, error)) {
	seen := map[string]bool{}
	for i, s := range c.Server {
		if seen[s.Name] {
			report(element("server", i), proto.BadKey("name", "another [[server]] has the name %q (give each its own)", s.Name))
		}
		seen[s.Name] = true
	}
}

// checkDomains refuses two servers for one account: the same domain, or every
// other one.
func (c *config) checkDomains(report func(string, error)) {
	rest, owner := -1, map[string]int{}
	for i, s := range c.Server {
		table := element("server", i)
		if len(s.Domains) == 0 && !s.ByName {
			if rest >= 0 {
				report(table, proto.BadKey("domains", "another [[server]] has no domains either, and only one can have every other account (list the domains of one, or set by_name = true in one that only server= is to reach)"))
			} else {
				rest = i
			}
		}
		for j, d := range s.Domains {
			name, err := claim(d)
			if err != nil {
				continue // Validate has said so.
			}
			key := element("domains", j)
			if k, ok := owner[name]; !ok {
				owner[name] = i
			} else if k == i {
				report(table, proto.BadKey(key, "%q is listed twice", d))
			} else {
				report(table, proto.BadKey(key, "%q is a domain of another [[server]] (only one can have it)", d))
			}
		}
	}
}

// claim returns a domain or wildcard as the router compares it.
func claim(domain string) (string, error) {
	rest, wild := strings.CutPrefix(domain, "*.")
	name, err := imap.CanonicalDomain(rest)
	if err == nil && wild {
		name = "*." + name
	}
	return name, err
}
