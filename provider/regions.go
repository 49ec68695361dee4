package provider

import (
	"context"
	"log/slog"
	"time"

	"secrets-provider-aws/internal/fault"
)

// regions reads the values of volumes, each volume's from one region.
type regions struct {
	reads    *sharedReads
	cache    *cache
	maxStale time.Duration
	now      func() time.Time
	log      *slog.Logger
}

// read gives all values of a plan from one region, or says of each that failed why.
func (g *regions) read(ctx context.Context, req Request, p plan, m mount) (regionValues, error) {
	started := g.reads.start(ctx, req, p.primary, m)
	var second []regionReads
	if m.readsBoth() {
		second = g.reads.start(ctx, req, p.failover, m)
	}
	primary := regionValues{region: req.Class.Region, responses: g.reads.wait(ctx, req, started, m)}
	failover := g.readFailover(ctx, req, p, m, primary.errors(), second)
	if err := p.exceeded(); err != nil {
		return regionValues{}, err
	}
	from, errs := choose(&primary, failover)
	if from == nil {
		return g.lastKnown(ctx, p, m, fault.Join(errs), primary, failover)
	}
	if from == failover {
		from.instead = fault.Join(primary.errors())
		g.log.LogAttrs(ctx, slog.LevelWarn, "the primary region failed, served from the failover region",
			slog.String("region", primary.region), slog.String("failover_region", failover.region),
			slog.Int("values", len(from.responses)), slog.String("error", from.instead.Error()))
	}
	return *from, nil
}

// readFailover gives what the failover region has for a volume: nil where the class names none, or where it is
// not needed. failures are those of the primary region; started is nil where the failover region is not yet read.
func (g *regions) readFailover(ctx context.Context, req Request, p plan, m mount, failures []error, started []regionReads) *regionValues {
	switch {
	case !m.failover || refusal(failures) || ctx.Err() != nil:
		return nil
	case len(failures) == 0 && (len(started) == 0 || started[0].need > 0): // a republish that the primary region serves, or no free memory
		return nil
	case len(failures) == 0: // a first mount: a mistake in the failover region must show
		grace, cancel := context.WithTimeout(ctx, failoverGrace)
		defer cancel()
		ctx = grace
	case started == nil:
		started = g.reads.start(ctx, req, p.failover, m)
	}
	values := regionValues{region: req.Class.FailoverRegion, failover: true, responses: g.reads.wait(ctx, req, started, m)}
	for i, r := range values.responses {
		values.responses[i].err = inFailover(r.err, values.region, failures)
	}
	return &values
}
