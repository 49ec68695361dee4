package bytebudget_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/internal/bytebudget"
)

// grow takes bytes that are free.
func grow(t *testing.T, a *bytebudget.Account, bytes int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Grow(t.Context(), bytes); err != nil {
		t.Fatal(err)
	}
	if err := a.Grow(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v, want %v", err, context.Canceled)
	}
}

func wantUsed(t *testing.T, b *bytebudget.Budget, used int64, waiting int) {
	t.Helper()
	if b.Used() != used || b.Waiting() != waiting {
		t.Errorf("%d bytes used and %d waiting, want %d and %d", b.Used(), b.Waiting(), used, waiting)
	}
}

// line is callers that wait, and the order in which they were served.
type line struct {
	mu     sync.Mutex
	served []string
}

// join waits for bytes in the background, and notes name when it has them.
func (l *line) join(ctx context.Context, name string, a *bytebudget.Account, bytes int64) {
	go func() {
		if a.Grow(ctx, bytes) == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.served = append(l.served, name)
		}
	}()
	synctest.Wait() // in line before the next one comes
}

func (l *line) want(t *testing.T, served ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if diff := cmp.Diff(served, l.served); diff != "" {
		t.Errorf("served (-want +got):\n%s", diff)
	}
}

func TestT10_ATenantHoldsAtMostHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bytebudget.New(100)
		first, second, other := b.Open("a"), b.Open("a"), b.Open("b")
		grow(t, first, 50)
		grow(t, other, 10)
		var l line
		l.join(t.Context(), "a over its half", second, 1) // nobody can be served, so it may exceed the limit
		l.want(t, "a over its half")
		third := b.Open("a")
		l.join(t.Context(), "a's third", third, 1)
		l.want(t, "a over its half")
		grow(t, other, 39)
		wantUsed(t, b, 100, 1)
		first.Close()
		l.want(t, "a over its half", "a's third")
		for _, a := range []*bytebudget.Account{second, third, other} {
			a.Close()
		}
		wantUsed(t, b, 0, 0)
	})
}

func TestT11_TenantsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bytebudget.New(100)
		full, ahead := b.Open("x"), b.Open("y")
		grow(t, full, 50)
		grow(t, ahead, 50)
		grow(t, ahead, 1) // nobody else may exceed the limits now
		var l line
		accounts := map[string]*bytebudget.Account{}
		for _, name := range []string{"a1", "a2", "a3", "b1", "c1", "b2"} {
			accounts[name] = b.Open(name[:1])
			l.join(t.Context(), name, accounts[name], 10)
		}
		wantUsed(t, b, 101, 6)
		full.Shrink(1)
		order := []string{"a1", "b1", "c1", "a2", "b2"}
		for i := range order { // one at a time
			if i < 4 {
				full.Shrink(10)
			} else {
				accounts["a1"].Close()
			}
			l.want(t, order[:i+1]...)
		}
		ahead.Close()
		l.want(t, append(order, "a3")...)
		full.Close()
		for name, a := range accounts {
			if name != "a1" {
				a.Close()
			}
		}
		wantUsed(t, b, 0, 0)
	})
}

// Each of these holds a part of what it needs, and none could go on without the rule of progress.
func TestT12_RequestsThatHoldAPartDoNotBlockEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bytebudget.New(100)
		var all sync.WaitGroup
		var most int64
		var mu sync.Mutex
		for i := range 20 {
			all.Go(func() {
				a := b.Open(fmt.Sprint("tenant ", i%7))
				defer a.Close()
				for range 40 { // 80 bytes
					if err := a.Grow(t.Context(), 2); err != nil {
						t.Error(err)
					}
					mu.Lock()
					most = max(most, b.Used())
					mu.Unlock()
					time.Sleep(time.Millisecond)
				}
			})
		}
		all.Wait()
		if most > 100+80 {
			t.Errorf("%d bytes were in use, want at most the limit and one request", most)
		}
		wantUsed(t, b, 0, 0)
	})
}

func TestCancelledCallersHoldNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bytebudget.New(10)
		full, ahead := b.Open("a"), b.Open("b")
		grow(t, full, 5)
		grow(t, ahead, 5)
		grow(t, ahead, 5)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late := b.Open("c")
		if err := late.Grow(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want %v", err, context.DeadlineExceeded)
		}
		wantUsed(t, b, 15, 0)
		late.Close()
		full.Close()
		ahead.Close()
		wantUsed(t, b, 0, 0)
	})
}

func TestTheLastHolderCloses(t *testing.T) {
	b := bytebudget.New(10)
	a := b.Open("a")
	a.Hold()
	grow(t, a, 4)
	a.Close()
	wantUsed(t, b, 4, 0)
	a.Shrink(1)
	wantUsed(t, b, 3, 0)
	a.Close()
	wantUsed(t, b, 0, 0)
}

// Whatever callers do, everything comes back.
func TestRandomUseLeavesNothing(t *testing.T) {
	b := bytebudget.New(1000)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 500 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(200))*time.Microsecond)
				a := b.Open(fmt.Sprint("tenant ", random.IntN(3)))
				held := int64(0)
				for range 1 + random.IntN(5) {
					bytes := int64(random.IntN(400))
					if a.Grow(ctx, bytes) == nil {
						held += bytes
					}
					if back := int64(random.IntN(100)); back <= held {
						a.Shrink(back)
						held -= back
					}
				}
				a.Close()
				cancel()
			}
		})
	}
	all.Wait()
	wantUsed(t, b, 0, 0)
}

// reserve takes bytes that are free.
func reserve(t *testing.T, a *bytebudget.Account, group string, bytes int64) *bytebudget.Reservation {
	t.Helper()
	r := a.TryReserve(group, bytes)
	if r == nil {
		t.Fatalf("no %d bytes for %s", bytes, group)
	}
	return r
}

func TestT18_AGroupLeavesBytesForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bytebudget.New(1600) // a group has 1000, and a tenant 500 of them
		var held []*bytebudget.Account
		open := func(tenant string) *bytebudget.Account {
			a := b.Open(tenant)
			held = append(held, a)
			return a
		}
		first := reserve(t, open("a"), "hangs", 500)
		second := reserve(t, open("b"), "hangs", 500)
		if r := open("c").TryReserve("hangs", 1); r != nil {
			t.Error("a reservation of a full group")
		}
		if r := open("a").TryReserve("hangs", 1); r != nil {
			t.Error("a reservation of a tenant with its part of a group")
		}
		wantUsed(t, b, 1000, 0)

		var l line
		waits := open("d")
		go func() {
			r, err := waits.Reserve(t.Context(), "hangs", 10)
			if err != nil {
				t.Error(err)
				return
			}
			l.mu.Lock()
			l.served = append(l.served, "waits for the group")
			l.mu.Unlock()
			r.Close(0)
		}()
		synctest.Wait()
		other := reserve(t, open("a"), "responds", 300) // the same tenant
		reserve(t, open("c"), "responds", 300).Close(200)
		wantUsed(t, b, 1500, 1)
		if err := open("c").Grow(t.Context(), 100); err != nil { // nothing but the process itself
			t.Error(err)
		}
		wantUsed(t, b, 1600, 1)

		l.want(t)
		first.Close(400) // the responses are there: the account keeps them, and the group does not count them
		l.want(t, "waits for the group")
		other.Close(0)
		second.Close(0)
		for _, a := range held {
			a.Close()
		}
		wantUsed(t, b, 0, 0)
	})
}

// One reservation may be larger than its group, and one may exceed the limit. Neither holds up the others.
func TestT18_AReservationAheadHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bytebudget.New(160)
		full, hangs, next, grows := b.Open("a"), b.Open("b"), b.Open("c"), b.Open("d")
		grow(t, full, 80)
		grow(t, b.Open("e"), 70)
		ahead := reserve(t, hangs, "hangs", 200) // its group has no other
		wantUsed(t, b, 350, 0)
		if r := next.TryReserve("responds", 20); r != nil {
			t.Error("a second reservation that exceeds the limit")
		}
		grow(t, grows, 10) // within the limit, without the one ahead
		grow(t, grows, 10) // one may exceed it by growing
		if r := grows.TryReserve("responds", 1); r != nil {
			t.Error("a reservation of the account that exceeds the limit by growing")
		}
		grow(t, next, 1) // instead of the account that waits for others now
		full.Shrink(50)
		reserve(t, next, "responds", 10).Close(10)
		ahead.Close(5)
		wantUsed(t, b, 136, 0)
	})
}

// Requests that need much, one after the other in excess of the limit, do not keep out those that need little.
func TestT12_ThoseWhoNeedLittleAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bytebudget.New(100)
		first, second, little := b.Open("a"), b.Open("b"), b.Open("c")
		grow(t, first, 50)
		grow(t, second, 50)
		grow(t, first, 40) // in excess
		var l line
		l.join(t.Context(), "second", second, 40)
		l.join(t.Context(), "little", little, 1)
		l.want(t)
		second.Shrink(1)
		l.want(t, "little")
		wantUsed(t, b, 140, 1)
		first.Close() // what it took in excess is gone with the rest
		l.want(t, "little", "second")
		second.Close()
		little.Close()
		wantUsed(t, b, 0, 0)
	})
}

// What one request of a tenant takes in excess does not keep out the others of the same tenant either.
func TestT12_ExcessIsNotOfTheTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bytebudget.New(100)
		large, other, little := b.Open("a"), b.Open("a"), b.Open("a")
		grow(t, large, 30)
		grow(t, other, 20)
		grow(t, large, 40) // in excess of the tenant's half
		var l line
		l.join(t.Context(), "little", little, 1)
		l.want(t)
		other.Shrink(1)
		l.want(t, "little")
		for _, a := range []*bytebudget.Account{large, other, little} {
			a.Close()
		}
		l.want(t, "little")
		wantUsed(t, b, 0, 0)
	})
}

// Once the responses are there, what they take counts, also if the reservation was in excess.
func TestT18_WhatIsKeptCounts(t *testing.T) {
	b := bytebudget.New(100)
	reserve(t, b.Open("a"), "x", 200).Close(99)
	reserve(t, b.Open("b"), "y", 5) // in excess
	if r := b.Open("c").TryReserve("z", 5); r != nil {
		t.Error("5 bytes more, although 99 of 100 are kept")
	}
}
