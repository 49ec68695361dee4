// Package bytebudget bounds the memory that requests in progress take together, and shares it fairly among tenants.
//
// A request opens an Account, takes bytes before it fills them, and closes the account when it holds nothing more.
// Three rules decide who gets bytes:
//
//   - Limits. All accounts hold at most the limit together, and those of one tenant at most half of it.
//   - Turns. Tenants that wait take turns, however many requests each has. Of one tenant the oldest goes first.
//   - Progress. When nobody can be served, the next in turn may exceed the limits until it closes its account. There
//     is one such account at a time. So requests that each hold a part of what they need never wait for each other,
//     and the limit is exceeded by at most what one request takes.
package bytebudget

import (
	"context"
	"sync"
)

// Budget is a number of bytes to share. It is safe for concurrent use.
type Budget struct {
	limit int64

	mu      sync.Mutex
	used    int64
	tenants map[string]*tenant // those with an open account
	waiting []*waiter          // the oldest first
	turn    uint64             // counts grants
	ahead   *Account           // may exceed the limits; nil where nobody has to
}

type tenant struct {
	open   int // accounts
	used   int64
	served uint64 // turn of its last grant to a waiter
}

type waiter struct {
	account *Account
	bytes   int64
	granted chan struct{} // closed when granted
}

// New makes a Budget of limit bytes.
func New(limit int64) *Budget {
	return &Budget{limit: limit, tenants: map[string]*tenant{}}
}

// Account is what one request holds. It is safe for concurrent use.
type Account struct {
	budget *Budget
	name   string // of its tenant
	tenant *tenant

	// Guarded by budget.mu.
	used    int64
	holders int
}

// Open opens an account of a tenant, with one holder.
func (b *Budget) Open(name string) *Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tenants[name]
	if t == nil {
		t = &tenant{}
		b.tenants[name] = t
	}
	t.open++
	return &Account{budget: b, name: name, tenant: t, holders: 1}
}

// Hold adds a holder, which closes the account too: work that may outlast the request.
func (a *Account) Hold() {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	a.holders++
}

// Close gives everything back when the last holder calls it.
func (a *Account) Close() {
	b := a.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.holders--; a.holders > 0 {
		return
	}
	if b.ahead == a {
		b.ahead = nil
	}
	if a.tenant.open--; a.tenant.open == 0 {
		delete(b.tenants, a.name)
	}
	a.giveBack(a.used)
}

// Grow takes more bytes, waiting for its turn. The error is ctx's, and comes without bytes.
func (a *Account) Grow(ctx context.Context, bytes int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b := a.budget
	b.mu.Lock()
	w := &waiter{account: a, bytes: bytes, granted: make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.dispatch()
	b.mu.Unlock()
	select {
	case <-w.granted:
		return nil
	default:
	}
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.withdraw(w) { // granted at the same moment: others can use it
		a.giveBack(bytes)
	}
	return ctx.Err()
}

// Shrink gives bytes back.
func (a *Account) Shrink(bytes int64) {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	a.giveBack(bytes)
}

func (a *Account) giveBack(bytes int64) {
	a.used -= bytes
	a.tenant.used -= bytes
	a.budget.used -= bytes
	a.budget.dispatch()
}

// withdraw takes w out of the line and reports whether it was there.
func (b *Budget) withdraw(w *waiter) bool {
	for i, other := range b.waiting {
		if other == w {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// dispatch grants until nobody who waits can be served. Whatever makes a waiter eligible calls it.
func (b *Budget) dispatch() {
	for len(b.waiting) > 0 {
		w := b.next(b.fits)
		if w == nil && b.ahead == nil {
			w = b.next(func(*waiter) bool { return true })
			b.ahead = w.account
		}
		if w == nil {
			return
		}
		b.withdraw(w)
		b.turn++
		w.account.tenant.served = b.turn
		w.account.used += w.bytes
		w.account.tenant.used += w.bytes
		b.used += w.bytes
		close(w.granted)
	}
}

// next is the eligible waiter of the tenant that was served longest ago, or nil.
func (b *Budget) next(eligible func(*waiter) bool) *waiter {
	var first *waiter
	for _, w := range b.waiting {
		if eligible(w) && (first == nil || w.account.tenant.served < first.account.tenant.served) {
			first = w
		}
	}
	return first
}

func (b *Budget) fits(w *waiter) bool {
	return w.account == b.ahead || b.used+w.bytes <= b.limit && w.account.tenant.used+w.bytes <= b.limit/2
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
