package provider

import (
	"context"
	"slices"
	"sync"
	"time"

	"secrets-provider-aws/internal/fault"
)

// sharedReads gives values from the cache or from AWS. Equal in-flight reads of one owner are
// one read.
type sharedReads struct {
	cache    *cache
	breaker  *breaker
	backend  *backend
	now      func() time.Time
	maxStale time.Duration

	mu       sync.Mutex
	inFlight map[key]*inFlightRead // the newest of each key
}

func newSharedReads(c *cache, b *breaker, aws *backend, maxStale time.Duration, now func() time.Time) *sharedReads {
	return &sharedReads{cache: c, breaker: b, backend: aws, now: now, maxStale: maxStale, inFlight: map[key]*inFlightRead{}}
}

// inFlightRead is a read that has started. done is closed when value and err are set.
type inFlightRead struct {
	target  target
	tenant  string
	started time.Time
	short   bool // it has the short timeout, because something else can stand in for it
	shared  bool // other requests wait for it too; guarded by sharedReads.mu
	done    chan struct{}
	value   value
	err     error
}

// pendingRead is one value that a mount request waits for: known already, failed already, or in-flight.
type pendingRead struct {
	target       target
	known        record
	err          error
	inFlight     *inFlightRead
	joined       bool // another request has started it
	acceptsShort bool // something else can stand in for the value
}

// start decides for each target, all at one moment, whether the cache serves it, whether an in-flight read does,
// or whether a new read starts. A read goes on when its request ends: others may wait for it.
func (s *sharedReads) start(ctx context.Context, req Request, targets []target, m mount) []pendingRead {
	pending := make([]pendingRead, len(targets))
	var started []*inFlightRead
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, t := range targets {
		known := s.cache.record(t)
		p := pendingRead{target: t, known: known, acceptsShort: known.acceptsShort(m, s.now(), s.maxStale)}
		other := s.inFlight[t.key]
		switch {
		case known.fresh(m, t.pinned()):
			t.size.add(t, known.value)
		case known.backedOff(m):
			p.err = known.err
		case other != nil && mayJoin(other.started, other.short, p.acceptsShort, m):
			p.inFlight, p.joined, other.shared = other, true, true
		default:
			p.inFlight = &inFlightRead{target: t, tenant: req.Tenant, started: s.now(), short: p.acceptsShort, done: make(chan struct{})}
			s.inFlight[t.key] = p.inFlight
			started = append(started, p.inFlight)
		}
		pending[i] = p
	}
	if len(started) > 0 {
		req.Memory.Hold()
		go s.read(ctx, req, started, m)
	}
	return pending
}

// complete puts the outcome of a read into the cache, then wakes the requests that wait for it.
func (s *sharedReads) complete(r *inFlightRead, m mount, got value, err error) {
	r.value, r.err = got, err
	if err == nil {
		r.target.size.add(r.target, got)
	}
	s.cache.update(r.tenant, r.target.key, m.interval, func(known record) record {
		if err != nil {
			return known.failed(err, r.started, s.now())
		}
		return known.succeeded(got, r.started)
	})
	s.mu.Lock()
	if s.inFlight[r.target.key] == r {
		delete(s.inFlight, r.target.key)
	}
	s.mu.Unlock()
	close(r.done)
}

// wanted leaves out reads that nobody needs any more: their volume is too large, and no other request waits for them.
// It completes these without an outcome.
func (s *sharedReads) wanted(reads []*inFlightRead) []*inFlightRead {
	return slices.DeleteFunc(reads, func(r *inFlightRead) bool {
		select {
		case <-r.target.size.exceeded:
		default:
			return false
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.shared {
			return false
		}
		if s.inFlight[r.target.key] == r {
			delete(s.inFlight, r.target.key)
		}
		close(r.done)
		return true
	})
}

// completed reports whether r is done.
func (r *inFlightRead) completed() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// wait waits for the reads of one region.
func (s *sharedReads) wait(ctx context.Context, pending []pendingRead, m mount) []response {
	// Reads that others started may take longer than m's own would.
	short, cancel := context.WithTimeout(ctx, s.breaker.shortTimeout(m)+failoverGrace)
	defer cancel()
	responses := make([]response, len(pending))
	for i, p := range pending {
		responses[i] = p.wait(ctx, short)
		if p.joined && responses[i].err == nil {
			p.target.size.add(p.target, responses[i].value)
		}
	}
	return responses
}

// wait gives the value. short ends the wait for a read that has the full timeout where p accepts the short one.
func (p pendingRead) wait(ctx, short context.Context) response {
	switch {
	case p.err != nil:
		return response{err: p.err}
	case p.inFlight == nil:
		return response{value: p.known.value, read: p.known.read, source: sourceCache}
	}
	if p.acceptsShort && !p.inFlight.short {
		ctx = short
	}
	select {
	case <-p.target.size.exceeded:
		return response{} // the volume is refused
	case <-p.inFlight.done:
		return response{value: p.inFlight.value, err: p.inFlight.err, read: p.inFlight.started, source: sourceAWS}
	case <-ctx.Done():
		return response{err: &fault.Error{
			Kind: fault.Transient, What: p.target.what(), Region: p.target.region, Why: fault.Late, Hint: fault.RetryHint, Cause: ctx.Err(),
		}}
	}
}
