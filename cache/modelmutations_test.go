package cache

// mutations are the rules, each with the bug by which it is seen that the model holds it,
// and after how many sequences it was found once: half of them after 7, all after 284.
var mutations = []mutation{
	// Lifetimes.
	{"an OK is believed for positive_ttl", 1, []string{"time.Duration(cfg.PositiveTTL))", "time.Duration(cfg.PositiveTTL)+1)"}},
	{"and as long as that", 2, []string{"time.Duration(cfg.PositiveTTL))", "time.Duration(cfg.PositiveTTL)*4/5)"}},
	{"a NO is believed for negative_ttl", 1, []string{"time.Duration(cfg.NegativeTTL))", "time.Duration(cfg.PositiveTTL))"}},
	{"an entry ends at its expiry", 16, []string{"e.key == key && e.expires > now", "e.key == key && e.expires >= now"}},
	{"an entry lives until its expiry", 1, []string{"e.key == key && e.expires > now", "e.key == key && e.expires < now"}},
	{"\"0s\": never", 22, []string{"if l.ttl <= 0 {", "if l.ttl <= 0 {\n\t\tl.ttl = time.Minute\n\t}\n\tif l.ttl < 0 {"}},

	// What is stored.
	{"a TempFail is not stored", 1, []string{"case proto.Reject:", "default:"}},
	{"a panic is a TempFail", 12, []string{"f.verdict, f.err = proto.TempFail, fmt", "f.verdict, f.err = proto.Reject, fmt"}},
	{"our own refusals are not stored", 11, []string{"if f.trail.Source != proto.SourceIMAP {", "if f.trail.Source == proto.SourceCache {"}},
	{"an OK that must not be stored", 42, []string{"if !f.void && !f.trail.NoStore {\n\t\t\ts.positive.put", "if !f.void {\n\t\t\ts.positive.put"}},
	{"a NO that must not be stored", 10, []string{"if !f.void && !f.trail.NoStore {\n\t\t\ts.negative.put", "if !f.void {\n\t\t\ts.negative.put"}},

	// Keys are exact.
	{"the server is part of the keys", 10, []string{"h.field(server)", "h.field(\"\")", "h.field(route.Server)", "h.field(\"\")"}},
	{"the authcid is", 2, []string{"h.field(req.Authcid)\n", ""}},
	{"the authzid is", 1, []string{"h.field(req.Authzid)\n", ""}},
	{"the password is", 7, []string{"h.field(req.Password.Reveal())", "h.field(req.Password.Reveal()[1:])"}},
	{"the address is", 14, []string{"addr := req.Client.Addr().As16()", "var addr [16]byte"}},
	{"the address's family is", 8, []string{"byte(1 + req.Client.Addr().BitLen()/8)", "1"}},
	{"the address is, with per_address only", 15, []string{"if route.PerAddress {\n\t\taddr", "{\n\t\taddr"}},
	{"fields have their length before them", 1, []string{"AppendUint32(h.msg, uint32(len(s)))", "AppendUint32(h.msg, 0)[:len(h.msg)]", " && i >= 4", ""}},
	{"accounts are folded", 8, []string{"'A' <= c && c <= 'Z'", "'A' <= c && c < 'B'"}},

	// Password change.
	{"a new password marks the others", 3, []string{"s.positive.mark(f.account)\n", ""}},
	{"even if its login was void", 2, []string{"if !s.positive.proved(", "if !f.void && !s.positive.proved("}},
	{"a known password marks none", 3, []string{"if !s.positive.proved(f.account, f.proof, now) {", "{"}},
	{"an expired entry makes none known", 24, []string{"e.proof == want && e.expires > now", "e.proof == want"}},
	{"from another address it is the same password", 16, []string{"f.proof = c.keys.entry(proto.Route{Server: route.Server}, req)", "f.proof = f.key"}},
	{"a marked entry does not count", 2, []string{"if e != nil && e.flags&marked != 0 {", "if e == nil {"}},
	{"a proof clears its own mark only", 2, []string{"if e.key == key {\n\t\t\t(*entries)[i] = fresh", "if e.key == key {\n\t\t\tfor j := range *entries {\n\t\t\t\t(*entries)[j].flags = 0\n\t\t\t}\n\t\t\t(*entries)[i] = fresh"}},
	{"and does clear it", 4, []string{"if e.key == key {\n\t\t\t(*entries)[i] = fresh", "if e.key == key {\n\t\t\t(*entries)[i].expires = fresh.expires"}},
	{"a NO removes its entry", 21, []string{"s.positive.drop(f.account, f.key)\n", ""}},
	{"and no other entry", 5, []string{"s.positive.drop(f.account, f.key)", "s.positive.accounts.Remove(f.account)"}},
	{"nor one in its place", 17, []string{"(*entries)[i] = (*entries)[last]\n", "_ = i\n"}},

	// Flights.
	{"one login per key", 1, []string{"return fs[account][key]", "return nil"}},
	{"a login serves its own key only", 4, []string{"return fs[account][key]", "for _, f := range fs[account] {\n\t\treturn f\n\t}\n\treturn nil"}},
	{"a login has login_timeout", 1, []string{"context.WithTimeoutCause(c.ctx, c.loginTimeout,", "context.WithTimeoutCause(c.ctx, c.loginTimeout/3,"}},
	{"who leaves gets TempFail", 1, []string{"return proto.TempFail, context.Cause(ctx)", "return proto.Reject, context.Cause(ctx)"}},
	{"what comes late is stored", 6, []string{"if !f.void && !f.trail.NoStore {\n\t\t\ts.positive.put", "if !f.void && !f.trail.NoStore && !f.left {\n\t\t\ts.positive.put"}},
	{"a NO, too", 13, []string{"if !f.void && !f.trail.NoStore {\n\t\t\ts.negative.put", "if !f.void && !f.trail.NoStore && !f.left {\n\t\t\ts.negative.put"}},
	{"a new password voids what began before", 3, []string{"s.flights.raise(f.account, f)\n", ""}},
	{"but its own login", 1, []string{"s.flights.raise(f.account, f)", "s.flights.raise(f.account, nil)"}},
	{"a void OK is not stored", 3, []string{"if !f.void && !f.trail.NoStore {\n\t\t\ts.positive.put", "if !f.trail.NoStore {\n\t\t\ts.positive.put"}},
	{"a void NO is not stored", 16, []string{"if !f.void && !f.trail.NoStore {\n\t\t\ts.negative.put", "if !f.trail.NoStore {\n\t\t\ts.negative.put"}},
	{"nobody joins a void login", 2, []string{"f.void = true\n\t\t\tdelete(fs[account], key)", "f.void = true\n\t\t\t_ = key"}},
	{"a void login's end leaves its successor", 103, []string{"if fs[f.account][f.key] != f {", "if fs[f.account][f.key] == nil {"}},

	// Flushes.
	{"a flush forgets what was accepted", 1, []string{"s.positive.accounts.Remove(account)\n", ""}},
	{"and what was rejected", 6, []string{"s.negative.accounts.Remove(account)\n", ""}},
	{"and voids logins", 2, []string{"s.negative.accounts.Remove(account)\n\ts.flights.raise(account, nil)", "s.negative.accounts.Remove(account)"}},
	{"a flush of all, too", 8, []string{"s.negative = newLedger(s.negative.size, s.negative.ttl)\n", ""}},
	{"and its logins", 29, []string{"for account := range s.flights {\n\t\ts.flights.raise(account, nil)", "for account := range s.flights {\n\t\t_ = account"}},
	{"and every part", 3, []string{"for i := range c.shards {", "for i := range c.shards[:1] {"}},
	{"lifetimes survive it", 3, []string{"newLedger(s.negative.size, s.negative.ttl)", "newLedger(s.negative.size, s.positive.ttl)"}},

	// What is evicted.
	{"the least recently used goes", 199, []string{"l.accounts.Get(account)\n\t\t\treturn e", "return e"}},
	{"a guess is no use of the account", 284, []string{"entries, ok := l.accounts.Peek(account)\n\tif !ok {\n\t\treturn nil", "entries, ok := l.accounts.Get(account)\n\tif !ok {\n\t\treturn nil"}},
	{"guesses evict no positive entry", 2, []string{"s.negative.put(f.account, f.key, f.proof, now)", "if s.negative.put(f.account, f.key, f.proof, now); s.negative.accounts.Len() == s.negative.size {\n\t\t\t\ts.positive.accounts.RemoveOldest()\n\t\t\t}"}},
	{"nor another account's", 4, []string{"if len(*entries) < perAccount {", "if len(*entries) >= 2 && l.accounts.Len() > 1 {\n\t\tl.accounts.RemoveOldest()\n\t}\n\tif len(*entries) < perAccount {"}},
	{"a full account loses its oldest entry", 13, []string{"if e.expires < (*entries)[oldest].expires {", "if e.expires > (*entries)[oldest].expires {"}},
	{"and has as many as it may", 123, []string{"if len(*entries) < perAccount {", "if len(*entries) < perAccount-1 {"}},

	// Looks.
	{"a Look says nothing else", 4, []string{"req.Trail.Source = m.source\n\treturn m.verdict", "if req.Trail.Source = m.source; m.verdict == proto.TempFail && s.positive.proved(account, key, c.now()) {\n\t\treturn proto.Accept\n\t}\n\treturn m.verdict"}},
	{"a Look says all", 5, []string{"req.Trail.Source = m.source\n\treturn m.verdict", "if req.Trail.Source = m.source; m.verdict == proto.Reject {\n\t\treturn proto.TempFail\n\t}\n\treturn m.verdict"}},

	// Grace.
	{"grace is given while the server is down", 4, []string{"case e != nil && (down || c.grace != nil && c.isDown(req)):", "case e != nil:"}},
	{"and is said to be that", 11, []string{"case e != nil && e.expires > now:", "case e != nil && (e.expires > now || c.isDown(req)):"}},
	{"for a known outage", 8, []string{"case e != nil && (down || c.grace != nil && c.isDown(req)):", "case e != nil && down:"}},
	{"it ends", 40, []string{"now-c.grace.time())", "now-c.grace.time()-1)"}},
	{"and not before", 25, []string{"now-c.grace.time())", "now-c.grace.time()/2)"}},
	{"a login that reached nobody gives it", 67, []string{"errors.Is(f.err, proto.ErrUnreachable)", "errors.Is(nil, proto.ErrUnreachable)"}},
	{"a server that fails does not", 20, []string{"errors.Is(f.err, proto.ErrUnreachable)", "!errors.Is(nil, proto.ErrUnreachable)"}},
	{"a known outage gives it at the budget", 21, []string{"if m := c.again(s, f, req, false)", "if m := (memory{})"}},
	{"a mere silence does not", 55, []string{"c.again(s, f, req, false)", "c.again(s, f, req, true)"}},
	{"a marked entry has none", 7, []string{"if e != nil && e.flags&marked != 0 {", "if e != nil && e.flags&marked != 0 && e.expires > now {"}},
	{"a NO ends what has expired, too", 8, []string{"s.positive.drop(f.account, f.key)", "if s.positive.proved(f.account, f.proof, now) {\n\t\t\ts.positive.drop(f.account, f.key)\n\t\t}"}},
	{"the second look is of that instant", 1, []string{"return c.recall(s, f.account, f.key, req, unreachable)", "return memory{verdict: proto.Accept, source: proto.SourceGrace}"}},

	// Refresh.
	{"it begins in the last fifth", 1, []string{"refreshPart = 5", "refreshPart = 4"}},
	{"at its beginning", 6, []string{"e.expires-now <= s.positive.ttl/refreshPart", "e.expires-now < s.positive.ttl/refreshPart"}},
	{"one at a time for an account", 28, []string{" && !s.flights.refreshing(account)", ""}},
	{"and for each account", 1, []string{"return e.expires-now <= s.positive", "return len(s.flights) == 0 && e.expires-now <= s.positive"}},
	{"one for an entry's life", 37, []string{"e.flags |= refreshed\n", ""}},
	{"and again in the next", 41, []string{"if e.key == key {\n\t\t\t(*entries)[i] = fresh", "if e.key == key {\n\t\t\tfresh.flags = e.flags & refreshed\n\t\t\t(*entries)[i] = fresh"}},
	{"none while the server is down", 19, []string{" || c.isDown(req) {", " {"}},
	{"a hit does not wait for it", 1, []string{"c.refresh(s, m.due, account, route, req)", "c.refresh(s, m.due, account, route, req)\n\t\tm.verdict = proto.TempFail"}},
	{"its OK renews", 28, []string{"if !f.void && !f.trail.NoStore {\n\t\t\ts.positive.put", "if !f.void && !f.trail.NoStore && !f.ahead {\n\t\t\ts.positive.put"}},
	{"its NO removes", 11, []string{"s.positive.drop(f.account, f.key)", "if !f.ahead {\n\t\t\ts.positive.drop(f.account, f.key)\n\t\t}"}},
	{"its TempFail leaves", 35, []string{"case proto.Reject:\n", "case proto.TempFail:\n\t\tif f.ahead {\n\t\t\ts.positive.drop(f.account, f.key)\n\t\t}\n\tcase proto.Reject:\n"}},
	{"a Look leaves it to Authenticate", 7, []string{"if m.due != nil {\n\t\treturn proto.TempFail", "if m.due != nil {\n\t\tm.due.flags |= refreshed\n\t\treturn proto.TempFail"}},
	{"which it asks for", 10, []string{"if m.due != nil {\n\t\treturn proto.TempFail", "if m.due != nil {\n\t\treturn m.verdict"}},
}
