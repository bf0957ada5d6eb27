package dovecot

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"imapauthd/proto/prototest"
)

// TestInterleaved: ten thousand exchanges on ten connections, each answered by its own
// name, in whatever order.
func TestInterleaved(t *testing.T) {
	path := prototest.Listen(t, relayed(nil), time.Minute)
	var wg sync.WaitGroup
	for c := range 10 {
		p := connect(t, path)
		wg.Go(func() { interleave(t, p, c, 1000) })
	}
	wg.Wait()
}

// interleave runs exchanges of all kinds, up to a hundred at a time.
func interleave(t *testing.T, p *peer, c, total int) {
	places := make(chan bool, 100)
	go func() {
		for id := 1; id <= total; id++ {
			places <- true
			var line string
			switch id % 4 {
			case 0:
				line = plainLine(id, user(c, id), password(id))
			case 1:
				line = fmt.Sprintf("AUTH\t%d\tLOGIN\n", id)
			case 2:
				line = fmt.Sprintf("AUTH\t%d\tCRAM-MD5\n", id)
			case 3:
				line = fmt.Sprintf("AUTH\t%d\tSCRAM-SHA-256\tresp=%s\n", id, base("n,,"+user(c, id)))
			}
			if _, err := io.WriteString(p, line); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	steps := make(map[int]int)
	var held []string // responses that wait for others
	for done := 0; done < total; {
		line := p.line()
		fields := strings.Split(line, "\t")
		var id int
		if len(fields) < 2 {
			t.Errorf("got %q", line)
			return
		}
		fmt.Sscan(fields[1], &id)
		want, response := expected(c, id, steps[id])
		steps[id]++
		if line != want {
			t.Errorf("got  %q\nwant %q", line, want)
			return
		}
		if fields[0] == "CONT" {
			held = append(held, fmt.Sprintf("CONT\t%d\t%s\n", id, base(response)))
		} else {
			done++
			<-places
		}
		if len(held) > 20 || p.in.Buffered() == 0 {
			rand.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
			if _, err := io.WriteString(p, strings.Join(held, "")); err != nil {
				t.Error(err)
				return
			}
			held = nil
		}
	}
}

func user(c, id int) string { return fmt.Sprintf("user%d-%d", c, id) }

// password is the right one for two in three.
func password(id int) string {
	if id%3 == 0 {
		return "x"
	}
	return "secret"
}

// expected is what an exchange must be told at a step, and what it says to that.
func expected(c, id, step int) (line, response string) {
	name, end := user(c, id), fmt.Sprintf("FAIL\t%d\tuser=%s", id, user(c, id))
	if password(id) == "secret" {
		end = fmt.Sprintf("OK\t%d\tuser=%s", id, name)
	}
	var dialogue []string
	switch id % 4 {
	case 1:
		dialogue = []string{"Username:", name, "Password:", password(id)}
	case 2:
		dialogue = []string{"<1@test>", name + " " + password(id)}
	case 3:
		dialogue = []string{"r=" + name, name + " " + password(id)}
		if password(id) == "secret" {
			dialogue = append(dialogue, "v=proof", "")
		}
	}
	if 2*step < len(dialogue) {
		return fmt.Sprintf("CONT\t%d\t%s", id, base(dialogue[2*step])), dialogue[2*step+1]
	}
	return end, ""
}
