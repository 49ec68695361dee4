package provider

import (
	"time"

	"github.com/maypok86/otter/v2"
)

// breaker is a circuit breaker for regions: one that let every read of a request time out is unhealthy for
// half a minute, or until it responds, and reads that something else can stand in for wait less for it.
// Otherwise the pods of a node that starts would wait one after the other.
type breaker struct {
	unhealthy     *recentNames
	regionTimeout time.Duration // for one of two regions
}

// Timeouts of reads that another region or the last known value can stand in for.
const (
	// defaultRegionTimeout is for one of two regions: one attempt's timeout, however many attempts fit into it.
	// A volume with one region and no last known values waits for all attempts.
	defaultRegionTimeout = 5 * time.Second
	// failoverGrace is how much longer than the primary region the failover region may take at a first mount.
	failoverGrace = time.Second
	// staleTimeout is for a first mount whose last known values can stand in.
	staleTimeout = 10 * time.Second
	// unhealthyTimeout is for a region that was unhealthy within the last unhealthyPeriod.
	unhealthyTimeout = time.Second
	unhealthyPeriod  = 30 * time.Second
)

// maxUnhealthy bounds the regions that are remembered: pod authors choose their names.
const maxUnhealthy = 64

func newBreaker(regionTimeout time.Duration, now func() time.Time) (*breaker, error) {
	unhealthy, err := newRecentNames(maxUnhealthy, otter.ExpiryWriting[string, struct{}](unhealthyPeriod), now)
	if err != nil {
		return nil, err
	}
	return &breaker{unhealthy: unhealthy, regionTimeout: regionTimeout}, nil
}

// shortTimeout is how long m's reads with a short timeout may take in a healthy region.
func (b *breaker) shortTimeout(m mount) time.Duration {
	if m.failover {
		return b.regionTimeout
	}
	return staleTimeout
}

// shortTimeoutIn is the same in a region that may be unhealthy.
func (b *breaker) shortTimeoutIn(region string, m mount) time.Duration {
	if b.unhealthy.contains(region) {
		return min(b.shortTimeout(m), unhealthyTimeout)
	}
	return b.shortTimeout(m)
}

// record marks region as healthy after any response, and as unhealthy when every read timed out.
func (b *breaker) record(region string, responded, timedOut bool) {
	switch {
	case responded:
		b.unhealthy.remove(region)
	case timedOut:
		b.unhealthy.add(region)
	}
}
