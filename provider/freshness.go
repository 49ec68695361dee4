package provider

import (
	"math/rand/v2"
	"time"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/volume"
)

// This file holds the rules of freshness (docs/contract.md, section F). Each rule is a function of records,
// responses, a mount and the time, and changes nothing else.

// firstMountWindow is how old a value may be at a first mount. Pods of one rollout arrive together and share
// a read; put-secret-value followed by a restart of the pods takes longer than this.
const firstMountWindow = time.Second

// Bounds of the back-off after a republish that failed.
const (
	firstBackOff = 15 * time.Second
	maxBackOff   = 10 * time.Minute
)

// record is what the cache knows of one value for one owner.
type record struct {
	value    volume.Value
	read     time.Time     // when the read that gave value started; zero: there is no value
	spread   float64       // of the refresh interval, 0.9 to 1.1, so that values and nodes do not refresh in step
	tenant   string        // counts it against its share of the cache
	interval time.Duration // of the last request; after three of them without a request the record is dropped

	err      error     // of the last read, if that failed
	failures int       // in a row
	retry    time.Time // until then republishes get err without a call to AWS
	refused  time.Time // when the last read that AWS refused started; zero after one that gave a value
	notFound bool      // it was refused because the object does not exist
}

// fresh reports whether r's value may be given to m without a call to AWS.
//
//   - First mount of a volume: read after the request arrived, or at most a second before it.
//   - Republish: at most the refresh interval old.
//   - Republish of a pinned version: a version never changes, so it is not read again.
func (r record) fresh(m mount, pinned bool) bool {
	switch {
	case r.read.IsZero():
		return false
	case m.first:
		return !r.read.Before(m.arrived.Add(-firstMountWindow))
	case pinned:
		return true
	default:
		return m.arrived.Sub(r.read) <= scale(m.interval, r.spread)
	}
}

// absentFor reports whether an optional object may be taken for one that does not exist, without a call to AWS: as recently
// as a value would have to be read.
func (r record) absentFor(m mount) bool {
	switch {
	case !r.notFound:
		return false
	case m.first:
		return !r.refused.Before(m.arrived.Add(-firstMountWindow))
	default:
		return m.arrived.Sub(r.refused) <= m.interval
	}
}

// mayJoin reports whether m may wait for an equal read that started at started. A read with the short timeout
// gives up too early for a request that needs the full one.
func mayJoin(started time.Time, hasShort, acceptsShort bool, m mount) bool {
	if hasShort && !acceptsShort {
		return false
	}
	if m.first {
		return !started.Before(m.arrived.Add(-firstMountWindow))
	}
	return m.arrived.Sub(started) <= m.interval
}

// backedOff reports whether a republish gets the last failure again without a call to AWS.
// A first mount always calls AWS: the kubelet backs off by itself.
func (r record) backedOff(m mount) bool {
	return !m.first && r.err != nil && m.arrived.Before(r.retry)
}

// acceptsShort reports whether a read for m may have the short timeout: another region or the last known
// value r can stand in for it.
func (r record) acceptsShort(m mount, now time.Time, maxStale time.Duration) bool {
	return m.failover || r.stale(m, &fault.Error{Kind: fault.Transient}, now, maxStale)
}

// staleAbsence reports whether a first mount may take an optional object for one that does not exist, although the read
// just failed with err. The rule is that of stale.
func (r record) staleAbsence(m mount, err error, now time.Time, maxStale time.Duration) bool {
	return m.first && transient(err) && r.notFound && now.Sub(r.refused) <= maxStale
}

// stale reports whether a first mount may be given r's value although the read just failed with err:
// the failure is transient and no denial, and the value is at most maxStale old.
// A republish never is: the pod has its files already, and the failure must be visible.
func (r record) stale(m mount, err error, now time.Time, maxStale time.Duration) bool {
	return m.first && transient(err) && !r.read.IsZero() && now.Sub(r.read) <= maxStale
}

// succeeded is the record after a read, started at started, that gave got.
func (r record) succeeded(got volume.Value, started time.Time) record {
	if started.Before(r.read) || started.Before(r.refused) {
		return r // a slower, older read: what is known is newer
	}
	return record{value: got, read: started, spread: spread()}
}

// failed is the record after a read, started at started, that failed with err. The value outlives a transient
// failure; any other failure removes it, so that what was denied is never served later.
func (r record) failed(err error, started, now time.Time) record {
	if started.Before(r.read) {
		return r
	}
	r.err = fault.Detached(err)
	if !now.Before(r.retry) { // first mounts that fail in between do not prolong the back-off
		r.failures++
		wait := min(firstBackOff<<min(r.failures-1, 10), maxBackOff)
		r.retry = now.Add(scale(wait, spread()))
	}
	if !transient(err) {
		r.refused, r.notFound = started, fault.KindOf(err) == fault.NotFound
		return r.withoutValue()
	}
	return r
}

// outdates reports whether a value of the failover region may no longer be served from the cache, because the
// primary region, where it has the record r, has refused a read since.
func (r record) outdates(failover record) bool { return !r.refused.Before(failover.read) }

// withoutValue is the record without its value, which may not be served any more.
func (r record) withoutValue() record {
	r.value, r.read = volume.Value{}, time.Time{}
	return r
}

// spread is a random factor of ± 10 %.
func spread() float64 { return 0.9 + 0.2*rand.Float64() } //nolint:gosec // spreads load, guards nothing

func scale(d time.Duration, factor float64) time.Duration { return time.Duration(float64(d) * factor) }
