package main

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// positions tells where in a TOML file its keys and values are, by path:
// "timeout", "log.level", "server[1]", "server[1].url[0]". They are byte
// offsets; a table's value begins at the bracket of its header.
type positions struct {
	data   []byte
	keys   map[string]int
	values map[string]int
	// elements counts the [[table]] headers seen for a path.
	elements map[string]int
}

// newPositions reads a file that go-toml accepts.
func newPositions(data []byte) *positions {
	p := &positions{data, map[string]int{}, map[string]int{}, map[string]int{}}
	var parser unstable.Parser
	parser.Reset(data)
	table := ""
	for parser.NextExpression() {
		switch e := parser.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = p.header(e)
		case unstable.KeyValue:
			p.keyValue(table, e)
		}
	}
	return p
}

// header enters [a.b] or [[a.b]] and returns its path.
func (p *positions) header(n *unstable.Node) string {
	path := ""
	for it := n.Key(); it.Next(); {
		key := it.Node()
		path = join(path, string(key.Data))
		p.enter(path, int(key.Raw.Offset))
		if it.IsLast() && n.Kind == unstable.ArrayTable {
			if p.elements[path]++; p.elements[path] == 1 {
				p.values[path] = p.bracket(n)
			}
		}
		if i := p.elements[path]; i > 0 {
			path = element(path, i-1) // [a.b] below [[a]] is in its last element.
		}
		if it.IsLast() {
			p.values[path] = p.bracket(n)
		}
	}
	return path
}

// bracket returns where a header begins.
func (p *positions) bracket(n *unstable.Node) int {
	i := int(n.Child().Raw.Offset)
	for i > 0 && strings.IndexByte("[ \t", p.data[i-1]) >= 0 {
		i--
	}
	for p.data[i] != '[' {
		i++ // the line's indentation
	}
	return i
}

// enter remembers a part of a key, unless it was there before.
func (p *positions) enter(path string, offset int) {
	if _, ok := p.keys[path]; !ok {
		p.keys[path] = offset
		p.values[path] = offset
	}
}

// keyValue enters "a.b = value" in a table.
func (p *positions) keyValue(path string, n *unstable.Node) {
	end := 0
	for it := n.Key(); it.Next(); {
		key := it.Node()
		path = join(path, string(key.Data))
		p.enter(path, int(key.Raw.Offset))
		end = int(key.Raw.Offset + key.Raw.Length)
	}
	for strings.IndexByte(" \t=", p.data[end]) >= 0 {
		end++ // Lists have no position of their own in this parser.
	}
	p.value(path, n.Value(), end)
}

// value enters a value and what is in it. A list within a list, for which the
// configuration has no use, is taken to be where the outer one is.
func (p *positions) value(path string, n *unstable.Node, offset int) {
	if n.Raw.Length > 0 {
		offset = int(n.Raw.Offset)
	}
	p.values[path] = offset
	switch n.Kind {
	case unstable.InlineTable:
		for it := n.Children(); it.Next(); {
			p.keyValue(path, it.Node())
		}
	case unstable.Array:
		i := 0
		for it := n.Children(); it.Next(); i++ {
			p.value(element(path, i), it.Node(), offset)
		}
	}
}

// at returns the offset of the value at a path, or of the nearest thing
// around it that the file has, or -1.
func (p *positions) at(path string) int {
	for path != "" {
		if offset, ok := p.values[path]; ok {
			return offset
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return -1
}

// lineColumn counts from 1, columns in bytes.
func lineColumn(data []byte, offset int) (line, column int) {
	before := string(data[:offset])
	return 1 + strings.Count(before, "\n"), offset - strings.LastIndexByte(before, '\n')
}

// bareKey is a key that TOML lets stand without quotes.
var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// join appends a key to a table's path.
func join(path, key string) string {
	if !bareKey.MatchString(key) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
