package imap

import (
	"encoding/base64"
	"net"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"imapauthd/proto"
)

// FuzzURL: what is a URL is written again as the same one, has nothing but a host and a
// port, and is only of this machine if it cannot be anything else.
func FuzzURL(f *testing.F) {
	for _, s := range []string{"imap://localhost", "imaps://[::1]:1993", "unix:///run/x y", "srv", "imap://grüße.example:143/", "imap://u:p@h", "imap://[fe80::1%25lo]", "imap://127.1", "imap://h?x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseURL(text)
		if err != nil {
			if scheme, rest, _ := strings.Cut(text, "://"); (scheme == "imap" || scheme == "imaps") && strings.Contains(rest, "@") && strings.Contains(err.Error(), rest) && len(rest) > 8 {
				t.Errorf("%q: the error shows the password: %v", text, err)
			}
			return
		}
		again, err := ParseURL(u.String())
		if err != nil || again != u {
			t.Fatalf("%q gave %+v, which is written %q and then %+v, %v", text, u, u, again, err)
		}
		if u.Scheme == "unix" || u.Scheme == srvScheme {
			return
		}
		if u.Host == "" || u.Port == 0 || strings.ContainsAny(u.Host, "@/?#%[] \t\r\n\"\\") {
			t.Fatalf("%q gave %+v", text, u)
		}
		_, address := u.network()
		if host, _, err := net.SplitHostPort(address); err != nil || host != u.Host {
			t.Fatalf("%q dials %q", text, address)
		}
		if addr, err := netip.ParseAddr(u.Host); err == nil && u.Loopback() != addr.Unmap().IsLoopback() {
			t.Fatalf("%q: loopback %v", text, u.Loopback())
		}
	})
}

// FuzzDomain: a canonical domain is canonical, and one that DNS could have.
func FuzzDomain(f *testing.F) {
	for _, s := range []string{"example.com", "Grüße.Example.", "xn--gre-6ka8i.example", "a。b", "ａ.example", "ﬀ", "a..b", ".", "ẞ.example", strings.Repeat("a", 64), "x_y.example", "-a.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := CanonicalDomain(text)
		if err != nil {
			return
		}
		if again, err := CanonicalDomain(got); err != nil || again != got {
			t.Fatalf("%q gave %q, and that %q, %v", text, got, again, err)
		}
		if len(got) > 253 || strings.HasPrefix(got, ".") || strings.HasSuffix(got, ".") || strings.Contains(got, "..") ||
			strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > '~' || 'A' <= r && r <= 'Z' || r == '@' }) {
			t.Fatalf("%q gave %q", text, got)
		}
		if upper, err := CanonicalDomain(strings.ToUpper(got)); err != nil || upper != got {
			t.Fatalf("%q is %q in upper case, %v", got, upper, err)
		}
	})
}

// FuzzExpand: a template's placeholders are filled in once, by the parts of the account;
// and what has the account's domain behind it stays in that domain.
func FuzzExpand(f *testing.F) {
	f.Add("bob@example.com", byte(0))
	f.Add("{domain}@{local}", byte(1))
	f.Add("eve@other.example@example.com", byte(1))
	f.Add("@example.com", byte(2))
	templates := []string{"{user}", "{local}@{domain}", "{local}", "{domain}/{local}", "x{user}{user}"}
	f.Fuzz(func(t *testing.T, authcid string, which byte) {
		template := templates[int(which)%len(templates)]
		got, refusal := expand(template, authcid)
		if refusal != nil {
			if got != "" || refusal.Verdict != proto.Reject || template == "{user}" {
				t.Fatalf("%s, %q: got %q, %v", template, authcid, got, refusal)
			}
			return
		}
		local, domain := splitAuthcid(authcid)
		want := map[string]string{"{user}": authcid, "{local}@{domain}": local + "@" + domain, "{local}": local, "{domain}/{local}": domain + "/" + local, "x{user}{user}": "x" + authcid + authcid}[template]
		if got != want {
			t.Fatalf("%s, %q: got %q want %q", template, authcid, got, want)
		}
		if template == "{local}@{domain}" && (got != authcid || strings.Count(got, "@") != 1) {
			t.Fatalf("%q is told as %q", authcid, got)
		}
	})
}

// FuzzStatus: a status response is read as it stands there; OK alone is an Accept and NO
// alone a Reject; and what is shown of it has no password in it.
func FuzzStatus(f *testing.F) {
	addServerLines(f, func(text string) { f.Add(firstLine(text), "secret") })
	f.Add("T1 NO [AUTHENTICATIONFAILED] no", "se[cr]et")
	f.Add("T1 NO [ALERT] generic failure", "ALERT")
	f.Add("T1 no [x] AHNlY3JldA==", "secret")
	f.Add("T1 NO no such password: a long secret", "a long secret")
	f.Add("T1 NO x"+strings.Repeat("é", 200), "a long secret")
	f.Add("T1 NO [X-YSBsb25nIHNlY3JldA] "+strings.Repeat("é", 200), "a long secret")
	cfg := DefaultConfig()
	j, err := cfg.judge()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line, password string) {
		if set, ok := untaggedCaps([]byte(line)); ok {
			for c := range set {
				if c == "" || strings.ContainsAny(c, " \t") || c != strings.ToUpper(c) {
					t.Fatalf("%q has the capability %q", line, c)
				}
			}
		}
		s, ok := parseStatus([]byte(line))
		if !ok {
			return
		}
		words := strings.SplitN(line, " ", 3)
		if s.tag != words[0] || !strings.EqualFold(s.typ, words[1]) || !strings.HasSuffix(line, s.raw) || !strings.HasSuffix(s.raw, s.text) {
			t.Fatalf("%q gave %+v", line, s)
		}
		if s.code != "" && s.code != unreadable && !strings.Contains(strings.ToUpper(line), "["+s.code) {
			t.Fatalf("%q gave the code %q", line, s.code)
		}
		switch v := j.rule(s).verdict; {
		case v == proto.Accept && s.typ != "OK", v == proto.Reject && s.typ != "NO", v == proto.TempFail && s.typ == "OK":
			t.Fatalf("%q is %v", line, v)
		}
		shown := s.err(password)
		if len(shown.Text) > maxText+len("…") || utf8.ValidString(s.text) && !utf8.ValidString(shown.Text) {
			t.Fatalf("%q is shown as %q", line, shown.Text)
		}
		// A short password is in any text, and in the words of our own.
		if len(password) >= 8 && !strings.Contains(withheld, password) {
			for _, form := range []string{password, base64.StdEncoding.EncodeToString([]byte(password))} {
				if strings.Contains(shown.Text, form) || strings.Contains(shown.Code, form) {
					t.Fatalf("%q is shown as %v", line, shown)
				}
			}
		}
	})
}

// FuzzSRVTargets: what DNS names is dialled by name, each once and in order, and nothing
// that could be taken for an address.
func FuzzSRVTargets(f *testing.F) {
	f.Add("mail.example.com. 2.mail.example.com. . 127.0.0.1. MAIL.example.com", []byte{0, 1, 0, 1, 2, 3})
	f.Add("::1 a.1 a.b.", []byte("\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, names string, numbers []byte) {
		var records []*net.SRV
		for i, name := range strings.Split(names, " ") {
			r := &net.SRV{Target: name, Port: 993}
			if 3*i+2 < len(numbers) {
				r.Port, r.Priority, r.Weight = uint16(numbers[3*i]), uint16(numbers[3*i+1]), uint16(numbers[3*i+2])
			}
			records = append(records, r)
		}
		targets := srvTargets("imaps", records)
		if len(targets) > maxSRVTargets {
			t.Fatalf("%d targets", len(targets))
		}
		seen := make(map[URL]bool)
		for i, target := range targets {
			if _, err := netip.ParseAddr(target.url.Host); err == nil || target.url.Host == "" || target.url.Port == 0 || seen[target.url] {
				t.Fatalf("%q gave %+v", names, targets)
			}
			if i > 0 && targets[i-1].priority > target.priority {
				t.Fatalf("%q is out of order: %+v", names, targets)
			}
			seen[target.url] = true
		}
		drawn := srvOrder(append([]srvTarget(nil), targets...), func(n int) int { return n - 1 })
		if len(drawn) != len(targets) {
			t.Fatalf("%d of %d are left", len(drawn), len(targets))
		}
		for i, target := range drawn {
			if !seen[target.url] || i > 0 && drawn[i-1].priority > target.priority {
				t.Fatalf("drawn %+v of %+v", drawn, targets)
			}
		}
	})
}

// FuzzRepeats: a password is found in a text however it stands there.
func FuzzRepeats(f *testing.F) {
	f.Add("no such password: ", "secret", " at all", byte(0))
	f.Add("AUTHENTICATE ", "gr\xfc\xdfe\"\\", "", byte(2))
	f.Add("x", "s", "y", byte(3))
	f.Fuzz(func(t *testing.T, before, password, after string, form byte) {
		// Bytes that are no UTF-8 are equal to each other once they are in lower case, and
		// some characters change their length; both are beside the point here.
		if password == "" || strings.ToLower(password) != password || !utf8.ValidString(before+after) {
			return
		}
		text := before + password + after
		switch form % 5 {
		case 1:
			text = before + quote(password) + after
		case 2, 3, 4:
			lead := "\x00bob\x00"[:form%5+1]
			if len(password) < 3 { // no character of base64 is its alone
				return
			}
			text = before + " " + base64.StdEncoding.EncodeToString([]byte(lead+password)) + after
		}
		if !repeats(text, password) {
			t.Fatalf("%q is not found in %q", password, text)
		}
	})
}
