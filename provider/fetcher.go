// Package provider gets the content of a volume: it reads the objects of a checked
// SecretProviderClass (package class) from Secrets Manager and Parameter Store and makes files of
// their values.
//
// A request takes one way through the files: fetch → plan → region → read (shared with others,
// answered from the cache, or sent to AWS) → files. The rules of freshness and failover are pure
// functions in freshness.go and failover.go.
//
// The package is given credentials. Who the pod is, is the business of package auth.
package provider

import (
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Config is what New needs.
type Config struct {
	AWS aws.Config   // from awsclient.Load; required
	Log *slog.Logger // required

	RefreshInterval time.Duration    // how old a value may be at a republish; 0: 2 min
	MaxStale        time.Duration    // how old a value may be at a first mount while AWS is away; 0: never
	CacheMaxBytes   int              // for values in the cache; 0: 64 MiB
	RegionTimeout   time.Duration    // for the reads of a region where a volume has a second one; 0: 5 s
	BatchSecrets    bool             // read secrets with BatchGetSecretValue, which takes a permission of its own
	Now             func() time.Time // time.Now where nil
}

// Fetcher reads the objects of volumes and caches their values. One serves the whole process.
type Fetcher struct {
	log      *slog.Logger
	now      func() time.Time
	interval time.Duration
	maxStale time.Duration

	volumes *recentNames // that were mounted
	cache   *cache
	reads   *sharedReads
	metrics *fetchMetrics
}

// New makes a Fetcher, or says what cfg lacks.
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
	if cfg.RefreshInterval == 0 {
		cfg.RefreshInterval = 2 * time.Minute
	}
	if cfg.CacheMaxBytes == 0 {
		cfg.CacheMaxBytes = 64 << 20
	}
	if cfg.RegionTimeout == 0 {
		cfg.RegionTimeout = defaultRegionTimeout
	}
	cache, err := newCache(cfg.CacheMaxBytes, cfg.Now)
	if err != nil {
		return nil, err
	}
	volumes, err := newVolumes(cfg.Now)
	if err != nil {
		return nil, err
	}
	breaker, err := newBreaker(cfg.RegionTimeout, cfg.Now)
	if err != nil {
		return nil, err
	}
	return &Fetcher{
		log: cfg.Log, now: cfg.Now, interval: cfg.RefreshInterval, maxStale: cfg.MaxStale,
		volumes: volumes, cache: cache, metrics: newFetchMetrics(cache),
		reads: &sharedReads{
			cache: cache, breaker: breaker, backend: newBackend(cfg.AWS, cfg.BatchSecrets),
			now: cfg.Now, maxStale: cfg.MaxStale, inFlight: map[key]*inFlightRead{},
		},
	}, nil
}
