package provider

import (
	"context"
	"slices"
	"sync"
	"time"

	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/volume"
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
	value   volume.Value
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

// missing reports whether the value needs a new read.
func (p pendingRead) missing() bool { return p.err == nil && p.inFlight == nil && !p.fresh }

// regionReads are the values that a request waits for in one region.
type regionReads struct {
	region  string
	pending []pendingRead
	need    int64 // memory that the reads that have not started wait for, in bytes; 0: all have started
}

// start starts the reads of targets, region by region: those of one region stand together.
func (s *sharedReads) start(ctx context.Context, req Request, targets []target, m mount) []regionReads {
	var reads []regionReads
	for len(targets) > 0 {
		end := slices.IndexFunc(targets, func(t target) bool { return t.region != targets[0].region })
		if end < 0 {
			end = len(targets)
		}
		reads = append(reads, s.startIn(ctx, req, targets[:end], m))
		targets = targets[end:]
	}
	return reads
}

// startIn decides for each target of a region, all at one moment, whether the cache serves it, whether a read in flight
// does, or whether a new read starts. A read goes on when its request ends: others may wait for it.
//
// The request reserves the memory for new reads before they start. So a read in flight never waits for memory, and a
// request that joined it never waits for the memory of another one. Without free memory the new reads are left to wait.
func (s *sharedReads) startIn(ctx context.Context, req Request, targets []target, m mount) regionReads {
	s.mu.Lock()
	defer s.mu.Unlock()
	reads := regionReads{region: targets[0].region}
	reads.pending, reads.need = s.findAll(req, targets, m)
	if reads.need == 0 {
		s.join(reads.pending)
	} else if memory := req.Memory.TryReserve(reads.region, reads.need); memory != nil {
		s.begin(ctx, req, &reads, memory, m)
	}
	return reads
}

// startLate starts the reads that startIn had no memory for. Without memory in time they fail: another region or the
// last known value can then stand in for those that accept a short timeout.
func (s *sharedReads) startLate(ctx context.Context, req Request, reads *regionReads, m mount) {
	memory, err := reserveInTime(ctx, req, reads, s.breaker.shortTimeoutIn(reads.region, m))
	s.breaker.record(reads.region, false, err != nil && ctx.Err() == nil) // reads that do not end have the memory
	s.mu.Lock()
	defer s.mu.Unlock()
	targets := make([]target, len(reads.pending))
	for i, p := range reads.pending {
		targets[i] = p.target
	}
	reads.pending, reads.need = s.findAll(req, targets, m) // others may have started the same reads
	if err == nil {
		s.begin(ctx, req, reads, memory, m)
		return
	}
	err = fault.NoMemory("cannot read the values of the volume", err)
	for i := range reads.pending {
		if p := &reads.pending[i]; p.missing() {
			p.err = err
		}
	}
	s.join(reads.pending)
}

// reserveInTime waits for memory until shortly before ctx ends, so that the reason goes out in time, or for the short
// timeout where all reads accept that.
func reserveInTime(ctx context.Context, req Request, reads *regionReads, short time.Duration) (*bytebudget.Reservation, error) {
	const spare = 100 * time.Millisecond
	if deadline, ok := ctx.Deadline(); ok {
		early, cancel := context.WithDeadline(ctx, deadline.Add(-spare))
		defer cancel()
		ctx = early
	}
	if !slices.ContainsFunc(reads.pending, func(p pendingRead) bool { return p.missing() && !p.acceptsShort }) {
		early, cancel := context.WithTimeout(ctx, short)
		defer cancel()
		ctx = early
	}
	return req.Memory.Reserve(ctx, reads.region, reads.need)
}

// join has a request wait for the reads in flight that it found. s.mu is held.
func (s *sharedReads) join(pending []pendingRead) {
	for i := range pending {
		switch p := &pending[i]; {
		case p.err != nil:
		case p.inFlight != nil:
			p.joined, p.inFlight.shared = true, true
		case p.fresh:
			p.target.count(p.known.value)
		}
	}
}

// begin starts the reads that are missing, with the memory for them. s.mu is held.
func (s *sharedReads) begin(ctx context.Context, req Request, reads *regionReads, memory *bytebudget.Reservation, m mount) {
	reads.need = 0
	s.join(reads.pending)
	var started []*inFlightRead
	for i := range reads.pending {
		p := &reads.pending[i]
		if !p.missing() || s.startedBefore(p, m) { // for an equal target
			continue
		}
		p.inFlight = &inFlightRead{target: p.target, tenant: req.Tenant, started: s.now(), short: p.acceptsShort, done: make(chan struct{})}
		s.inFlight[p.target.key] = p.inFlight
		started = append(started, p.inFlight)
	}
	if len(started) == 0 {
		memory.Close(0)
		return
	}
	req.Memory.Hold()
	go s.read(ctx, req, started, memory, m)
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
		pending[i] = s.find(t, m)
		if pending[i].missing() {
			need += t.maxBytes()
		}
	}
	return pending, min(need, int64(req.MaxBytes+callsPerVolume(m)*maxSecretBytes))
}

// find says how m can get t without a new read: fresh from the cache, as a failure that is backed off, or from an
// in-flight read. s.mu is held.
func (s *sharedReads) find(t target, m mount) pendingRead {
	known := s.cache.record(t)
	p := pendingRead{target: t, known: known, acceptsShort: known.acceptsShort(m, s.now(), s.maxStale)}
	other := s.inFlight[t.key]
	switch {
	case t.optional && known.absentFor(m):
		p.fresh, p.known = true, record{value: volume.Value{Absent: true}, read: known.refused}
	case known.fresh(m, t.pinned()):
		p.fresh = true
	case known.backedOff(m) && (!t.optional || !known.notFound): // an optional object may come at any time
		p.err = known.err
	case other != nil && mayJoin(other.started, other.short, p.acceptsShort, m):
		p.inFlight = other
	}
	return p
}

// complete puts the outcome of a read into the cache, then wakes the requests that wait for it.
func (s *sharedReads) complete(r *inFlightRead, m mount, got volume.Value, err error) {
	r.value, r.err = got, err
	if err == nil {
		r.target.count(got)
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

// wait waits for reads that have started, and gives the responses in the order of their targets.
func (s *sharedReads) wait(ctx context.Context, req Request, started []regionReads, m mount) []response {
	var responses []response
	for _, reads := range started {
		responses = append(responses, s.waitIn(ctx, req, reads, m)...)
	}
	return responses
}

// waitIn waits for the reads of one region.
func (s *sharedReads) waitIn(ctx context.Context, req Request, reads regionReads, m mount) []response {
	if reads.need > 0 {
		s.startLate(ctx, req, &reads, m)
	}
	// Reads that others started may take longer than m's own would.
	short, cancel := context.WithTimeout(ctx, s.breaker.shortTimeout(m)+failoverGrace)
	defer cancel()
	responses := make([]response, len(reads.pending))
	for i, p := range reads.pending {
		r := p.wait(ctx, short)
		if p.target.optional && fault.KindOf(r.err) == fault.NotFound && r.err != nil {
			r.value, r.err = volume.Value{Absent: true}, nil
		}
		if p.joined && r.err == nil {
			p.target.count(r.value)
		}
		responses[i] = r
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
