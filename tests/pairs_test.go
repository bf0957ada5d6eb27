package tests

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// oddNames are accounts that the grammars on the way, and Dovecot, could stumble over.
var oddNames = []string{
	"alice", "Alice", "ALICE", "alice ", " alice", " ", "alice@example.test", "Alice@Example.Test", "a@b@c", "@", "@x", "x@",
	`quo"te`, `"`, `back\slash`, `\`, "it's", "per%cent", "%u", "%%", "{PLAIN}x", "{5}", "{5+}", "a/b", "../x", "~", "*", "#x", "-x", "NIL",
	"grün", "☃", "l\xfctin", "\xff\xfe", "\u0085", "del\x7f", "esc\x1b", "one\x01", "user=x pass=y", "dot.", "a,b=c", strings.Repeat("n", 255), "comma,=2C",
}

// differentialUsers are accounts with a password each: all odd names, all odd passwords,
// and bytes of any kind.
func differentialUsers(r *rand.Rand) map[string]string {
	users := make(map[string]string)
	for _, name := range oddNames {
		users[name] = anyBytes(r, 40)
	}
	for name, password := range oddPasswords {
		users[name] = password
	}
	users["brace"], users["plain"], users["empty"], users["limit"], users["over"] = "{PLAIN}brace", "{CRYPT}*", "", strings.Repeat("p", 1024), strings.Repeat("p", 1025)
	users["field"], users["field+1"], users["tab"], users["lf"] = strings.Repeat("p", 256), strings.Repeat("p", 257), "a\tb", "a\nb"
	users["same"] = "same"
	for range 24 {
		users[anyBytes(r, 24)] = anyBytes(r, 60)
	}
	for name := range users {
		if strings.ContainsAny(name, ":\n\r\x00") || name == "" { // a passwd-file cannot hold it
			delete(users, name)
		}
	}
	return users
}

// passwdNames are the users as Dovecot looks for them: it puts a backslash before some
// characters of a name.
func passwdNames(users map[string]string) map[string]string {
	escaped := make(map[string]string)
	for name, password := range users {
		escaped[strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`).Replace(name)] = password
	}
	return escaped
}

// anyBytes draws up to n bytes, not none.
func anyBytes(r *rand.Rand, n int) string {
	alphabets := []string{"abcXYZ019", "ab@. -_", "\"\\'%{}$:;,=+*()[]<>/~#&|`^!? ", "äöü€☃𝄞é"}
	var b strings.Builder
	kind := r.IntN(len(alphabets) + 2)
	for range 1 + r.IntN(n) {
		switch {
		case kind < len(alphabets):
			runes := []rune(alphabets[kind])
			b.WriteRune(runes[r.IntN(len(runes))])
		case kind == len(alphabets):
			b.WriteByte(byte(0x80 + r.IntN(0x80)))
		default:
			b.WriteByte(byte(1 + r.IntN(0xff)))
		}
	}
	return b.String()
}

// limits are lengths around each limit on the way: of saslauthd's strings, of a password
// and a name, of Dovecot's lines, of ours.
var limits = []int{255, 256, 257, 1023, 1024, 1025, 2000, 3100, 6500, 12_000, 16_300, 16_384, 20_000}

// neighbour is s with something little about it changed, or not so little.
func neighbour(r *rand.Rand, s string) string {
	odd := []string{"\x00", "\t", "\r", "\n", "\r\n", "\x01", "\x7f", "\u0085", "\xff", " ", "%", `\`, `"`, "'", ":", "@", "{", "a", "A"}
	at := func() int { return r.IntN(len(s) + 1) }
	i := at()
	switch r.IntN(12) {
	case 0, 1, 2: // a byte more
		return s[:i] + odd[r.IntN(len(odd))] + s[i:]
	case 3:
		return s + odd[r.IntN(len(odd))]
	case 4: // in place of another
		return s[:i] + odd[r.IntN(len(odd))] + s[min(i+1, len(s)):]
	case 5: // one off
		if i == len(s) {
			return s[:len(s)/2]
		}
		return s[:i] + string([]byte{s[i] ^ 1<<r.IntN(8)}) + s[i+1:]
	case 6: // one less
		return s[:i] + s[min(i+1, len(s)):]
	case 7:
		return strings.ToUpper(s)
	case 8:
		return strings.ToLower(s)
	case 9:
		return s[:i]
	case 10:
		if n := limits[r.IntN(len(limits))]; n > len(s) {
			return s + strings.Repeat("x", n-len(s))
		}
		return ""
	default:
		return anyBytes(r, 30)
	}
}

// drawPairs draws n pairs, each once: all users with their passwords first, and then
// their neighbours.
func drawPairs(r *rand.Rand, users map[string]string, n int) []pair {
	var pairs, right []pair
	seen := make(map[pair]bool)
	add := func(p pair) {
		if !seen[p] {
			seen[p] = true
			pairs = append(pairs, p)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(users)) { // in an order that a seed gives again
		add(pair{user, users[user]})
	}
	right = append(right, pairs...)
	for len(pairs) < max(n, 2*len(right)) {
		p := right[r.IntN(len(right))]
		switch r.IntN(6) {
		case 0:
			p.user = neighbour(r, p.user)
		case 1, 2:
			p.password = neighbour(r, p.password)
		case 3:
			p.user, p.password = neighbour(r, p.user), neighbour(r, p.password)
		case 4:
			p.password = right[r.IntN(len(right))].password
		case 5: // the same bytes, cut elsewhere
			both, cut := p.user+p.password, r.IntN(len(p.user+p.password)+1)
			p.user, p.password = both[:cut], both[cut:]
		}
		add(p)
	}
	return pairs
}
