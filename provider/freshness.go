package provider

import (
	"math/rand/v2"
	"time"

	"secrets-provider-aws/provider/fault"
)

// This file is the whole law of freshness. DESIGN.md says it in prose; every rule stands here once,
// as a function of a record, a visit and the time, and touches nothing else.

// sameMoment is how old a value may be at a first mount. Pods of one rollout arrive together and share
// a read; put-secret-value followed by a restart of the pods takes longer than this.
const sameMoment = time.Second

// Bounds of the wait after a republish that failed.
const (
	firstBackOff = 15 * time.Second
	maxBackOff   = 10 * time.Minute
)

// record is what is known of one value for one owner.
type record struct {
	value    value
	asked    time.Time     // when the read that gave value was begun; zero: there is no value
	spread   float64       // of the refresh interval, 0.9 to 1.1, so that values and nodes do not refresh in step
	interval time.Duration // of whoever asked last; three of them without being asked for, and it is dropped

	err      error     // of the last read, if that failed
	failures int       // in a row
	retry    time.Time // republishes answer err until then
}

// visit is one mount that wants a value.
type visit struct {
	arrived  time.Time
	first    bool // the volume was not mounted before
	interval time.Duration
}

// serves reports whether r's value may be given to v without asking AWS.
//
//   - First mount of a volume: read after the request arrived, or at most a second before it.
//   - Republish: at most the refresh interval old.
//   - Republish of a pinned version: a version never changes, so it is not read again.
func (r record) serves(v visit, pinned bool) bool {
	switch {
	case r.asked.IsZero():
		return false
	case v.first:
		return !r.asked.Before(v.arrived.Add(-sameMoment))
	case pinned:
		return true
	default:
		return v.arrived.Sub(r.asked) <= scale(v.interval, r.spread)
	}
}

// joins reports whether a read that was begun at started and is still under way gives what v may have.
func joins(started time.Time, v visit) bool {
	if v.first {
		return !started.Before(v.arrived.Add(-sameMoment))
	}
	return v.arrived.Sub(started) <= v.interval
}

// backedOff reports whether a republish answers the last failure again rather than ask AWS again.
// A first mount always asks: the kubelet spaces those itself.
func (r record) backedOff(v visit) bool {
	return !v.first && r.err != nil && v.arrived.Before(r.retry)
}

// stale reports whether a first mount may be given r's value although the read just failed with err:
// the failure is transient and no denial, and the value is at most maxStale old.
// A republish never is: its files stand already, and the failure has to be seen.
func (r record) stale(v visit, err error, now time.Time, maxStale time.Duration) bool {
	return v.first && fault.KindOf(err) == fault.Transient && !r.asked.IsZero() && now.Sub(r.asked) <= maxStale
}

// succeeded is the record after a read, begun at asked, that gave got.
func (r record) succeeded(got value, asked time.Time) record {
	if asked.Before(r.asked) {
		return r // a slower, older read: what is known is newer
	}
	return record{value: got, asked: asked, spread: spread()}
}

// failed is the record after a read, begun at asked, that failed with err. The value outlives a transient
// failure; anything else takes it away, so that what was denied is never served later.
func (r record) failed(err error, asked, now time.Time) record {
	if asked.Before(r.asked) {
		return r
	}
	r.err = err
	r.failures++
	wait := min(firstBackOff<<min(r.failures-1, 10), maxBackOff)
	r.retry = now.Add(scale(wait, spread()))
	if fault.KindOf(err) != fault.Transient {
		r.value, r.asked = value{}, time.Time{}
	}
	return r
}

// spread is a random factor of ± 10 %.
func spread() float64 { return 0.9 + 0.2*rand.Float64() } //nolint:gosec // spreads load, guards nothing

func scale(d time.Duration, factor float64) time.Duration { return time.Duration(float64(d) * factor) }
