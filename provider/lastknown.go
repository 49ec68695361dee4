package provider

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"secrets-provider-aws/provider/volume"
)

// lastKnown gives what a first mount may have although AWS failed with err: all values of the primary region,
// else all values of the failover region, each of them just read or the last known. Otherwise it gives err.
func (g *regions) lastKnown(ctx context.Context, p plan, m mount, err error, primary regionValues, failover *regionValues) (regionValues, error) {
	if ctx.Err() != nil || !m.first || !transient(err) {
		return regionValues{}, err
	}
	regions := []regionValues{primary}
	if failover != nil {
		regions = append(regions, *failover)
	}
	for _, values := range regions {
		targets := p.primary
		if values.failover {
			targets = p.failover
		}
		from, oldest, ok := g.withLastKnown(values, targets, m)
		if !ok {
			continue
		}
		from.instead = err
		g.log.LogAttrs(ctx, slog.LevelWarn, "AWS failed, served last known values", slog.String("region", from.region),
			slog.Int("values", from.sources().Stale), slog.Duration("oldest", oldest), slog.String("error", err.Error()))
		return from, nil
	}
	return regionValues{}, err
}

// withLastKnown is values with the last known value for each that failed, and the age of the oldest of these. It
// reports whether that made them complete.
func (g *regions) withLastKnown(values regionValues, targets []target, m mount) (complete regionValues, oldest time.Duration, ok bool) {
	values.responses = slices.Clone(values.responses)
	for i, r := range values.responses {
		if r.err == nil {
			continue
		}
		known := g.cache.record(targets[i])
		switch {
		case known.stale(m, r.err, g.now(), g.maxStale):
		case targets[i].optional && known.staleAbsence(m, r.err, g.now(), g.maxStale):
			known = record{value: volume.Value{Absent: true}, read: known.refused}
		default:
			return regionValues{}, 0, false
		}
		values.responses[i] = response{value: known.value, read: known.read, source: sourceStale}
		oldest = max(oldest, g.now().Sub(known.read))
	}
	return values, oldest, true
}
