package server

import (
	"fmt"
	"testing"
	"time"

	"secrets-provider-aws/internal/fault"
)

var errOutage = &fault.Error{Kind: fault.Transient, What: "outage"}

// A node with far more volumes than there may be forgets those with the oldest requests.
func TestI13_TrackedVolumesAreBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	r := newRefreshes(func() time.Time { return now })
	for i := range 2 * maxTracked {
		now = now.Add(time.Millisecond)
		r.record(request{key: fmt.Sprint(i), arrived: now})
	}
	if len(r.volumes) != maxTracked {
		t.Errorf("%d volumes are tracked, want %d", len(r.volumes), maxTracked)
	}
	for i, want := range map[int]phase{maxTracked - 1: firstMount, maxTracked: republish} {
		if got, _ := r.record(request{key: fmt.Sprint(i), arrived: now, err: errOutage}); got != want {
			t.Errorf("volume %d: a request has the phase %s, want %s", i, phaseNames[got], phaseNames[want])
		}
	}
	now = now.Add(time.Hour)
	r.record(request{key: "new", arrived: now})
	if len(r.volumes) != 1 {
		t.Errorf("%d volumes are tracked after all others are gone, want 1", len(r.volumes))
	}
}

// Requests that say nothing about the volume change nothing: their caller gave up, or a newer one has ended before.
func TestI13_RequestsThatSayNothingAreLeftOut(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	r := newRefreshes(func() time.Time { return now })
	r.record(request{key: "a", arrived: now})
	r.record(request{key: "a", arrived: now.Add(time.Minute)})
	for name, q := range map[string]request{
		"the caller gave up":      {key: "a", arrived: now.Add(2 * time.Minute), err: errOutage, gone: true},
		"a newer one has ended":   {key: "a", arrived: now.Add(30 * time.Second), err: errOutage},
		"it belongs to no volume": {arrived: now.Add(2 * time.Minute), err: errOutage},
	} {
		if _, changes := r.record(q); len(changes) > 0 || len(r.summary().failing) > 0 {
			t.Errorf("%s: %v, %v, want no failing volume", name, changes, r.summary().failing)
		}
	}
}
