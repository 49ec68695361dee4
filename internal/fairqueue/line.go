package fairqueue

import (
	"container/list"
	"iter"
)

// waiter is a ticket that waits. Its queue's mutex guards it.
type waiter struct {
	ticket  Ticket
	place   *list.Element // in its lane
	granted bool
	ready   chan struct{} // closed when granted
}

// line holds the tickets of one priority: the tenants in the order of their turns, the groups of each in
// the order of theirs, and the waiters of each of those by age. What is empty is dropped at once.
type line struct{ tenants rotation[rotation[list.List]] }

func (l *line) empty() bool { return l.tenants.len() == 0 }

// add puts t at the end.
func (l *line) add(t Ticket) *waiter {
	w := &waiter{ticket: t, ready: make(chan struct{})}
	w.place = l.tenants.get(t.Tenant).get(t.Group).PushBack(w)
	return w
}

// remove takes w out. The others keep their turns.
func (l *line) remove(w *waiter) {
	groups := l.tenants.get(w.ticket.Tenant)
	lane := groups.get(w.ticket.Group)
	lane.Remove(w.place)
	if lane.Len() == 0 {
		groups.remove(w.ticket.Group)
	}
	if groups.len() == 0 {
		l.tenants.remove(w.ticket.Tenant)
	}
}

// passTurn puts t's tenant behind the others, and its group behind the others of that tenant.
func (l *line) passTurn(t Ticket) {
	if groups, ok := l.tenants.find(t.Tenant); ok {
		l.tenants.toBack(t.Tenant)
		groups.toBack(t.Group)
	}
}

// first is the first waiter in the order of turns that is eligible, or nil.
func (l *line) first(eligible func(Ticket) bool) *waiter {
	for groups := range l.tenants.all() {
		for lane := range groups.all() {
			if w, _ := lane.Front().Value.(*waiter); eligible(w.ticket) { // a lane has at least one, and nothing else
				return w
			}
		}
	}
	return nil
}

// rotation keeps values by name, in the order of their turns. Its zero value is empty.
type rotation[T any] struct {
	turns  list.List // of *turn[T]
	byName map[string]*list.Element
}

type turn[T any] struct {
	name  string
	value T
}

func (r *rotation[T]) len() int { return r.turns.Len() }

func (r *rotation[T]) find(name string) (*T, bool) {
	e, ok := r.byName[name]
	if !ok {
		return nil, false
	}
	return &of[T](e).value, true
}

// get is the value of a name, at the end and zero where there was none.
func (r *rotation[T]) get(name string) *T {
	e, ok := r.byName[name]
	if !ok {
		if r.byName == nil {
			r.byName = map[string]*list.Element{}
		}
		e = r.turns.PushBack(&turn[T]{name: name})
		r.byName[name] = e
	}
	return &of[T](e).value
}

func (r *rotation[T]) remove(name string) {
	r.turns.Remove(r.byName[name])
	delete(r.byName, name)
}

func (r *rotation[T]) toBack(name string) {
	if e, ok := r.byName[name]; ok {
		r.turns.MoveToBack(e)
	}
}

// all are the values in the order of their turns.
func (r *rotation[T]) all() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for e := r.turns.Front(); e != nil; e = e.Next() {
			if !yield(&of[T](e).value) {
				return
			}
		}
	}
}

func of[T any](e *list.Element) *turn[T] {
	t, _ := e.Value.(*turn[T]) // nothing else is in it
	return t
}
