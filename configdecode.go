package main

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"imapauthd/imap"
	"imapauthd/proto"
)

// decoder puts a parsed file into a config and collects every mistake. Go-toml's
// own decoder stops at the first one and speaks of Go types.
type decoder struct {
	*positions
	file     string
	mistakes mistakes
	bad      map[string]bool // paths of the tables with a mistake
}

// indexes are the numbers of list elements in a path, for which a message has a
// line number.
var indexes = regexp.MustCompile(`\[\d+\]`)

// fail adds a mistake about the key at path, found at offset.
func (d *decoder) fail(path string, offset int, err error) {
	m := &mistake{file: d.file, offset: offset, key: indexes.ReplaceAllString(path, ""), err: err}
	if offset >= 0 {
		m.line, m.column = lineColumn(d.data, offset)
	}
	d.mistakes = append(d.mistakes, m)
}

// table puts a table into a struct. Keys that the table lacks keep the value the
// struct has.
func (d *decoder) table(path string, table map[string]any, v reflect.Value) {
	names, fields := fieldsOf(v)
	for key, raw := range table {
		sub, before := join(path, key), len(d.mistakes)
		field, ok := fields[key]
		if ok {
			d.value(sub, raw, field)
		} else {
			d.fail(sub, d.keys[sub], fmt.Errorf("unknown key (one of: %s)", strings.Join(names, ", ")))
		}
		// A table within this one is bad on its own account.
		if len(d.mistakes) > before && !(ok && isTable(field.Type())) {
			d.bad[path] = true
		}
	}
}

// fieldsOf returns the fields of a struct by their keys in the file, those of
// embedded structs among them, and the keys in their order.
func fieldsOf(v reflect.Value) (names []string, fields map[string]reflect.Value) {
	fields = map[string]reflect.Value{}
	for _, f := range reflect.VisibleFields(v.Type()) {
		if key := f.Tag.Get("toml"); key != "" {
			names = append(names, key)
			fields[key] = v.FieldByIndex(f.Index)
		}
	}
	return names, fields
}

// value puts one value of the file into a field.
func (d *decoder) value(path string, raw any, v reflect.Value) {
	text, isText := raw.(string)
	wrong := func() {
		d.fail(path, d.at(path), wrongType(path, v.Type(), raw))
		d.bad[path] = true
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if !isText {
			wrong()
		} else if err := u.UnmarshalText([]byte(text)); err != nil {
			d.fail(path, d.at(path), err)
		}
		return
	}
	switch raw := raw.(type) {
	case map[string]any:
		if v.Kind() == reflect.Struct {
			d.table(path, raw, v)
			return
		}
	case []any:
		if v.Kind() == reflect.Slice {
			d.list(path, raw, v)
			return
		}
	case int64:
		if v.Kind() == reflect.Int {
			if v.OverflowInt(raw) {
				d.fail(path, d.at(path), errors.New("is too large a number"))
			} else {
				v.SetInt(raw)
			}
			return
		}
	default: // string, bool, and what there is no field for
		if r := reflect.ValueOf(raw); r.Type() == v.Type() {
			v.Set(r)
			return
		}
	}
	wrong()
}

// list puts a list into a slice, which loses its default. The elements of
// [[listen]] and [[server]] have defaults of their own.
func (d *decoder) list(path string, raw []any, v reflect.Value) {
	if len(raw) == 0 && isTable(v.Type()) {
		d.fail(path, d.at(path), errors.New("is empty (leave it out to have the default one)"))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(raw), len(raw))
	for i := range raw {
		switch e := out.Index(i).Addr().Interface().(type) {
		case *proto.ListenConfig:
			*e = proto.DefaultListen(protocolOf(raw[i]))
		case *imap.Config:
			*e = imap.DefaultConfig()
		}
		d.value(element(path, i), raw[i], out.Index(i))
	}
	v.Set(out)
}

// protocolOf returns the protocol of a [[listen]] table, on which its defaults depend.
func protocolOf(raw any) string {
	if table, ok := raw.(map[string]any); ok {
		if protocol, ok := table["protocol"].(string); ok {
			return protocol
		}
	}
	return "readsocket"
}

// wrongType says what a field wants and what it got instead.
func wrongType(path string, t reflect.Type, raw any) error {
	s := "must be " + wanted(t) + ", not " + given(raw)
	if e := example(path, t, raw); e != "" {
		s += " (write " + e + ")"
	}
	return errors.New(s)
}

// wanted describes the values of a field.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[proto.Duration]():
		return "a duration in quotes"
	case reflect.TypeFor[proto.Mode]():
		return "a file mode in quotes"
	}
	switch {
	case t.Kind() == reflect.Slice && isTable(t):
		return "a list of tables"
	case t.Kind() == reflect.Slice:
		return "a list of strings"
	case isTable(t):
		return "a table"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Bool:
		return "true or false"
	}
	return "a string"
}

// given describes a value as go-toml decodes it into an any.
func given(raw any) string {
	switch raw.(type) {
	case string:
		return "a string"
	case int64:
		return "a whole number"
	case float64:
		return "a fraction"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

// example returns what to write: where it is plain, what was meant.
func example(path string, t reflect.Type, raw any) string {
	switch t {
	case reflect.TypeFor[proto.Duration]():
		return `"90s", "10m" or "1h30m"`
	case reflect.TypeFor[proto.Mode]():
		return `"0660"`
	case reflect.TypeFor[imap.URL]():
		return `"imaps://HOST"`
	}
	if isTable(t) {
		name := indexes.ReplaceAllString(path, "")
		if name != path || t.Kind() == reflect.Slice {
			return "[[" + name + "]]"
		}
		return "[" + name + "]"
	}
	switch text, isText := raw.(string); {
	case isText && t.Kind() == reflect.Slice:
		return "[" + tomlString(text) + "]"
	case isText && t.Kind() == reflect.Int && wholeNumber.MatchString(text):
		return text
	case isText && t.Kind() == reflect.Bool && (text == "true" || text == "false"):
		return text
	}
	if n, ok := raw.(int64); ok && t.Kind() == reflect.String {
		return fmt.Sprintf(`"%d"`, n)
	}
	return ""
}

// wholeNumber is one that TOML takes without quotes.
var wholeNumber = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)
