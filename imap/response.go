package imap

import (
	"bytes"
	"strings"
)

// status is a status response, tagged or not (RFC 9051 §7.1).
type status struct {
	tag  string // "*" if untagged
	typ  string // OK, NO, BAD, BYE or PREAUTH; upper case
	code string // first word of the response code, upper case; empty: none
	args string // what follows it, up to the "]"
	text string
}

// parseStatus reads a status response. ok is false for every other line.
func parseStatus(line []byte) (s status, ok bool) {
	tag, rest, found := bytes.Cut(line, []byte(" "))
	if !found || len(tag) == 0 {
		return status{}, false
	}
	typ, rest, _ := bytes.Cut(rest, []byte(" "))
	s = status{tag: string(tag), typ: strings.ToUpper(string(typ)), text: string(rest)}
	switch s.typ {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
	default:
		return status{}, false
	}
	if inner, found := strings.CutPrefix(s.text, "["); found {
		if code, text, found := strings.Cut(inner, "]"); found {
			s.code, s.args, _ = strings.Cut(code, " ")
			s.code = strings.ToUpper(s.code)
			s.text = strings.TrimPrefix(text, " ")
		}
	}
	return s, true
}

// err returns the response as an error, its text cut for the log.
func (s status) err() error { return &ServerError{s.typ, s.code, cut(s.text)} }

// caps is a set of capabilities, upper case (RFC 9051 §7.2.2).
type caps map[string]bool

func parseCaps(list string) caps {
	set := make(caps)
	for _, c := range strings.Fields(list) {
		set[strings.ToUpper(c)] = true
	}
	return set
}

// untaggedCaps reads "* CAPABILITY …".
func untaggedCaps(line []byte) (caps, bool) {
	const prefix = "* CAPABILITY "
	if len(line) < len(prefix) || !strings.EqualFold(string(line[:len(prefix)]), prefix) {
		return nil, false
	}
	return parseCaps(string(line[len(prefix):])), true
}
