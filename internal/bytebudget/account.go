package bytebudget

import (
	"context"
	"time"

	"secrets-provider-aws/internal/tracing"
)

// Account is what one request holds. It is safe for concurrent use.
type Account struct {
	budget *Budget
	name   string // of its tenant
	tenant *tenant

	// Guarded by budget.mu.
	used    int64
	excess  int64 // of used
	holders int
}

// Hold adds a holder, which closes the account too: work that may outlast the request.
func (a *Account) Hold() {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	a.holders++
}

// Close gives everything back when the last holder calls it. All reservations are closed before.
func (a *Account) Close() {
	b := a.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.holders--; a.holders > 0 {
		return
	}
	if b.aheadAccount == a {
		b.aheadAccount = nil
	}
	a.addExcess(-a.excess)
	if a.tenant.open--; a.tenant.open == 0 {
		delete(b.tenants, a.name)
	}
	a.giveBack(a.used)
}

// Grow takes more bytes, waiting for its turn. The error is ctx's, and comes without bytes.
func (a *Account) Grow(ctx context.Context, bytes int64) error {
	return a.wait(ctx, &waiter{account: a, bytes: bytes})
}

// Shrink gives bytes back.
func (a *Account) Shrink(bytes int64) {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	a.giveBack(bytes)
}

// addExcess counts bytes that the account takes beyond the limits.
func (a *Account) addExcess(bytes int64) {
	a.excess += bytes
	a.tenant.excess += bytes
	a.budget.excess += bytes
}

// giveBack gives back bytes, those in excess first.
func (a *Account) giveBack(bytes int64) {
	a.addExcess(-min(max(bytes, 0), a.excess))
	a.used -= bytes
	a.tenant.used -= bytes
	a.budget.used -= bytes
	a.budget.dispatch()
}

// wait has w served in its turn.
func (a *Account) wait(ctx context.Context, w *waiter) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	b := a.budget
	b.mu.Lock()
	granted := b.takeOrWait(w)
	b.mu.Unlock()
	if granted {
		return nil
	}
	started := time.Now()
	defer func() { tracing.Waited(ctx, "wait for memory", started, err) }()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.withdraw(w) { // granted at the same moment: others can use it
		w.giveBack()
	}
	return ctx.Err()
}
