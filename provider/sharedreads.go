package provider

import (
	"context"
	"slices"
	"sync"
	"time"

	"secrets-provider-aws/internal/bytebudget"
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
	fresh        bool // known serves it
	err          error
	inFlight     *inFlightRead
	joined       bool // another request has started it
	acceptsShort bool // something else can stand in for the value
}

// start decides for each target, all at one moment, whether the cache serves it, whether a read in flight does,
// or whether a new read starts. A read goes on when its request ends: others may wait for it.
//
// The request takes the memory for new reads before. So a read in flight never waits for memory, and a request that
// joined it never waits for the memory of another one.
func (s *sharedReads) start(ctx context.Context, req Request, targets []target, m mount) ([]pendingRead, error) {
	s.mu.Lock()
	pending, reserved := s.findAll(req, targets, m)
	if reserved > 0 {
		s.mu.Unlock()
		if err := growInTime(ctx, req.Memory, reserved); err != nil {
			return nil, noMemory("cannot read the values of the volume", err)
		}
		s.mu.Lock()
		pending, _ = s.findAll(req, targets, m) // others may have started the same reads
	}
	defer s.mu.Unlock()
	var started []*inFlightRead
	for i := range pending {
		p := &pending[i]
		switch {
		case p.err != nil:
		case p.inFlight != nil:
			p.joined, p.inFlight.shared = true, true
		case p.fresh:
			p.target.size.add(p.target, p.known.value)
		case s.startedBefore(p, m): // for an equal target
		default:
			p.inFlight = &inFlightRead{target: p.target, tenant: req.Tenant, started: s.now(), short: p.acceptsShort, done: make(chan struct{})}
			s.inFlight[p.target.key] = p.inFlight
			started = append(started, p.inFlight)
		}
	}
	if len(started) == 0 {
		req.Memory.Shrink(reserved)
		return pending, nil
	}
	req.Memory.Hold()
	go s.read(ctx, req, started, reserved, m)
	return pending, nil
}

// startedBefore has p join a read that has just started, and reports whether there is one. s.mu is held.
func (s *sharedReads) startedBefore(p *pendingRead, m mount) bool {
	if again := s.find(p.target, m); again.inFlight != nil {
		p.inFlight, p.joined, again.inFlight.shared = again.inFlight, true, true
	}
	return p.inFlight != nil
}

// findAll finds every target, and says how much memory the reads that are missing need at most, in bytes: reading stops
// once a volume cannot fit. s.mu is held.
func (s *sharedReads) findAll(req Request, targets []target, m mount) (pending []pendingRead, need int64) {
	pending = make([]pendingRead, len(targets))
	for i, t := range targets {
		p := s.find(t, m)
		if p.err == nil && p.inFlight == nil && !p.fresh {
			need += t.maxBytes()
		}
		pending[i] = p
	}
	return pending, min(need, int64(req.MaxBytes)+callLimit*maxSecretBytes)
}

// find says how m can get t without a new read: fresh from the cache, as a failure that is backed off, or from an
// in-flight read. s.mu is held.
func (s *sharedReads) find(t target, m mount) pendingRead {
	known := s.cache.record(t)
	p := pendingRead{target: t, known: known, acceptsShort: known.acceptsShort(m, s.now(), s.maxStale)}
	other := s.inFlight[t.key]
	switch {
	case known.fresh(m, t.pinned()):
		p.fresh = true
	case known.backedOff(m):
		p.err = known.err
	case other != nil && mayJoin(other.started, other.short, p.acceptsShort, m):
		p.inFlight = other
	}
	return p
}

// growInTime waits for memory until shortly before ctx ends, so that the reason goes out in time.
func growInTime(ctx context.Context, memory *bytebudget.Account, bytes int64) error {
	const spare = 100 * time.Millisecond
	if deadline, ok := ctx.Deadline(); ok {
		early, cancel := context.WithDeadline(ctx, deadline.Add(-spare))
		defer cancel()
		ctx = early
	}
	return memory.Grow(ctx, bytes)
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
