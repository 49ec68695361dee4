package server

import (
	"sync"
	"time"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider"
)

// phase tells the mount of a pod that starts from the republishes while the pod runs.
type phase int

const (
	firstMount phase = iota
	republish
)

var phaseNames = [...]string{firstMount: "first", republish: "republish"}

// Bounds of the memory of volumes.
const (
	maxTracked = 4096             // far more than the pods of a node have
	minPresent = 5 * time.Minute  // see present
	maxPresent = 60 * time.Minute // the same
)

// refreshes remembers the volumes that were mounted, and how their last refresh went. It is the only place that knows
// which volumes have old values: the driver hides a failed republish from the pod.
type refreshes struct {
	now func() time.Time

	mu          sync.Mutex
	volumes     map[string]*tracked // by volume.key
	lastSuccess time.Time           // when the last republish of any volume succeeded; zero: none did
}

// tracked is one volume that was mounted at least once.
type tracked struct {
	seen        time.Time     // when its last request arrived
	gap         time.Duration // between its last two requests; 0 before the second
	republished bool          // the driver refreshes it
	oldest      time.Time     // provider.Result.Oldest of the last success
	failover    bool          // the last success had values of the failover region
	stale       bool          // the last success had last known values
	failing     time.Time     // when the first republish after the last success failed; zero: the last one succeeded
	reason      fault.Kind    // of the last failure, while failing
}

func newRefreshes(now func() time.Time) *refreshes {
	return &refreshes{now: now, volumes: map[string]*tracked{}}
}

// request is one mount request and its result.
type request struct {
	key     string // volume.key; empty for a request that belongs to no volume, or was refused before its token was read
	arrived time.Time
	result  provider.Result // of a success
	err     error
	gone    bool // the caller gave up: the error says nothing of the volume
}

// change is something that the owner of a pod should know, and that its files do not show.
type change struct {
	what   changeKind
	failed time.Duration // of refreshRecovered: how long the refresh had been failing
}

type changeKind int

const (
	refreshFailed changeKind = iota
	refreshRecovered
	servedStale
	servedFromFailover
)

// record notes the result of a request, and tells its phase and what it changes for the volume. A request for a volume
// without a success is a first mount, and nothing is known of its volume before it succeeds.
func (r *refreshes) record(q request) (phase, []change) {
	if q.key == "" {
		return firstMount, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	v, known := r.volumes[q.key]
	switch {
	case !known && q.err != nil:
		return firstMount, nil
	case !known:
		r.makeRoom()
		v = &tracked{seen: q.arrived}
		r.volumes[q.key] = v
		return firstMount, v.succeeded(q.arrived, q.result)
	case q.gone || q.arrived.Before(v.seen): // a slower request that has been overtaken says nothing new
		return republish, nil
	}
	v.gap, v.seen, v.republished = q.arrived.Sub(v.seen), q.arrived, true
	if q.err != nil {
		return republish, v.failed(q.arrived, fault.KindOf(q.err))
	}
	r.lastSuccess = r.now()
	return republish, v.succeeded(q.arrived, q.result)
}

func (v *tracked) failed(at time.Time, reason fault.Kind) []change {
	before := v.failing
	if before.IsZero() {
		v.failing = at
	}
	if !before.IsZero() && v.reason == reason {
		return nil
	}
	v.reason = reason
	return []change{{what: refreshFailed}}
}

func (v *tracked) succeeded(at time.Time, got provider.Result) []change {
	var changes []change
	if !v.failing.IsZero() {
		changes = append(changes, change{what: refreshRecovered, failed: at.Sub(v.failing)})
	}
	stale, failover := got.Stale > 0, got.Failover > 0
	if stale && !v.stale {
		changes = append(changes, change{what: servedStale})
	}
	if failover && !v.failover {
		changes = append(changes, change{what: servedFromFailover})
	}
	v.failing, v.stale, v.failover, v.oldest = time.Time{}, stale, failover, got.Oldest
	return changes
}

// present reports whether the volume is probably still mounted: the driver does not say when a pod ends. Its requests
// come about every minute or, where they come more rarely, at about equal times.
func (v *tracked) present(now time.Time) bool {
	return now.Sub(v.seen) <= min(max(minPresent, 3*v.gap), maxPresent)
}

// makeRoom forgets volumes that are gone if there are too many, and if need be the one with the oldest request.
func (r *refreshes) makeRoom() {
	if len(r.volumes) < maxTracked {
		return
	}
	now, oldest := r.now(), ""
	for key, v := range r.volumes {
		if !v.present(now) {
			delete(r.volumes, key)
		} else if oldest == "" || v.seen.Before(r.volumes[oldest].seen) {
			oldest = key
		}
	}
	if len(r.volumes) >= maxTracked {
		delete(r.volumes, oldest)
	}
}

// summary is the state of all volumes that are present and that the driver refreshes.
type summary struct {
	refreshing  int
	failing     map[fault.Kind]failing // a kind without a volume is missing
	oldestValue time.Duration          // age of the value that was read longest ago
	failover    int                    // volumes with values of the failover region, those included that are not yet refreshed
	succeeded   time.Time              // when the last republish succeeded; zero: none did
}

// failing are the volumes whose refresh fails for one reason.
type failing struct {
	volumes int
	longest time.Duration // that the refresh of one of them has been failing
}

func (r *refreshes) summary() summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	s := summary{failing: map[fault.Kind]failing{}, succeeded: r.lastSuccess}
	for _, v := range r.volumes {
		if !v.present(now) {
			continue
		}
		if v.failover {
			s.failover++
		}
		if !v.republished {
			continue
		}
		s.refreshing++
		if !v.failing.IsZero() {
			f := s.failing[v.reason]
			s.failing[v.reason] = failing{f.volumes + 1, max(f.longest, now.Sub(v.failing))}
		}
		if !v.oldest.IsZero() {
			s.oldestValue = max(s.oldestValue, now.Sub(v.oldest))
		}
	}
	return s
}
