package provider

import (
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"
)

// key names a value in memory. The owner stands first: nothing is shared without it.
type key struct {
	owner  Owner
	region string
	read
}

// memory keeps records within a bound of bytes. What to do with a record is said in freshness.go.
type memory struct{ records *otter.Cache[key, record] }

// recordOverhead is about what a record takes besides its content: the cache's node, the key's and
// the record's own fields.
const recordOverhead = 512 // bytes

// newMemory makes a memory of maxBytes. What is held counts twice: the garbage collector needs as much room
// again to stay cheap, so that a full memory makes the process larger by what maxBytes says and not by more.
func newMemory(maxBytes int, now func() time.Time) (*memory, error) {
	records, err := otter.New(&otter.Options[key, record]{
		MaximumWeight: uint64(maxBytes), //nolint:gosec // not negative: New has checked
		Weigher: func(k key, r record) uint32 {
			return uint32(2 * (recordOverhead + len(r.value.content) + len(k.name) + len(k.owner))) //nolint:gosec // a value is at most 64 KiB
		},
		ExpiryCalculator: otter.ExpiryAccessingFunc(func(e otter.Entry[key, record]) time.Duration {
			return 3 * e.Value.interval
		}),
		Clock:    clock{now},
		Executor: func(task func()) { task() },
	})
	if err != nil {
		return nil, fmt.Errorf("make the value cache: %w", err)
	}
	return &memory{records}, nil
}

func (m *memory) record(k key) record {
	r, _ := m.records.GetIfPresent(k)
	return r
}

// update replaces a record by what change makes of it.
func (m *memory) update(k key, interval time.Duration, change func(record) record) {
	m.records.Compute(k, func(old record, _ bool) (record, otter.ComputeOp) {
		changed := change(old)
		changed.interval = interval
		return changed, otter.WriteOp
	})
}

// forget drops all values of an owner: AWS no longer believes it.
func (m *memory) forget(owner Owner) {
	for k := range m.records.Keys() {
		if k.owner == owner {
			m.empty(k)
		}
	}
}

// empty drops one value.
func (m *memory) empty(k key) {
	m.records.ComputeIfPresent(k, func(r record) (record, otter.ComputeOp) { return r.emptied(), otter.WriteOp })
}

func (m *memory) bytes() float64 { return float64(m.records.WeightedSize()) }

// recent remembers names for a while, at most so many of them.
type recent struct {
	names *otter.Cache[string, struct{}]
}

// Of the volumes that were mounted, so that a republish can be told from a first mount: far more than a node
// has, and how long one may go without a republish, which comes every one to two minutes. A volume that is
// forgotten is read afresh, that is all.
const (
	maxVolumes   = 1 << 14
	volumeMemory = time.Hour
)

// maxSilent is how many regions are remembered as silent: pod authors write what they like.
const maxSilent = 64

func newVolumes(now func() time.Time) (*recent, error) {
	return newRecent(maxVolumes, otter.ExpiryAccessing[string, struct{}](volumeMemory), now)
}

// newSilent is for the regions that let their reads time out, see silence.
func newSilent(now func() time.Time) (*recent, error) {
	return newRecent(maxSilent, otter.ExpiryWriting[string, struct{}](silence), now)
}

func newRecent(most int, expiry otter.ExpiryCalculator[string, struct{}], now func() time.Time) (*recent, error) {
	names, err := otter.New(&otter.Options[string, struct{}]{
		MaximumSize:      most,
		ExpiryCalculator: expiry,
		Clock:            clock{now},
		Executor:         func(task func()) { task() },
	})
	if err != nil {
		return nil, fmt.Errorf("make a memory of names: %w", err)
	}
	return &recent{names}, nil
}

func (r *recent) knows(name string) bool {
	_, ok := r.names.GetIfPresent(name)
	return ok
}

func (r *recent) add(name string) { r.names.Set(name, struct{}{}) }

func (r *recent) remove(name string) { r.names.Invalidate(name) }

// clock lets a test set the time of a cache.
type clock struct{ now func() time.Time }

func (c clock) NowNano() int64                        { return c.now().UnixNano() }
func (c clock) Tick(d time.Duration) <-chan time.Time { return time.Tick(d) }
