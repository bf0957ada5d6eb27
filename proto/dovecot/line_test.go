package dovecot

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readLines returns all lines of a stream; those too long as "TOO LONG" and their heads.
func readLines(t *testing.T, r io.Reader) (got []string) {
	t.Helper()
	in := lines{r: r, arm: func(bool) {}}
	for {
		line, err := in.next()
		switch err {
		case nil:
			got = append(got, string(line))
		case errTooLong:
			got = append(got, "TOO LONG "+string(line))
		case io.EOF:
			return got
		default:
			t.Fatal(err)
		}
		if len(in.buf) > maxLine {
			t.Fatalf("the buffer has %d bytes", len(in.buf))
		}
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine-1)
	head := "TOO LONG " + strings.Repeat("x", maxHead)
	tests := []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"a\nb\r\n\n\r\nc", []string{"a", "b", "", ""}},
		{"a\rb\n", []string{"a\rb"}},
		{long + "\nb\n", []string{long, "b"}},
		{long + "x\nb\n", []string{head, "b"}},
		{long + long + long + "\n" + long + "\n" + long + long, []string{head, long}},
		{strings.Repeat("a\n", 5000) + long + "\n", append(strings.Split(strings.Repeat("a", 5000), ""), long)},
	}
	for _, tt := range tests {
		for name, r := range map[string]io.Reader{
			"at once":      strings.NewReader(tt.in),
			"byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
			"by halves":    iotest.HalfReader(strings.NewReader(tt.in)),
		} {
			if got := readLines(t, r); strings.Join(got, "\n") != strings.Join(tt.want, "\n") || len(got) != len(tt.want) {
				t.Errorf("%.20q, %s: got %.100q want %.100q", tt.in, name, got, tt.want)
			}
		}
	}
}

// TestLinesWipe: a line is gone when the next one is asked for, whether that is there or
// has to be read.
func TestLinesWipe(t *testing.T) {
	for _, in := range []string{"first\nsecret\nlast\n", "first\nsecret\nla"} {
		l := lines{r: strings.NewReader(in), arm: func(bool) {}}
		for range 2 {
			if _, err := l.next(); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Contains(l.buf, []byte("secret")) {
			t.Fatal("this test looks in the wrong place")
		}
		l.next()
		if bytes.Contains(l.buf, []byte("secret")) {
			t.Errorf("%q: the line is still there", in)
		}
	}
}

// FuzzLines holds that lines do not depend on the pieces in which they come, and are
// those of the stream.
func FuzzLines(f *testing.F) {
	f.Add([]byte("VERSION\t1\t0\nCPID\t815\nAUTH\t1\tPLAIN\tresp=\n"), 0)
	f.Add([]byte("a\r\n\n\rb"), 20000)
	f.Fuzz(func(t *testing.T, data []byte, fill int) {
		if fill = fill % (3 * maxLine); fill > 0 {
			data = append(bytes.Repeat([]byte("y"), fill), data...)
		}
		got := readLines(t, bytes.NewReader(data))
		if halves := readLines(t, iotest.HalfReader(bytes.NewReader(data))); strings.Join(got, "\n") != strings.Join(halves, "\n") {
			t.Fatalf("got %.200q, by halves %.200q", got, halves)
		}
		whole := bytes.SplitAfter(data, []byte("\n"))
		if len(got) != len(whole)-1 {
			t.Fatalf("got %d lines of %d", len(got), len(whole)-1)
		}
		for i, line := range got {
			want := strings.TrimSuffix(strings.TrimSuffix(string(whole[i]), "\n"), "\r")
			if len(whole[i]) > maxLine {
				want = "TOO LONG " + string(whole[i][:maxHead])
			}
			if line != want {
				t.Fatalf("got %.200q want %.200q", line, want)
			}
		}
	})
}
