package main

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// String returns the configuration as a file that says the same: every key with
// its value, in the order of the struct. Go-toml's encoder would quote 'like
// this' and split the tables differently.
func (c *config) String() string {
	var b strings.Builder
	writeTable(&b, "", reflect.ValueOf(c).Elem())
	return b.String()
}

// writeTable writes a struct's keys under a header, and then the tables in it.
func writeTable(b *strings.Builder, header string, v reflect.Value) {
	if header != "" {
		fmt.Fprintf(b, "\n%s\n", header)
	}
	names, fields := fieldsOf(v)
	for _, name := range names {
		if f := fields[name]; !isTable(f.Type()) {
			fmt.Fprintf(b, "%s = %s\n", name, tomlValue(f))
		}
	}
	for _, name := range names {
		switch f := fields[name]; {
		case !isTable(f.Type()):
		case f.Kind() == reflect.Struct:
			writeTable(b, "["+name+"]", f)
		default:
			for i := range f.Len() {
				writeTable(b, "[["+name+"]]", f.Index(i))
			}
		}
	}
}

// isTable reports whether a type is written as tables: a struct, or a list of
// structs, that does not write itself as text.
func isTable(t reflect.Type) bool {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && !t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// tomlValue writes a value.
func tomlValue(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			panic(err) // None of the types above can fail.
		}
		return tomlString(string(text))
	}
	switch v.Kind() {
	case reflect.String:
		return tomlString(v.String())
	case reflect.Slice:
		elems := make([]string, v.Len())
		for i := range elems {
			elems[i] = tomlValue(v.Index(i))
		}
		return "[" + strings.Join(elems, ", ") + "]"
	case reflect.Int:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	panic("config: no TOML for " + v.Type().String())
}

// tomlString writes a basic string (TOML 1.0). Go's escapes are not all TOML's.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
