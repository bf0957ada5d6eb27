package cache

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const late = testPositive * 4 / 5

// hit expects an answer from memory that waits for nobody.
func hit(t *testing.T, c *Cache, account, password string) {
	t.Helper()
	start := time.Now()
	ask(t, c, account, password, yes, fromCache)
	if took := time.Since(start); took != 0 {
		t.Errorf("a hit took %v", took)
	}
}

// asked expects so many logins up to now, those under way among them.
func asked(t *testing.T, o *outage, what string, want int) {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.logins != want {
		t.Errorf("%s: %d logins want %d", what, o.logins, want)
	}
}

// TestRefresh: logins in the last fifth of an entry's life. bob has logged in, with
// "right", when a step begins, and each further login takes 10 s.
func TestRefresh(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, c *Cache, o *outage){
		"when": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(late - time.Nanosecond)
			look(t, c, "bob", "right", yes, fromCache)
			hit(t, c, "bob", "right")
			asked(t, o, "before", 1)
			time.Sleep(time.Nanosecond)
			look(t, c, "bob", "right", undecided, fromCache)
			asked(t, o, "by a look", 1)
			hit(t, c, "bob", "right")
			look(t, c, "bob", "right", yes, fromCache)
			hit(t, c, "bob", "right")
			asked(t, o, "once", 2)
		},
		"accept renews": func(t *testing.T, c *Cache, o *outage) {
			for life := range 5 { // a regular client never waits
				time.Sleep(late)
				hit(t, c, "bob", "right")
				time.Sleep(10 * time.Second)
				asked(t, o, "each life", life+2)
			}
			time.Sleep(late - time.Nanosecond)
			hit(t, c, "bob", "right")
			asked(t, o, "the last", 6)
			time.Sleep(testPositive - late)
			hit(t, c, "bob", "right")
		},
		"reject removes": func(t *testing.T, c *Cache, o *outage) {
			o.set("bob", "new")
			time.Sleep(late)
			hit(t, c, "bob", "right")
			time.Sleep(10*time.Second - time.Nanosecond)
			hit(t, c, "bob", "right")
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			ask(t, c, "bob", "right", no, fromCache)
		},
		"reject that is not stored removes": func(t *testing.T, c *Cache, o *outage) {
			o.set("bob", "new")
			o.unsafe = true
			time.Sleep(late)
			hit(t, c, "bob", "right")
			time.Sleep(10 * time.Second)
			synctest.Wait()
			ask(t, c, "bob", "right", no, fromIMAP)
		},
		"tempfail leaves": func(t *testing.T, c *Cache, o *outage) {
			o.down = true
			time.Sleep(late)
			hit(t, c, "bob", "right")
			time.Sleep(10 * time.Second)
			synctest.Wait()
			o.mu.Lock()
			o.down = false
			o.mu.Unlock()
			look(t, c, "bob", "right", yes, fromCache)
			hit(t, c, "bob", "right")
			asked(t, o, "not again", 2)
			time.Sleep(testPositive - late - 10*time.Second)
			ask(t, c, "bob", "right", yes, fromIMAP)
			time.Sleep(late) // and the next life has one again
			hit(t, c, "bob", "right")
			asked(t, o, "the next life", 4)
		},
		"one of an account": func(t *testing.T, c *Cache, o *outage) {
			o.set("bob", "right", "another")
			ask(t, c, "bob", "another", yes, fromIMAP)
			ask(t, c, "bob", "right", yes, fromIMAP) // it was marked; now 10 s younger
			time.Sleep(late)
			hit(t, c, "bob", "another")
			hit(t, c, "bob", "right")
			look(t, c, "bob", "right", yes, fromCache)
			asked(t, o, "the other waits", 4)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			hit(t, c, "bob", "right")
			asked(t, o, "and is next", 5)
		},
		"of each account": func(t *testing.T, c *Cache, o *outage) {
			o.set("eve", "right")
			ask(t, c, "eve", "right", yes, fromIMAP)
			time.Sleep(late)
			hit(t, c, "bob", "right")
			hit(t, c, "eve", "right")
			asked(t, o, "both", 4)
		},
		"flushed meanwhile": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(late)
			hit(t, c, "bob", "right")
			synctest.Wait()
			c.Flush("s", "bob")
			time.Sleep(10 * time.Second)
			synctest.Wait()
			ask(t, c, "bob", "right", yes, fromIMAP)
		},
		"changed meanwhile": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(late)
			hit(t, c, "bob", "right") // the server will have said OK
			synctest.Wait()
			o.mu.Lock()
			o.delay = time.Second
			o.mu.Unlock()
			o.set("bob", "new")
			ask(t, c, "bob", "new", yes, fromIMAP)
			look(t, c, "bob", "right", undecided, fromCache)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			look(t, c, "bob", "right", undecided, fromCache)
			ask(t, c, "bob", "right", no, fromIMAP)
		},
		"its own password alone": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(late)
			hit(t, c, "bob", "right")
			time.Sleep(10 * time.Second)
			synctest.Wait()
			s := &c.shards[0]
			entries, _ := s.positive.accounts.Peek(c.keys.account("s", "bob"))
			if e := (*entries)[0]; len(*entries) != 1 || e.flags != 0 {
				t.Errorf("got %d entries, the first with flags %b", len(*entries), e.flags)
			}
		},
		"still under way at the end": func(t *testing.T, c *Cache, o *outage) {
			time.Sleep(testPositive - time.Second)
			hit(t, c, "bob", "right")
			time.Sleep(2 * time.Second)
			start := time.Now()
			ask(t, c, "bob", "right", yes, "flight")
			if took := time.Since(start); took != 8*time.Second {
				t.Errorf("took %v", took)
			}
		},
		"while it is known to be down": func(t *testing.T, c *Cache, o *outage) {
			o.begin(true)
			time.Sleep(late)
			look(t, c, "bob", "right", yes, fromCache)
			hit(t, c, "bob", "right")
			asked(t, o, "none", 1)
			o.end()
			hit(t, c, "bob", "right")
			asked(t, o, "when it is back", 2)
		},
		"before it is known": func(t *testing.T, c *Cache, o *outage) {
			o.begin(false)
			time.Sleep(late)
			hit(t, c, "bob", "right")
			time.Sleep(testPositive - late)
			ask(t, c, "bob", "right", yes, byGrace)
		},
		"logged": func(t *testing.T, c *Cache, o *outage) {
			var log strings.Builder
			c.log = slog.New(slog.NewTextHandler(&log, nil))
			time.Sleep(late)
			hit(t, c, "bob", "right")
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "msg=refresh authcid=bob verdict=accept source=imap server=s elapsed=10s\n") {
				t.Errorf("the log says %q", got)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &outage{}
				o.set("bob", "right")
				c := withGrace(t, o, theServer)
				ask(t, c, "bob", "right", yes, fromIMAP)
				o.delay = 10 * time.Second
				test(t, c, o)
			})
		})
	}
}
