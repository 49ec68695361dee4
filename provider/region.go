package provider

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"secrets-provider-aws/internal/fault"
)

// region gives all values of a plan from one region, or says of each that failed why.
func (f *Fetcher) region(ctx context.Context, req Request, p plan, m mount) (regionValues, error) {
	targets := p.primary
	if m.readsBoth() {
		targets = slices.Concat(p.primary, p.failover)
	}
	pending := f.reads.start(ctx, req, targets, m)
	primary := f.collect(ctx, req.Class.Region, pending[:len(p.primary)], m)
	failover := f.failover(ctx, req, p, m, primary.errors(), pending[len(p.primary):])
	from, errs := choose(&primary, failover)
	if from == nil {
		return f.lastKnown(ctx, p, m, fault.Join(errs), primary, failover)
	}
	if from == failover {
		f.log.LogAttrs(ctx, slog.LevelWarn, "the primary region failed, served from the failover region",
			slog.String("region", primary.region), slog.String("failover_region", failover.region),
			slog.Int("values", len(from.responses)), slog.String("error", fault.Join(primary.errors()).Error()))
	}
	return *from, nil
}

// failover gives what the failover region has for a volume: nil where the class names none, or where it is
// not needed. failures are those of the primary region, pending the reads of the failover region that have
// started already.
func (f *Fetcher) failover(ctx context.Context, req Request, p plan, m mount, failures []error, pending []pendingRead) *regionValues {
	switch {
	case !m.failover || refusal(failures) || ctx.Err() != nil:
		return nil
	case len(failures) == 0 && len(pending) == 0: // a republish that the primary region serves
		return nil
	case len(failures) == 0: // a first mount: a mistake in the failover region has to show
		grace, cancel := context.WithTimeout(ctx, failoverGrace)
		defer cancel()
		ctx = grace
	case len(pending) == 0:
		pending = f.reads.start(ctx, req, p.failover, m)
	}
	values := f.collect(ctx, req.Class.FailoverRegion, pending, m)
	values.failover = true
	for i, r := range values.responses {
		values.responses[i].err = inFailover(r.err, values.region, failures)
	}
	return &values
}

// collect waits for the reads of one region.
func (f *Fetcher) collect(ctx context.Context, region string, pending []pendingRead, m mount) regionValues {
	// Reads that others started may take longer than m's own would.
	short, cancel := context.WithTimeout(ctx, f.reads.breaker.shortTimeout(m)+failoverGrace)
	defer cancel()
	values := regionValues{region: region, responses: make([]response, len(pending))}
	for i, r := range pending {
		values.responses[i] = r.wait(ctx, short)
	}
	return values
}

// inFailover marks a failure as the failover region's, unless the primary region's is the same: the
// credentials for both come from one place.
func inFailover(err error, region string, primary []error) error {
	e := (*fault.Error)(nil)
	same := func(other error) bool { return other.Error() == err.Error() }
	if !errors.As(err, &e) || e.Region != region || slices.ContainsFunc(primary, same) {
		return err
	}
	marked := *e
	marked.Failover = true
	return &marked
}

// lastKnown gives what a first mount may have although AWS failed with err: all values of the primary region,
// else all values of the failover region, each of them just read or the last known. Otherwise it gives err.
func (f *Fetcher) lastKnown(ctx context.Context, p plan, m mount, err error, primary regionValues, failover *regionValues) (regionValues, error) {
	if ctx.Err() != nil || !m.first || !transient(err) {
		return regionValues{}, err
	}
	from, ok := f.filled(primary, p.primary, m)
	if !ok && failover != nil {
		from, ok = f.filled(*failover, p.failover, m)
	}
	if !ok {
		return regionValues{}, err
	}
	oldest, stale := time.Duration(0), 0
	for _, r := range from.responses {
		if r.source == sourceStale {
			oldest, stale = max(oldest, f.now().Sub(r.read)), stale+1
		}
	}
	f.log.LogAttrs(ctx, slog.LevelWarn, "AWS failed, served last known values", slog.String("region", from.region),
		slog.Int("values", stale), slog.Duration("oldest", oldest), slog.String("error", err.Error()))
	return from, nil
}

// filled is values with the last known value for each that failed. It reports whether that made them complete.
func (f *Fetcher) filled(values regionValues, targets []target, m mount) (regionValues, bool) {
	values.responses = slices.Clone(values.responses)
	for i, r := range values.responses {
		if r.err == nil {
			continue
		}
		known := f.cache.record(targets[i])
		if !known.stale(m, r.err, f.now(), f.maxStale) {
			return regionValues{}, false
		}
		values.responses[i] = response{value: known.value, read: known.read, source: sourceStale}
	}
	return values, true
}
