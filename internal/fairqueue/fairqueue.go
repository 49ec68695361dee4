// Package fairqueue shares a limited number of slots fairly among tenants.
//
// A tenant that wants many slots must not delay one that wants few. Four rules give that:
//
//   - Limits. At most so many slots are in use at a time, and fewer in any one group, so that a group that
//     hangs leaves slots for the others.
//   - Shares. A tenant gets another slot only while it holds fewer than six times the slots that are free.
//     A single tenant so leaves a seventh free, and one that comes then need not wait for a slot of the
//     first to end. Several large tenants leave less, as they need more. The rule is that of dynamic
//     thresholds (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches").
//   - Priorities. Urgent tickets go before Background ones, which leave an eighth of a group's slots free for
//     urgent ones to come. Every eighth slot given goes to Background, so that it never waits forever.
//   - Turns. Of one priority, the tenants take turns, whatever the number of slots that each waits for.
//     The groups of a tenant take turns too, and within a group the oldest goes first.
//
// A ticket that cannot be served now, as its group is full or its tenant has its share, keeps its turn and
// holds up nobody else.
package fairqueue

import (
	"context"
	"sync"
	"time"
)

const (
	// share is how many times the free slots a tenant may hold.
	share = 6
	// reserve is the part of a group's slots that Background leaves free: one in so many.
	reserve = 8
	// backgroundEvery is how many slots are given until one has gone to Background.
	backgroundEvery = 8
)

// Priority says who waits for what a slot is used for.
type Priority int

// The priorities. Urgent is the default.
const (
	Urgent     Priority = iota // somebody waits for it
	Background                 // it keeps something up to date
)

// Ticket says what a slot is wanted for.
type Ticket struct {
	Tenant   string // who shares fairly with the other tenants
	Group    string // what the slot is used on, such as a region
	Priority Priority
}

// Queue gives slots to tickets. It is safe for concurrent use. It keeps nothing of a tenant or a group
// that neither holds a slot nor waits for one, and one entry for each caller that waits.
type Queue struct {
	limit    int
	perGroup int

	mu      sync.Mutex
	inUse   int
	groups  map[string]int // group → its slots in use
	tenants map[string]int // tenant → its slots in use
	waiting [Background + 1]line
	passed  int // slots given to Urgent in a row while Background waited
}

// New makes a Queue of limit slots, of which at most perGroup are in use for one group. Both are at least 1.
func New(limit, perGroup int) *Queue {
	limit = max(limit, 1)
	return &Queue{
		limit: limit, perGroup: min(max(perGroup, 1), limit),
		groups: map[string]int{}, tenants: map[string]int{},
	}
}

// Slot is one slot in use.
type Slot struct {
	// Waited is how long Acquire waited for the slot: 0 where one was free.
	Waited time.Duration

	queue    *Queue
	ticket   Ticket
	released bool // guarded by queue.mu
}

// Acquire gives a slot, waiting for its turn. The caller releases it, in a deferred call so that a panic
// cannot keep it. The error is ctx's, and comes without a slot.
func (q *Queue) Acquire(ctx context.Context, t Ticket) (*Slot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	slot := &Slot{queue: q, ticket: t}
	w := q.acquireOrWait(t)
	if w == nil {
		return slot, nil
	}
	started := time.Now()
	select {
	case <-w.ready:
		slot.Waited = time.Since(started)
		return slot, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.granted { // at the same moment: others can use it
		q.release(t)
	} else {
		q.waiting[t.Priority].remove(w)
	}
	return nil, ctx.Err()
}

// acquireOrWait takes a slot for t where one is free and nobody waits for it. Otherwise it gives the waiter.
func (q *Queue) acquireOrWait(t Ticket) *waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting[Urgent].empty() && q.waiting[Background].empty() && q.mayHave(t) {
		q.take(t)
		return nil
	}
	w := q.waiting[t.Priority].add(t)
	q.dispatch()
	if w.granted {
		return nil
	}
	return w
}

// Release gives the slot back. Only the first call does.
func (s *Slot) Release() {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	if s.released {
		return
	}
	s.released = true
	s.queue.release(s.ticket)
}

func (q *Queue) release(t Ticket) {
	q.inUse--
	subtract(q.groups, t.Group)
	subtract(q.tenants, t.Tenant)
	q.dispatch()
}

// subtract counts down to nothing, which takes no memory.
func subtract(counts map[string]int, name string) {
	if counts[name]--; counts[name] == 0 {
		delete(counts, name)
	}
}

// dispatch gives slots until none is free or no ticket may have one. Whatever makes a ticket eligible calls it.
func (q *Queue) dispatch() {
	for q.inUse < q.limit {
		w := q.next()
		if w == nil {
			return
		}
		q.grant(w)
	}
}

// next is the ticket to serve next, or nil. It skips tenants that hold their share, of which there are at most
// limit/share while a slot is free, and those that wait for a full group alone.
func (q *Queue) next() *waiter {
	if due := q.passed >= backgroundEvery-1; due {
		if w := q.waiting[Background].first(func(t Ticket) bool { return q.free(t) > 0 }); w != nil {
			return w
		}
	}
	if w := q.waiting[Urgent].first(q.mayHave); w != nil {
		return w
	}
	return q.waiting[Background].first(q.mayHave)
}

// mayHave reports whether there is a slot for t when it is its turn.
func (q *Queue) mayHave(t Ticket) bool {
	if t.Priority == Background {
		return q.free(t) > q.perGroup/reserve
	}
	return q.free(t) > 0
}

// free is how many slots are free for t: 0 where its tenant holds its share.
func (q *Queue) free(t Ticket) int {
	free := min(q.limit-q.inUse, q.perGroup-q.groups[t.Group])
	if q.tenants[t.Tenant] >= share*free {
		return 0
	}
	return free
}

func (q *Queue) grant(w *waiter) {
	t := w.ticket
	q.waiting[t.Priority].remove(w)
	q.waiting[t.Priority].passTurn(t)
	q.take(t)
	if t.Priority == Background || q.waiting[Background].empty() {
		q.passed = 0
	} else {
		q.passed++
	}
	w.granted = true
	close(w.ready)
}

// take puts a slot into use.
func (q *Queue) take(t Ticket) {
	q.inUse++
	q.groups[t.Group]++
	q.tenants[t.Tenant]++
}
