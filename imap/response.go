package imap

import (
	"bytes"
	"regexp"
	"strings"
)

// status is a status response, tagged or not (RFC 9051 §7.1).
type status struct {
	tag  string // "*" if untagged
	typ  string // OK, NO, BAD, BYE or PREAUTH; upper case
	code string // first word of the response code, upper case; empty: none; "?": not readable
	args string // what follows it, up to the "]"
	text string
	raw  string // all behind the type, as it came: code, args and text
}

// unreadable stands for a response code that is none: a bracket that never closes,
// nothing in it, or what no code consists of. A code that cannot be read decides
// nothing, like one that is not known.
const unreadable = "?"

// codeWord is what response codes consist of, in the registry and a little beyond.
var codeWord = regexp.MustCompile(`^[A-Za-z0-9_./+-]{1,64}$`)

// parseStatus reads a status response. ok is false for every other line.
func parseStatus(line []byte) (s status, ok bool) {
	tag, rest, found := bytes.Cut(line, []byte(" "))
	if !found || len(tag) == 0 {
		return status{}, false
	}
	typ, rest, _ := bytes.Cut(rest, []byte(" "))
	s = status{tag: string(tag), typ: strings.ToUpper(string(typ)), raw: strings.TrimLeft(string(rest), " ")}
	switch s.typ {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
	default:
		return status{}, false
	}
	s.text = s.raw
	if inner, found := strings.CutPrefix(s.raw, "["); found {
		code, text, closed := strings.Cut(inner, "]")
		s.code, s.args, _ = strings.Cut(code, " ")
		if !closed || !codeWord.MatchString(s.code) {
			s.code = unreadable
			return s, true
		}
		s.code = strings.ToUpper(s.code)
		s.text = strings.TrimPrefix(text, " ")
	}
	return s, true
}

// unbracket joins what the brackets of a response code divide.
var unbracket = strings.NewReplacer("[", "", "]", "")

// err returns the response as an error for the log. password is what was sent, or
// empty: if the server repeats it, neither code nor text is shown.
func (s status) err(password string) *ServerError {
	if password != "" && (repeats(s.raw, password) || repeats(unbracket.Replace(s.raw), password)) {
		return &ServerError{s.typ, "", withheld}
	}
	return &ServerError{s.typ, s.code, cut(s.text)}
}

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
