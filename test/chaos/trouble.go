package main

import (
	"sync"
	"time"
)

// troubles are the faults so far, with their times.
type troubles struct {
	mu      sync.Mutex
	windows []*window
	counts  map[kind]int
}

type window struct {
	kind     kind
	target   target
	from, to time.Time // to is zero while the fault lasts
	tail     time.Duration
}

func newTroubles() *troubles { return &troubles{counts: map[kind]int{}} }

// begin enters a fault. The function that it gives enters its end.
func (t *troubles) begin(f fault) (end func()) {
	w := &window{kind: f.kind, target: f.target, from: time.Now(), tail: tailOf(f)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.windows = append(t.windows, w)
	t.counts[f.kind]++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		w.to = time.Now()
	}
}

// tailOf is how long after its end a fault can still make calls fail.
func tailOf(f fault) time.Duration {
	switch f.kind {
	case awsHang, stsHang, netHalfOpen, netBlackHole, pause, longSilence:
		return 6 * time.Second // an attempt takes 5 s to give up
	case awsThrottle, stsThrottle:
		return 10 * time.Second // the SDK slows down, and speeds up again by and by
	default:
		return 2*time.Second + f.amount.Abs()
	}
}

// Faults that make AWS's answers fail transiently, and those that break connections to the provider.
var (
	outages = map[kind]bool{
		awsLatency: true, awsError: true, awsThrottle: true, awsHang: true, awsCut: true,
		stsLatency: true, stsError: true, stsThrottle: true, stsHang: true, stsCut: true,
		netCut: true, netDelay: true, netHalfOpen: true, netBlackHole: true, pause: true, longOutage: true, longSilence: true,
	}
	tears = map[kind]bool{kill: true, terminate: true, second: true, secondKilled: true}
)

// outage reports whether AWS may have failed transiently in a time.
func (t *troubles) outage(from, to time.Time) bool {
	return t.any(from.Add(-firstMountWindow), to, func(w *window) bool { return outages[w.kind] && w.target != toAPI })
}

// torn reports whether the provider's connections may have broken in a time.
func (t *troubles) torn(from, to time.Time) bool {
	return t.any(from, to, func(w *window) bool { return tears[w.kind] })
}

func (t *troubles) any(from, to time.Time, is func(*window) bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.windows {
		if is(w) && w.from.Before(to) && (w.to.IsZero() || w.to.Add(w.tail).After(from)) {
			return true
		}
	}
	return false
}
