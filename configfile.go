package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxFile bounds the file: 1 MiB, some thousand servers.
const maxFile = 1 << 20

// mistake is one thing that is wrong in a file.
type mistake struct {
	file   string
	offset int // in bytes; -1: a default is at fault, which is not in the file
	line   int // from 1, like column; 0: nowhere
	column int
	key    string // with its table: "listen.mode"; empty: the file is no TOML
	err    error
}

// Error is FILE:LINE:COLUMN: TABLE.KEY: what is wrong and what to do.
func (m *mistake) Error() string {
	s := m.file
	if m.line > 0 {
		s = fmt.Sprintf("%s:%d:%d", s, m.line, m.column)
	}
	if m.key != "" {
		s += ": " + m.key
	}
	return s + ": " + m.err.Error()
}

func (m *mistake) Unwrap() error { return m.err }

// mistakes are all that was found in a file, in its order, one a line.
type mistakes []*mistake

func (ms mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// readConfig returns the defaults, overridden by the file.
func readConfig(file string) (*config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("configuration: %s is larger than %d bytes", file, maxFile)
	}
	return parseConfig(file, bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))) // a BOM is no TOML
}

// parseConfig returns the defaults, overridden by what data says; file is for the
// messages. The error is of type mistakes.
func parseConfig(file string, data []byte) (*config, error) {
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		return nil, mistakes{notTOML(file, data, err)}
	}
	c := defaultConfig()
	d := decoder{positions: newPositions(data), file: file, bad: map[string]bool{}}
	d.table("", tree, reflect.ValueOf(c).Elem())
	for _, f := range c.check(d.bad) {
		path := f.table
		if f.err.Key != "" {
			path = strings.TrimPrefix(f.table+"."+f.err.Key, ".")
		}
		offset := d.at(path)
		if path == "login_timeout" && offset < 0 {
			offset = d.at("timeout") // which has passed the default
		}
		d.fail(path, offset, f.err.Err)
	}
	if len(d.mistakes) == 0 {
		return c, nil
	}
	slices.SortStableFunc(d.mistakes, func(a, b *mistake) int { return cmp.Compare(a.offset, b.offset) })
	return nil, d.mistakes
}

// notTOML is the mistake that go-toml found.
func notTOML(file string, data []byte, err error) *mistake {
	m := &mistake{file: file, err: errors.New("not TOML: " + strings.TrimPrefix(err.Error(), "toml: "))}
	e, ok := errors.AsType[*toml.DecodeError](err)
	if !ok {
		return m
	}
	m.line, m.column = e.Position()
	if word := bareWord(data, m.line); word != "" {
		m.err = fmt.Errorf("%w (are quotes missing? write %s)", m.err, tomlString(word))
	}
	return m
}

// bareWord returns the value on a line that wants quotes, as do level = info,
// mode = 0660 and timeout = 9s, or "". The parser's own words about them
// ("integers cannot have leading zeroes") do not say so.
func bareWord(data []byte, line int) string {
	lines := strings.Split(string(data), "\n")
	m := bareValue.FindStringSubmatch(lines[min(line, len(lines))-1])
	if m == nil || wholeNumber.MatchString(m[1]) {
		return ""
	}
	if err := toml.Unmarshal([]byte("key = "+m[1]), new(map[string]any)); err == nil {
		return "" // The mistake is another one.
	}
	return m[1]
}

var bareValue = regexp.MustCompile(`^\s*[\w.-]+\s*=\s*([^\s"'\[\]=#,]*\w[^\s"'\[\]=#,]*)\s*(?:#.*)?$`)
