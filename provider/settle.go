package provider

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"secrets-provider-aws/provider/fault"
)

// settle gets every value of a plan, from one region or the other, or says of each why not. Which region's
// it may be is said in freshness.go.
func (f *Fetcher) settle(ctx context.Context, req Request, p fetchPlan, v visit) ([]value, Sources, error) {
	asked := p.primary
	if v.asksBoth() {
		asked = slices.Concat(p.primary, p.failover)
	}
	wants := f.claim(ctx, req, asked, v)
	primary := f.await(ctx, wants[:len(p.primary)], v)
	failover := f.failover(ctx, req, p, primary, wants[len(p.primary):], v)

	var (
		values   = make([]value, len(primary))
		sources  Sources
		failures []error
		passed   error // of the primary region, where the failover region stands in
	)
	for i := range primary {
		taken, errs := choose(&primary[i], failover[i])
		switch {
		case taken == nil:
			known, ok := f.lastKnown(ctx, p, i, v, fault.Join(errs))
			if !ok {
				failures = append(failures, errs...)
				continue
			}
			taken = &answer{value: known}
			sources.Stale++
		case taken == failover[i]:
			sources.Failover++
			passed = primary[i].err
		case wants[i].flight == nil:
			sources.Cached++
		default:
			sources.Read++
		}
		values[i] = taken.value
	}
	if err := fault.Join(failures); err != nil {
		return nil, Sources{}, err
	}
	if passed != nil {
		f.log.LogAttrs(ctx, slog.LevelWarn, "the primary region does not answer, served from the failover region",
			slog.String("region", req.Class.Region), slog.String("failover_region", req.Class.FailoverRegion),
			slog.Int("values", sources.Failover), slog.String("error", passed.Error()))
	}
	return values, sources, nil
}

// await waits for the answers to wants, which are of one region.
func (f *Fetcher) await(ctx context.Context, wants []want, v visit) []answer {
	bounded, cancel := context.WithTimeout(ctx, f.patienceFor(v)+grace) // for reads that were begun by others, who wait longer than v
	defer cancel()
	answers := make([]answer, len(wants))
	for i, w := range wants {
		if w.flight != nil && w.hurries && !w.flight.hurried {
			answers[i] = w.await(bounded)
		} else {
			answers[i] = w.await(ctx)
		}
	}
	return answers
}

// failover gives the failover region's answers to values, nil for each that it was not asked for. wants are
// the claims to them where both regions were asked at once.
func (f *Fetcher) failover(ctx context.Context, req Request, p fetchPlan, primary []answer, wants []want, v visit) []*answer {
	answers := make([]*answer, len(primary))
	if !v.failover || ctx.Err() != nil {
		return answers
	}
	var (
		turned []int // values that the primary region does not give
		late   []want
		keys   []key
	)
	little, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for i, got := range primary {
		switch {
		case !v.asksBoth() && transient(got.err):
			turned, keys = append(turned, i), append(keys, p.failover[i])
		case transient(got.err):
			turned, late = append(turned, i), append(late, wants[i])
		case v.asksBoth() && got.err == nil:
			answers[i] = new(wants[i].await(little))
		}
	}
	if !v.asksBoth() {
		f.forgetOutdated(p, turned)
		late = f.claim(ctx, req, keys, v)
	}
	for n, got := range f.await(ctx, late, v) {
		answers[turned[n]] = &got
	}
	for i, got := range answers {
		if got != nil {
			got.err = inFailover(got.err, req.Class.FailoverRegion, primary[i].err)
		}
	}
	return answers
}

// inFailover says of a failure that it is the failover region's, unless it is the primary's too: credentials
// come once for both.
func inFailover(err error, region string, primary error) error {
	e := (*fault.Error)(nil)
	if !errors.As(err, &e) || e.Region != region || primary != nil && primary.Error() == err.Error() {
		return err
	}
	marked := *e
	marked.Failover = true
	return &marked
}

// forgetOutdated drops what is known of the failover region and older than the primary's last refusal.
func (f *Fetcher) forgetOutdated(p fetchPlan, values []int) {
	for _, i := range values {
		if f.memory.record(p.primary[i]).outdates(f.memory.record(p.failover[i])) {
			f.memory.empty(p.failover[i])
		}
	}
}

// lastKnown gives what a first mount may have of value i although AWS failed with err: the primary region's
// newest value, else the failover region's.
func (f *Fetcher) lastKnown(ctx context.Context, p fetchPlan, i int, v visit, err error) (value, bool) {
	if p.failover != nil {
		f.forgetOutdated(p, []int{i})
	}
	for _, k := range p.keys(i) {
		known := f.memory.record(k)
		if ctx.Err() == nil && known.stale(v, err, f.now(), f.maxStale) {
			f.log.LogAttrs(ctx, slog.LevelWarn, "AWS does not answer, served from memory", slog.String("object", k.name), slog.String("region", k.region),
				slog.Duration("age", f.now().Sub(known.asked)), slog.String("error", err.Error()))
			return known.value, true
		}
	}
	return value{}, false
}

// await waits for what a want brings.
func (w want) await(ctx context.Context) answer {
	switch {
	case w.err != nil:
		return answer{err: w.err}
	case w.flight == nil:
		return answer{value: w.known.value}
	}
	select {
	case <-w.flight.landed:
		return answer{value: w.flight.value, err: w.flight.err}
	case <-ctx.Done():
		return answer{err: &fault.Error{Kind: fault.Transient, What: w.key.what(), Region: w.key.region, Why: "no answer in time", Hint: fault.RetryHint, Cause: ctx.Err()}}
	}
}
