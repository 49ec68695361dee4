// Package provider gets the content of a volume: it reads the objects of a checked
// SecretProviderClass (package class) from Secrets Manager and Parameter Store and has files made
// of their values (package volume).
//
// A request goes through the files in one direction: fetcher → plan → regions → shared reads (from the cache,
// in-flight, or new) → read → backend → secretsmanager or parameterstore. Package volume then makes the files. The rules
// of freshness and failover are pure functions in freshness.go and failover.go.
//
// Callers pass credentials. Package auth identifies the pod and gets them.
package provider

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/internal/tracing"
	"secrets-provider-aws/provider/volume"
)

// Config is what New needs.
type Config struct {
	AWS aws.Config   // from awsclient.Load; required
	Log *slog.Logger // required

	RefreshInterval time.Duration    // how old a value may be at a republish; 0: 2 min
	MaxStale        time.Duration    // how old a value may be at a first mount while AWS is away; 0: never
	CacheMaxBytes   int              // for values in the cache; 0: 64 MiB
	RegionTimeout   time.Duration    // for the reads of a region where a volume has a second one; 0: 5 s
	BatchSecrets    bool             // read secrets with BatchGetSecretValue, which needs its own permission
	Now             func() time.Time // time.Now where nil
}

// Fetcher reads the objects of volumes and caches their values. One serves the whole process.
type Fetcher struct {
	now      func() time.Time
	interval time.Duration
	volumes  *recentNames // already mounted
	regions  *regions
	observer *observer
}

// New returns a Fetcher, or an error that names what cfg lacks.
func New(cfg Config) (*Fetcher, error) {
	switch {
	case cfg.Log == nil:
		return nil, errors.New("provider: no logger")
	case cfg.RefreshInterval < 0 || cfg.MaxStale < 0 || cfg.CacheMaxBytes < 0 || cfg.RegionTimeout < 0:
		return nil, errors.New("provider: negative limit")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cache, err := newCache(cmp.Or(cfg.CacheMaxBytes, 64<<20), cfg.Now)
	if err != nil {
		return nil, err
	}
	volumes, err := newVolumes(cfg.Now)
	if err != nil {
		return nil, err
	}
	breaker, err := newBreaker(cmp.Or(cfg.RegionTimeout, defaultRegionTimeout), cfg.Now)
	if err != nil {
		return nil, err
	}
	reads := newSharedReads(cache, breaker, newBackend(cfg.AWS, cfg.BatchSecrets), cfg.MaxStale, cfg.Now)
	return &Fetcher{
		now: cfg.Now, interval: cmp.Or(cfg.RefreshInterval, 2*time.Minute), volumes: volumes,
		regions:  &regions{reads: reads, cache: cache, maxStale: cfg.MaxStale, now: cfg.Now, log: cfg.Log},
		observer: newObserver(cache, cfg.Now, cfg.Log),
	}, nil
}

// Fetch gives the files of req, in the order in which its class lists them. It is all or nothing: the
// error is a *fault.Error that names every object that failed, not only the first.
//
// How old a value may be is decided in freshness.go, which region's values a volume gets in failover.go.
// Without batches Fetch calls GetSecretValue and GetParameters and nothing else.
func (f *Fetcher) Fetch(ctx context.Context, req Request) (Result, error) {
	m := mount{
		arrived: f.now(), first: req.Volume == "" || !f.volumes.contains(req.Volume), failover: req.Class.FailoverRegion != "",
		interval: cmp.Or(req.Class.RefreshInterval, f.interval),
	}
	p := newPlan(req)
	values, err := f.regions.read(ctx, req, p, m)
	if err != nil {
		return Result{}, err
	}
	files, err := makeFiles(ctx, req, p, values.responses)
	if err != nil {
		return Result{}, err
	}
	if req.Volume != "" {
		f.volumes.add(req.Volume)
	}
	return Result{Files: files, Sources: f.observer.observe(ctx, p, m, values), Oldest: values.oldest(p), Instead: values.instead}, nil
}

// makeFiles makes the files of the volume, with a span.
func makeFiles(ctx context.Context, req Request, p plan, responses []response) ([]File, error) {
	ctx, span := tracing.Start(ctx, "make files")
	valueOf := func(i int) volume.Value { return responses[p.valueOf[i]].value }
	files, err := volume.Make(ctx, req.Class.Objects, valueOf, req.MaxBytes, req.Memory)
	if err != nil {
		span.End(fault.KindOf(err).String(), err)
		return nil, err
	}
	span.End(tracing.OK, nil)
	return files, nil
}

// Describe implements prometheus.Collector. The caller of New registers the Fetcher.
func (f *Fetcher) Describe(ch chan<- *prometheus.Desc) { f.observer.describe(ch) }

// Collect implements prometheus.Collector.
func (f *Fetcher) Collect(ch chan<- prometheus.Metric) { f.observer.collect(ch) }
