package provider

import (
	"slices"
	"time"

	"secrets-provider-aws/internal/fault"
)

// This file is the failover rule: all values of a volume come from one region. A user name of one
// region beside the password of another is a broken pair.

// regionValues is what one region gave for all values of a volume, in the order of the plan.
type regionValues struct {
	region    string
	failover  bool // it is the failover region
	responses []response
	instead   error // the failure that these values stand in for; nil where there was none
}

// oldest is when the value was read that was read longest ago, of those that can change.
func (v regionValues) oldest(p plan) time.Time {
	var oldest time.Time
	for i, r := range v.responses {
		if !p.primary[i].pinned() && !r.read.IsZero() && (oldest.IsZero() || r.read.Before(oldest)) {
			oldest = r.read
		}
	}
	return oldest
}

// regionOf is where the value of a target in the primary region came from. An object may have a region of its own.
func (v regionValues) regionOf(primary target) string {
	if v.failover {
		return v.region
	}
	return primary.region
}

// sources counts the values by where they came from.
func (v regionValues) sources() Sources {
	var s Sources
	for _, r := range v.responses {
		switch {
		case r.source == sourceStale:
			s.Stale++
		case v.failover:
			s.Failover++
		case r.source == sourceCache:
			s.Cached++
		default:
			s.Read++
		}
	}
	return s
}

// errors are those of the values that the region did not give.
func (v regionValues) errors() []error {
	var errs []error
	for _, r := range v.responses {
		if r.err != nil {
			errs = append(errs, r.err)
		}
	}
	return errs
}

// transient reports whether err is a failure that the other region may stand in for. Everything else is a
// response: who is denied in one region is not served from the other.
func transient(err error) bool { return err != nil && fault.KindOf(err) == fault.Transient }

// refusal reports whether one of errs is not transient.
func refusal(errs []error) bool {
	return slices.ContainsFunc(errs, func(err error) bool { return !transient(err) })
}

// choose decides from which region a volume gets its values, or why from neither. failover is nil where that
// region was not read; a value that did not come in time is a transient failure.
//
//   - Any failure in either region that is not transient: refused, with every failure named.
//   - All values of the primary region, else all values of the failover region.
//   - Transient failures in both: refused, with the causes of both.
func choose(primary, failover *regionValues) (*regionValues, []error) {
	errs := primary.errors()
	if failover == nil || refusal(errs) {
		if len(errs) > 0 {
			return nil, errs
		}
		return primary, nil
	}
	others := failover.errors()
	switch {
	case refusal(others):
		return nil, slices.Concat(errs, others)
	case len(errs) == 0:
		return primary, nil
	case len(others) == 0:
		return failover, nil
	default:
		return nil, slices.Concat(errs, others)
	}
}
