package provider

import (
	"math/rand/v2"
	"time"

	"secrets-provider-aws/provider/fault"
)

// This file is the whole law of freshness and of failover. DESIGN.md says it in prose; every rule stands
// here once, as a function of records, answers, a visit and the time, and touches nothing else.

// sameMoment is how old a value may be at a first mount. Pods of one rollout arrive together and share
// a read; put-secret-value followed by a restart of the pods takes longer than this.
const sameMoment = time.Second

// Bounds of the wait after a republish that failed.
const (
	firstBackOff = 15 * time.Second
	maxBackOff   = 10 * time.Minute
)

// Bounds on the wait for a region where something else can stand in for its answer.
const (
	// onePatience is how long the reads of one of two regions may take: one attempt's time-out, however many attempts
	// fit into it. A volume with one region waits for all its attempts.
	onePatience = 5 * time.Second
	// grace is how much longer than the primary region the failover region may take at a first mount.
	grace = time.Second
	// stalePatience is how long the reads of a first mount may take where its last known values can stand in.
	stalePatience = 10 * time.Second
	// A region that let reads time out gets shortPatience for as long as silence, or until it answers:
	// the pods of a node that starts would wait one after the other.
	shortPatience = time.Second
	silence       = 30 * time.Second
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
	refused  time.Time // when the last read that AWS refused was begun; zero after one that gave a value
}

// visit is one mount that wants a value.
type visit struct {
	arrived  time.Time
	first    bool // the volume was not mounted before
	failover bool // the volume has a second region
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

// joins reports whether a read that was begun at started and is still under way gives what v may have. One
// that is hurried gives up too early for who has nothing else.
func joins(started time.Time, hurried, hurries bool, v visit) bool {
	if hurried && !hurries {
		return false
	}
	if v.first {
		return !started.Before(v.arrived.Add(-sameMoment))
	}
	return v.arrived.Sub(started) <= v.interval
}

// asksBoth reports whether both regions are read at once. A first mount does, so that what is wrong with the
// failover region shows before that is needed. A republish turns to it only when the primary fails.
func (v visit) asksBoth() bool { return v.first && v.failover }

// transient reports whether err is a failure that the other region may stand in for. Everything else is an
// answer: who is denied in one region is not served from the other.
func transient(err error) bool { return err != nil && fault.KindOf(err) == fault.Transient }

// choose says which region's answer a volume is given, or why none. failover is nil where it was not asked;
// an answer that did not come in time is a transient failure.
//
//   - Any failure in either region that is not transient: refused.
//   - The primary's value, else the failover region's.
//   - Transient failures in both: both are named.
func choose(primary, failover *answer) (*answer, []error) {
	switch {
	case primary.err != nil && (failover == nil || !transient(primary.err)):
		return nil, []error{primary.err}
	case failover != nil && failover.err != nil && !transient(failover.err):
		return nil, []error{primary.err, failover.err}
	case primary.err == nil:
		return primary, nil
	case failover.err == nil:
		return failover, nil
	default:
		return nil, []error{primary.err, failover.err}
	}
}

// outdates reports whether a value of the failover region may no longer be served from memory, as the primary
// region, whose record r is, has refused a read since.
func (r record) outdates(failover record) bool { return !r.refused.Before(failover.asked) }

// backedOff reports whether a republish answers the last failure again rather than ask AWS again.
// A first mount always asks: the kubelet spaces those itself.
func (r record) backedOff(v visit) bool {
	return !v.first && r.err != nil && v.arrived.Before(r.retry)
}

// hurries reports whether v need not wait for all the attempts of a read: another region can stand in for it, or
// the last known value r.
func (r record) hurries(v visit, now time.Time, maxStale time.Duration) bool {
	return v.failover || r.stale(v, &fault.Error{Kind: fault.Transient}, now, maxStale)
}

// stale reports whether a first mount may be given r's value although the read just failed with err:
// the failure is transient and no denial, and the value is at most maxStale old.
// A republish never is: its files stand already, and the failure has to be seen.
func (r record) stale(v visit, err error, now time.Time, maxStale time.Duration) bool {
	return v.first && transient(err) && !r.asked.IsZero() && now.Sub(r.asked) <= maxStale
}

// succeeded is the record after a read, begun at asked, that gave got.
func (r record) succeeded(got value, asked time.Time) record {
	if asked.Before(r.asked) || asked.Before(r.refused) {
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
	if !now.Before(r.retry) { // first mounts fail in between: they say nothing new of how long it lasts
		r.failures++
		wait := min(firstBackOff<<min(r.failures-1, 10), maxBackOff)
		r.retry = now.Add(scale(wait, spread()))
	}
	if !transient(err) {
		r.refused = asked
		return r.emptied()
	}
	return r
}

// emptied is the record without its value, which may not be served any more.
func (r record) emptied() record {
	r.value, r.asked = value{}, time.Time{}
	return r
}

// spread is a random factor of ± 10 %.
func spread() float64 { return 0.9 + 0.2*rand.Float64() } //nolint:gosec // spreads load, guards nothing

func scale(d time.Duration, factor float64) time.Duration { return time.Duration(float64(d) * factor) }
