package cache

import (
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// perAccount is how many entries one account can have on each side: enough for
// every mail program of one person with a password of its own, few enough to be
// searched in a row.
const perAccount = 8

// entry is one remembered verdict, 32 bytes without a pointer, which the garbage
// collector need not read.
type entry struct {
	key     Key
	expires time.Duration // on the cache's clock
	proof   credentials
	flags   flags
}

// flags are of positive entries only.
type flags byte

const (
	marked    flags = 1 << iota // to be proved again before it counts
	refreshed                   // a login ahead of its end has been begun
)

// credentials are the beginning of an entry's key without the mail client's
// address. They open nothing: equal by chance, once in 2⁵⁶ new passwords, they
// would leave the old one its lifetime.
type credentials [7]byte

// ledger is one side of the cache, positive or negative: an LRU of accounts, each
// with its own few entries, so that one account's guesses evict nobody else's.
// The owner locks.
type ledger struct {
	accounts *simplelru.LRU[Key, *[]entry]
	size     int // accounts, at most
	ttl      time.Duration
}

func newLedger(accounts int, ttl time.Duration) *ledger {
	lru, err := simplelru.NewLRU[Key, *[]entry](accounts, nil)
	if err != nil {
		panic(err) // accounts < 1, which Config.Validate refuses
	}
	return &ledger{lru, accounts, ttl}
}

// find returns the entry if its lifetime goes beyond now, or nil. The pointer is good
// until the next call. Only a find makes the account a recently used one: who guesses at an account
// does not choose which are remembered.
func (l *ledger) find(account, key Key, now time.Duration) *entry {
	entries, ok := l.accounts.Peek(account)
	if !ok {
		return nil
	}
	for i := range *entries {
		if e := &(*entries)[i]; e.key == key && e.expires > now {
			l.accounts.Get(account)
			return e
		}
	}
	return nil
}

// proved reports whether there is a live entry of these credentials, at any address.
func (l *ledger) proved(account, proof Key, now time.Duration) bool {
	entries, ok := l.accounts.Peek(account)
	want := credentials(proof[:7])
	return ok && slices.ContainsFunc(*entries, func(e entry) bool { return e.proof == want && e.expires > now })
}

// put remembers key for the ledger's lifetime, unmarked. A full account loses the
// entry that would have expired first.
func (l *ledger) put(account, key, proof Key, now time.Duration) {
	if l.ttl <= 0 {
		return
	}
	fresh := entry{key: key, proof: credentials(proof[:7]), expires: now + l.ttl}
	entries, ok := l.accounts.Get(account)
	if !ok {
		l.accounts.Add(account, l.first(fresh))
		return
	}
	oldest := 0
	for i, e := range *entries {
		if e.key == key {
			(*entries)[i] = fresh
			return
		}
		if e.expires < (*entries)[oldest].expires {
			oldest = i
		}
	}
	if len(*entries) < perAccount {
		if len(*entries) == cap(*entries) { // append would make room for twice as many
			*entries = append(make([]entry, 0, len(*entries)+1), *entries...)
		}
		*entries = append(*entries, fresh)
	} else {
		(*entries)[oldest] = fresh
	}
}

// first returns the entries of a new account. In a full ledger they take the place
// of the account that must go, so that an eviction makes little garbage.
func (l *ledger) first(fresh entry) *[]entry {
	if l.accounts.Len() == l.size {
		if _, gone, _ := l.accounts.RemoveOldest(); cap(*gone) == 1 {
			(*gone)[0] = fresh
			return gone
		}
	}
	return &[]entry{fresh}
}

// mark marks every entry of the account.
func (l *ledger) mark(account Key) {
	entries, ok := l.accounts.Peek(account)
	if !ok {
		return
	}
	for i := range *entries {
		(*entries)[i].flags |= marked
	}
}

// drop forgets one entry.
func (l *ledger) drop(account, key Key) {
	entries, ok := l.accounts.Peek(account)
	if !ok {
		return
	}
	for i, e := range *entries {
		if e.key == key {
			last := len(*entries) - 1
			(*entries)[i] = (*entries)[last]
			*entries = (*entries)[:last]
			break
		}
	}
	if len(*entries) == 0 {
		l.accounts.Remove(account)
	}
}
