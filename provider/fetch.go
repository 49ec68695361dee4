package provider

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"

	"secrets-provider-aws/provider/class"
)

// Owner is the identity that values belong to, written so that no two are alike. It is the only key
// under which values are shared.
type Owner string

// Credentials are those of one owner. They are retrieved only when AWS has to be called.
type Credentials interface {
	aws.CredentialsProvider
	// Forget drops what Retrieve gave: AWS calls it expired.
	Forget()
}

// Request asks for the content of one volume.
type Request struct {
	Owner       Owner
	Volume      string // names the volume from its first mount to its last republish
	Class       class.Class
	Credentials Credentials
}

// Result is the content of a volume and where it came from.
type Result struct {
	Files []File
	Sources
}

// Sources counts the values of a volume by where they came from.
type Sources struct {
	Read     int // from AWS, by this request or an equal one at the same time
	Cached   int // from the cache, fresh
	Failover int // of the failover region, because the primary region failed
	Stale    int // last known values from the cache, because AWS failed
}

// Fetch gives the files of req, in the order in which its class lists them. It is all or nothing: the
// error is a *fault.Error that names every object that failed, not only the first.
//
// How old a value may be is decided in freshness.go, which region's values a volume gets in failover.go.
// Without batches Fetch calls GetSecretValue and GetParameters and nothing else.
func (f *Fetcher) Fetch(ctx context.Context, req Request) (Result, error) {
	m := mount{
		arrived: f.now(), first: !f.volumes.contains(req.Volume), failover: req.Class.FailoverRegion != "",
		interval: cmp.Or(req.Class.RefreshInterval, f.interval),
	}
	p := newPlan(req)
	from, err := f.region(ctx, req, p, m)
	if err != nil {
		return Result{}, err
	}
	made, err := files(req.Class.Objects, p.valueOf, from.responses)
	if err != nil {
		return Result{}, err
	}
	f.logSources(ctx, p, from)
	f.volumes.add(req.Volume)
	sources := from.sources()
	f.metrics.count(sources)
	return Result{Files: made, Sources: sources}, nil
}

// logSources logs at debug where each value came from and how old it is.
func (f *Fetcher) logSources(ctx context.Context, p plan, from regionValues) {
	if !f.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	for i, r := range from.responses {
		f.log.LogAttrs(ctx, slog.LevelDebug, "value", slog.String("object", p.primary[i].name), slog.String("region", from.region),
			slog.String("source", string(r.source)), slog.Duration("age", f.now().Sub(r.read)), slog.String("version", r.value.version))
	}
}
