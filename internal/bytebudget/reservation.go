package bytebudget

import "context"

// Reservation is bytes of an account for responses from a group that have not come yet.
type Reservation struct{ waiter waiter }

// Reserve takes bytes for responses from a group, waiting for its turn. The error is ctx's, and comes without bytes.
func (a *Account) Reserve(ctx context.Context, group string, bytes int64) (*Reservation, error) {
	r := a.reservation(group, bytes)
	if err := a.wait(ctx, &r.waiter); err != nil {
		return nil, err
	}
	return r, nil
}

// TryReserve is Reserve for a caller that does not wait. It gives nil where it would have to.
func (a *Account) TryReserve(group string, bytes int64) *Reservation {
	r := a.reservation(group, bytes)
	b := a.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.takeOrWait(&r.waiter) {
		return r
	}
	b.withdraw(&r.waiter)
	return nil
}

func (a *Account) reservation(group string, bytes int64) *Reservation {
	r := &Reservation{waiter{account: a, bytes: bytes, reserves: true, group: group}}
	b := a.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.aheadAccount == a { // what it reserves for may take long to come
		b.aheadAccount = nil
		a.addExcess(-a.excess)
		b.dispatch()
	}
	return r
}

// Close ends the reservation: the responses are there, or will not come. The account keeps what they take, in bytes,
// even if that is more, and gives the rest back.
func (r *Reservation) Close(keep int64) {
	b := r.waiter.account.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	r.waiter.leave()
	r.waiter.account.giveBack(r.waiter.bytes - keep)
}

// giveBack undoes a grant.
func (w *waiter) giveBack() {
	if w.reserves {
		w.leave()
	}
	w.account.giveBack(w.bytes)
}

// leave ends a reservation, and keeps its bytes.
func (w *waiter) leave() {
	if b := w.account.budget; b.aheadReservation == w {
		b.aheadReservation = nil
		w.account.addExcess(-w.account.excess)
	}
	subtract(w.account.budget.groups, w.group, w.bytes)
	subtract(w.account.tenant.groups, w.group, w.bytes)
}

// subtract counts down to nothing, which takes no memory.
func subtract(counts map[string]int64, name string, n int64) {
	if counts[name] -= n; counts[name] == 0 {
		delete(counts, name)
	}
}
