package fairqueue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bench is a queue with callers that wait in it. Its methods are called in a bubble of testing/synctest.
type bench struct {
	t     *testing.T
	queue *Queue

	mu    sync.Mutex
	order []string // names of the callers in the order in which they got their slots
	slots map[string][]*Slot
	ended sync.WaitGroup
}

func newBench(t *testing.T, limit, perGroup int) *bench {
	return &bench{t: t, queue: New(limit, perGroup), slots: map[string][]*Slot{}}
}

// want makes n callers named name wait for t, one after the other, or get their slots.
func (b *bench) want(ctx context.Context, n int, name string, t Ticket) {
	for range n {
		b.ended.Go(func() {
			slot, err := b.queue.Acquire(ctx, t)
			if err != nil {
				return
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			b.order = append(b.order, name)
			b.slots[name] = append(b.slots[name], slot)
		})
		synctest.Wait()
	}
}

// has is how many slots the callers of a name hold.
func (b *bench) has(name string) int {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.slots[name])
}

// release gives back one slot of a name and waits until nothing moves.
func (b *bench) release(name string) {
	b.mu.Lock()
	slot := b.slots[name][0]
	b.slots[name] = b.slots[name][1:]
	b.mu.Unlock()
	slot.Release()
	synctest.Wait()
}

// drain releases one slot after the other, the oldest first, until all callers had theirs. It gives the
// order of all, and checks that the queue keeps nothing.
func (b *bench) drain() string {
	b.t.Helper()
	for done := 0; ; done++ {
		synctest.Wait()
		b.mu.Lock()
		if done == len(b.order) {
			b.mu.Unlock()
			break
		}
		name := b.order[done]
		held := len(b.slots[name]) > 0
		b.mu.Unlock()
		if held {
			b.release(name)
		}
	}
	b.ended.Wait()
	wantUnused(b.t, b.queue)
	return strings.Join(b.order, " ")
}

// wantUnused fails the test where q has slots in use or remembers anything of anybody.
func wantUnused(t *testing.T, q *Queue) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.inUse != 0 || len(q.groups) != 0 || len(q.tenants) != 0 {
		t.Errorf("%d slots in use, by group %v, by tenant %v, want none", q.inUse, q.groups, q.tenants)
	}
	for p := range q.waiting {
		if l := &q.waiting[p]; !l.empty() || len(l.tenants.byName) != 0 {
			t.Errorf("%d tenants wait at priority %d, want none", l.tenants.len(), p)
		}
	}
}

func TestT1_TenantsTakeTurns(t *testing.T) {
	type callers struct {
		n      int
		ticket Ticket
	}
	a, b, c := Ticket{Tenant: "a"}, Ticket{Tenant: "b"}, Ticket{Tenant: "c"}
	background := func(t Ticket) Ticket { t.Priority = Background; return t }
	for name, tt := range map[string]struct {
		callers []callers
		want    string
	}{
		"first come, first served, of one tenant":   {[]callers{{3, a}}, "a a a"},
		"each in its turn, however many each wants": {[]callers{{5, a}, {2, b}, {1, c}}, "a b c a b a a a"},
		"background has turns of its own":           {[]callers{{3, background(a)}, {1, background(b)}}, "a b a a"},
		"the groups of one take turns": {
			[]callers{{3, Ticket{Tenant: "a", Group: "1"}}, {1, Ticket{Tenant: "a", Group: "2"}}}, "a1 a2 a1 a1",
		},
		"urgent goes first, of whatever tenant": {[]callers{{2, background(a)}, {1, background(b)}, {1, a}, {2, c}}, "a c c a b a"},
		"every eighth is for background":        {[]callers{{2, background(b)}, {16, a}}, "a a a a a a a b a a a a a a a b a a"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bench := newBench(t, 1, 1)
				bench.want(t.Context(), 1, "x", Ticket{Tenant: "x"}) // holds the slot while the others come
				for _, callers := range tt.callers {
					bench.want(t.Context(), callers.n, callers.ticket.Tenant+callers.ticket.Group, callers.ticket)
				}
				if diff := cmp.Diff("x "+tt.want, bench.drain()); diff != "" {
					t.Errorf("order (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// With the limits that calls to AWS have.
func TestT1_OneTenantLeavesSlotsForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bench := newBench(t, 32, 28)
		bench.want(t.Context(), 100, "a", Ticket{Tenant: "a", Group: "one"})
		if got := bench.has("a"); got != 24 {
			t.Errorf("alone in a group: %d slots, want 24 of 28", got)
		}
		bench.want(t.Context(), 100, "a elsewhere", Ticket{Tenant: "a", Group: "two"})
		if got := bench.has("a elsewhere"); got != 4 {
			t.Errorf("in another group: %d slots, want 4: 28 of 32 in all", got)
		}
		for _, group := range []string{"one", "two"} {
			bench.want(t.Context(), 2, "b in "+group, Ticket{Tenant: "b", Group: group})
			if got := bench.has("b in " + group); got != 2 {
				t.Errorf("another tenant in group %s: %d slots at once, want 2", group, got)
			}
		}
		bench.drain()
	})
}

// Shares cost nothing where many tenants want slots.
func TestT1_ManyTenantsUseAllSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bench := newBench(t, 32, 28)
		for i := range 10 {
			bench.want(t.Context(), 10, "all", Ticket{Tenant: fmt.Sprint(i)})
		}
		if got := bench.has("all"); got != 28 {
			t.Errorf("ten tenants: %d slots, want all 28", got)
		}
		bench.drain()
	})
}

func TestT1_BackgroundLeavesSlotsForUrgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bench := newBench(t, 32, 28)
		for i := range 10 {
			bench.want(t.Context(), 10, "background", Ticket{Tenant: fmt.Sprint(i), Priority: Background})
		}
		if got := bench.has("background"); got != 25 {
			t.Errorf("%d slots for background, want 25 of 28", got)
		}
		bench.want(t.Context(), 10, "urgent", Ticket{Tenant: "another"})
		if got := bench.has("urgent"); got != 3 {
			t.Errorf("%d slots for urgent at once, want the 3 that are left", got)
		}
		bench.drain()
	})
}

// However few slots there are, each ticket has one that it may get.
// Urgent callers that each find a free slot do not keep Background waiting forever either.
func TestT1_BackgroundGetsItsSlotBesideQuickUrgentOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 8, 8)
		for i := range 7 { // one slot is left, which Background leaves free
			b.want(t.Context(), 1, "held", Ticket{Tenant: fmt.Sprint("tenant ", i), Group: "x"})
		}
		b.want(t.Context(), 1, "background", Ticket{Tenant: "b", Group: "x", Priority: Background})
		for range backgroundEvery {
			if b.has("background") == 1 {
				break
			}
			b.want(t.Context(), 1, "quick", Ticket{Tenant: "q", Group: "x"})
			if b.has("quick") == 1 {
				b.release("quick")
			}
		}
		if b.has("background") != 1 {
			t.Errorf("Background has no slot after %d urgent ones", backgroundEvery)
		}
		b.drain()
	})
}

func TestT1_SmallLimits(t *testing.T) {
	for limit := range 10 {
		for perGroup := range limit + 1 {
			synctest.Test(t, func(t *testing.T) {
				bench := newBench(t, limit, perGroup)
				for _, p := range []Priority{Background, Urgent} {
					bench.want(t.Context(), 5, "all", Ticket{Tenant: "a", Group: "one", Priority: p})
				}
				if got, want := len(strings.Fields(bench.drain())), 10; got != want {
					t.Errorf("limit %d, %d for a group: %d callers were served, want %d", limit, perGroup, got, want)
				}
			})
		}
	}
}

// A group that hangs has all the slots that it may have, and those that wait for it are in nobody's way.
func TestT1_AFullGroupHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bench := newBench(t, 4, 2)
		for _, tenant := range []string{"a", "b", "c"} {
			bench.want(t.Context(), 2, "hangs", Ticket{Tenant: tenant, Group: "one"})
		}
		bench.want(t.Context(), 3, "goes on", Ticket{Tenant: "c", Group: "two"})
		if hang, on := bench.has("hangs"), bench.has("goes on"); hang != 2 || on != 2 {
			t.Errorf("%d slots of the full group and %d of the other, want 2 of each", hang, on)
		}
		bench.release("goes on")
		if got := bench.has("goes on"); got != 2 {
			t.Errorf("after a release: %d slots of the other group, want 2", got)
		}
		bench.drain()
	})
}

// Of those that were skipped, the one that came first has kept its turn.
func TestT1_WhoIsSkippedKeepsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bench := newBench(t, 2, 1)
		bench.want(t.Context(), 1, "x", Ticket{Tenant: "x", Group: "one"})
		bench.want(t.Context(), 1, "y", Ticket{Tenant: "y", Group: "two"})
		bench.want(t.Context(), 1, "a", Ticket{Tenant: "a", Group: "one"})
		bench.want(t.Context(), 2, "b", Ticket{Tenant: "b", Group: "two"})
		bench.want(t.Context(), 1, "c", Ticket{Tenant: "c", Group: "one"})
		bench.release("y") // a is skipped
		bench.release("x")
		if got, want := strings.Join(bench.order, " "), "x y b a"; got != want {
			t.Errorf("order %q, want %q", got, want)
		}
		bench.drain()
	})
}

func TestT1_CancelledCallersLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		bench := newBench(t, 1, 1)
		bench.want(t.Context(), 1, "x", Ticket{Tenant: "x"})
		for _, tenant := range []string{"a", "b"} { // first, middle and last of a tenant and of the queue
			bench.want(ctx, 1, "cancelled", Ticket{Tenant: tenant})
			bench.want(t.Context(), 1, tenant, Ticket{Tenant: tenant})
			bench.want(ctx, 1, "cancelled", Ticket{Tenant: tenant})
		}
		bench.want(ctx, 1, "cancelled", Ticket{Tenant: "c"})
		cancel()
		synctest.Wait()
		if _, err := bench.queue.Acquire(ctx, Ticket{Tenant: "a"}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before: error %v, want context.Canceled", err)
		}
		if got, want := bench.drain(), "x a b"; got != want {
			t.Errorf("order %q, want %q", got, want)
		}
	})
}

// The slot that comes at the moment in which its caller gives up is not lost.
func TestT1_CancelledWhileTheSlotComes(t *testing.T) {
	for _, cancelledFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("cancelled first %t", cancelledFirst), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				q := New(1, 1)
				held, err := q.Acquire(ctx, Ticket{Tenant: "x"})
				if err != nil {
					t.Fatal(err)
				}
				got := make(chan error)
				go func() {
					slot, err := q.Acquire(ctx, Ticket{Tenant: "a"})
					if err == nil {
						slot.Release()
					}
					got <- err
				}()
				synctest.Wait()
				q.mu.Lock() // the caller cannot go on before both have happened
				if cancelledFirst {
					cancel()
				}
				q.release(held.ticket)
				cancel()
				q.mu.Unlock()
				if err := <-got; cancelledFirst != errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				wantUnused(t, q)
			})
		})
	}
}

func TestSlot_SaysHowLongItWasWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bench := newBench(t, 1, 1)
		bench.want(t.Context(), 1, "x", Ticket{Tenant: "x"})
		bench.want(t.Context(), 1, "a", Ticket{Tenant: "a"})
		time.Sleep(3 * time.Second)
		if got := bench.slots["x"][0].Waited; got != 0 {
			t.Errorf("waited %v for a slot that was free, want 0", got)
		}
		bench.release("x")
		if got := bench.slots["a"][0].Waited; got != 3*time.Second {
			t.Errorf("waited %v, want 3 s", got)
		}
		bench.drain()
	})
}

func TestSlot_IsReleasedOnce(t *testing.T) {
	q := New(1, 1)
	slot, err := q.Acquire(t.Context(), Ticket{Tenant: "a"})
	if err != nil {
		t.Fatal(err)
	}
	slot.Release()
	slot.Release()
	wantUnused(t, q)
}

// 10,000 random operations: the limits hold at each moment, and all slots are there at the end.
func TestT1_NoSlotIsLost(t *testing.T) {
	const (
		limit, perGroup = 7, 5
		callers, each   = 50, 200
	)
	var (
		q     = New(limit, perGroup)
		inUse atomic.Int64
		of    [3]atomic.Int64
		done  sync.WaitGroup
	)
	use := func(random *rand.Rand) {
		defer func() { _ = recover() }()
		group := random.IntN(len(of))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		switch random.IntN(4) {
		case 0:
			cancel()
		case 1:
			go cancel() // at any moment
		}
		slot, err := q.Acquire(ctx, Ticket{Tenant: fmt.Sprint(random.IntN(6)), Group: fmt.Sprint(group), Priority: Priority(random.IntN(2))})
		if err != nil {
			return
		}
		defer slot.Release()
		all, there := inUse.Add(1), of[group].Add(1)
		defer inUse.Add(-1)
		defer of[group].Add(-1)
		if all > limit || there > perGroup {
			t.Errorf("%d slots in use and %d of a group, want at most %d and %d", all, there, limit, perGroup)
		}
		if random.IntN(4) == 0 {
			panic("while a slot is held")
		}
	}
	for i := range callers {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		done.Go(func() {
			for range each {
				use(random)
			}
		})
	}
	done.Wait()
	wantUnused(t, q)
}
