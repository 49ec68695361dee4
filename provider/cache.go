package provider

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// cache keeps records within a bound of bytes, of which each tenant has a share. The rules of their use are in
// freshness.go.
type cache struct {
	records  *otter.Cache[key, record]
	shares   *shares
	limit    int // bytes
	evicting sync.Mutex
	evicted  atomic.Int64 // records dropped because the cache, or the share of their tenant, was full
}

// recordOverhead is about what a record takes besides its content: the cache's node, the key's and
// the record's own fields.
const recordOverhead = 512 // bytes

// memberOverhead is about what a member of a selection takes besides its content: its name, version and fields.
const memberOverhead = 256 // bytes

// newCache makes a cache of maxBytes. What is held counts twice: the garbage collector needs as much room
// again to stay cheap, so that a full cache makes the process larger by maxBytes and not by more.
func newCache(maxBytes int, now func() time.Time) (*cache, error) {
	c := &cache{shares: newShares(maxBytes), limit: maxBytes}
	var err error
	c.records, err = otter.New(&otter.Options[key, record]{
		MaximumWeight: uint64(maxBytes), //nolint:gosec // not negative: New has checked
		Weigher:       weight,
		ExpiryCalculator: otter.ExpiryAccessingFunc(func(e otter.Entry[key, record]) time.Duration {
			return 3 * e.Value.interval
		}),
		OnAtomicDeletion: func(e otter.DeletionEvent[key, record]) { // replacements too
			c.shares.remove(e.Value.tenant, int64(weight(e.Key, e.Value)))
			if e.Cause == otter.CauseOverflow {
				c.evicted.Add(1)
			}
		},
		Clock:    clock{now},
		Executor: func(task func()) { task() },
	})
	if err != nil {
		return nil, fmt.Errorf("make the value cache: %w", err)
	}
	return c, nil
}

// weight is what a record counts against the cache's bound, in bytes.
func weight(k key, r record) uint32 {
	failure := 0
	if r.err != nil {
		failure = recordOverhead
	}
	return uint32(2 * (recordOverhead + failure + memberOverhead*len(r.value.Members) + r.value.Length() + len(k.name) + len(k.owner))) //nolint:gosec // what a volume holds is a few MiB
}

// record is what is known of t, zero where nothing is. A value of the failover region is left out if the primary
// region has refused the same object since it was read.
func (c *cache) record(t target) record {
	r, _ := c.records.GetIfPresent(t.key)
	if t.primary != nil {
		if primary, _ := c.records.GetIfPresent(*t.primary); primary.outdates(r) {
			return r.withoutValue()
		}
	}
	return r
}

// update replaces a record of a tenant by what change makes of it.
func (c *cache) update(tenant string, k key, interval time.Duration, change func(record) record) {
	c.records.Compute(k, func(old record, _ bool) (record, otter.ComputeOp) {
		changed := change(old)
		changed.interval, changed.tenant = interval, tenant
		c.shares.add(tenant, int64(weight(k, changed)))
		return changed, otter.WriteOp
	})
	if c.shares.excess(tenant) > 0 && c.evicting.TryLock() {
		defer c.evicting.Unlock()
		c.evict(tenant)
	}
}

// evict removes what a tenant has too much, the values that were read longest ago first.
func (c *cache) evict(tenant string) {
	type candidate struct {
		key   key
		read  time.Time
		bytes int64
	}
	var candidates []candidate
	for k, r := range c.records.All() {
		if r.tenant == tenant {
			candidates = append(candidates, candidate{k, r.read, int64(weight(k, r))})
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int { return a.read.Compare(b.read) })
	excess := c.shares.excess(tenant)
	for _, old := range candidates {
		if excess <= 0 {
			return
		}
		c.records.Invalidate(old.key)
		c.evicted.Add(1)
		excess -= old.bytes
	}
}

// forget drops all values of an owner, because AWS refuses its credentials.
func (c *cache) forget(owner Owner) {
	for k := range c.records.Keys() {
		if k.owner == owner {
			c.records.ComputeIfPresent(k, func(r record) (record, otter.ComputeOp) {
				r = r.withoutValue()
				c.shares.add(r.tenant, int64(weight(k, r)))
				return r, otter.WriteOp
			})
		}
	}
}

func (c *cache) bytes() float64 { return float64(c.records.WeightedSize()) }

// clock lets a test set the time of a cache.
type clock struct{ now func() time.Time }

func (c clock) NowNano() int64                        { return c.now().UnixNano() }
func (c clock) Tick(d time.Duration) <-chan time.Time { return time.Tick(d) }
