// Package bytebudget bounds the memory that requests in progress take together, and shares it fairly among tenants.
//
// A request opens an Account, takes bytes before it fills them, and closes the account when it holds nothing more. It
// grows the account for work that the process does by itself. It reserves bytes for responses of others, which may
// take long to come, and says which group they come from, such as a region. Four rules decide who gets bytes:
//
//   - Limits. All accounts hold at most the limit together, and those of one tenant at most half of it.
//   - Groups. The reservations of one group take at most five eighths of the limit, and those of one tenant in it five
//     eighths of the tenant's half. So a group that never responds leaves bytes for the others. A reservation
//     that is larger than that is granted while there is no other.
//   - Turns. Tenants that wait take turns, however many requests each has. Of one tenant the oldest goes first.
//   - Progress. When nobody can be served, the next in turn may exceed the limits of the first rule: one account at a
//     time by growing, until it is closed, and one reservation at a time, of a group that has no other. What they take
//     in excess does not count for the others. So requests that each hold a part of what they need never wait for each
//     other, one that waits for a response holds up nobody who needs none, those who need little are not held up by
//     those who need much, and the limit is exceeded by at most what two requests take.
package bytebudget

import (
	"slices"
	"sync"
)

// Budget is a number of bytes to share. It is safe for concurrent use.
type Budget struct {
	limit int64

	mu      sync.Mutex
	used    int64
	tenants map[string]*tenant // those with an open account
	groups  map[string]int64   // bytes that are reserved; no entry is 0
	waiting []*waiter          // the oldest first
	turn    uint64             // counts grants

	// Who may exceed the limits; nil where nobody has to.
	aheadAccount     *Account // by growing
	aheadReservation *waiter
	excess           int64 // bytes that both have taken beyond the limits
}

type tenant struct {
	open   int // accounts
	used   int64
	excess int64            // of used
	groups map[string]int64 // bytes that are reserved; no entry is 0
	served uint64           // turn of its last grant to a waiter
}

type waiter struct {
	account  *Account
	bytes    int64
	reserves bool          // for responses from group; else the account grows
	group    string        // of a reservation
	granted  chan struct{} // closed when granted; nil before it waits
}

// New makes a Budget of limit bytes.
func New(limit int64) *Budget {
	return &Budget{limit: limit, tenants: map[string]*tenant{}, groups: map[string]int64{}}
}

// Open opens an account of a tenant, with one holder.
func (b *Budget) Open(name string) *Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tenants[name]
	if t == nil {
		t = &tenant{groups: map[string]int64{}}
		b.tenants[name] = t
	}
	t.open++
	return &Account{budget: b, name: name, tenant: t, holders: 1}
}

// takeOrWait gives w its bytes where they are free and nobody waits for them. Otherwise it puts w into the line. It
// reports whether w has been served.
func (b *Budget) takeOrWait(w *waiter) bool {
	if len(b.waiting) == 0 && b.fits(w) {
		b.take(w)
		return true
	}
	w.granted = make(chan struct{})
	b.waiting = append(b.waiting, w)
	b.dispatch()
	return !slices.Contains(b.waiting, w)
}

// withdraw takes w out of the line and reports whether it was there.
func (b *Budget) withdraw(w *waiter) bool {
	i := slices.Index(b.waiting, w)
	if i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	}
	return i >= 0
}

// dispatch grants until nobody who waits can be served. Whatever makes a waiter eligible calls it.
func (b *Budget) dispatch() {
	for len(b.waiting) > 0 {
		w := b.next(b.fits)
		if w == nil {
			if w = b.next(b.mayExceed); w == nil {
				return
			}
			b.letExceed(w)
		}
		b.withdraw(w)
		b.turn++
		w.account.tenant.served = b.turn
		b.take(w)
		close(w.granted)
	}
}

// next is the eligible waiter of the tenant that was served longest ago, or nil.
func (b *Budget) next(eligible func(*waiter) bool) *waiter {
	var first *waiter
	for _, w := range b.waiting {
		if (first == nil || w.account.tenant.served < first.account.tenant.served) && eligible(w) {
			first = w
		}
	}
	return first
}

// fits reports whether w is within the limits.
func (b *Budget) fits(w *waiter) bool {
	if w.reserves && !b.fitsGroup(w) {
		return false
	}
	return b.used-b.excess+w.bytes <= b.limit && w.account.tenant.used-w.account.tenant.excess+w.bytes <= b.limit/2
}

// fitsGroup reports whether the group of a reservation has bytes for it.
func (b *Budget) fitsGroup(w *waiter) bool {
	within := func(reserved, limit int64) bool { return reserved == 0 || reserved+w.bytes <= ofGroup(limit) }
	return within(b.groups[w.group], b.limit) && within(w.account.tenant.groups[w.group], b.limit/2)
}

// ofGroup is what one group may have of a limit.
func ofGroup(limit int64) int64 { return limit * 5 / 8 }

// mayExceed reports whether w could be the one that exceeds the limits.
func (b *Budget) mayExceed(w *waiter) bool {
	if w.reserves {
		return b.aheadReservation == nil && b.groups[w.group] == 0
	}
	return b.aheadAccount == nil || b.aheadAccount == w.account
}

func (b *Budget) letExceed(w *waiter) {
	if w.reserves {
		b.aheadReservation = w
	} else {
		b.aheadAccount = w.account
	}
	w.account.addExcess(w.bytes)
}

// take gives w its bytes.
func (b *Budget) take(w *waiter) {
	b.used += w.bytes
	w.account.used += w.bytes
	w.account.tenant.used += w.bytes
	if w.reserves {
		b.groups[w.group] += w.bytes
		w.account.tenant.groups[w.group] += w.bytes
	}
}

// Limit is the limit in bytes.
func (b *Budget) Limit() int64 { return b.limit }

// Used is what all accounts hold, in bytes.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// Waiting is how many callers wait for bytes.
func (b *Budget) Waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}
