package provider

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"secrets-provider-aws/provider/awsapi"
)

// Config is what New needs.
type Config struct {
	AWS aws.Config   // from awsapi.Load; required
	Log *slog.Logger // required

	RefreshInterval time.Duration    // how old a value may be at a republish; 0: 2 min
	MaxStale        time.Duration    // how old a value may be at a first mount while AWS is away; 0: never
	CacheMaxBytes   int              // for values in memory; 0: 64 MiB
	RegionTimeout   time.Duration    // for the reads of a region where a volume has a second one; 0: 5 s
	BatchSecrets    bool             // read secrets with BatchGetSecretValue, which takes a permission of its own
	Now             func() time.Time // time.Now where nil
}

// Fetcher reads the objects of volumes and remembers their values. One serves the whole process.
type Fetcher struct {
	secrets    *awsapi.Regional[*secretsmanager.Client]
	parameters *awsapi.Regional[*ssm.Client]
	log        *slog.Logger
	now        func() time.Time
	interval   time.Duration
	maxStale   time.Duration
	patience   time.Duration
	batch      bool

	volumes *recent // that were mounted
	silent  *recent // regions that do not answer
	memory  *memory
	metrics *fetchMetrics

	mu      sync.Mutex
	flights map[key]*flight // reads under way, the newest for each key
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
		cfg.RegionTimeout = onePatience
	}
	memory, err := newMemory(cfg.CacheMaxBytes, cfg.Now)
	if err != nil {
		return nil, err
	}
	volumes, err := newVolumes(cfg.Now)
	if err != nil {
		return nil, err
	}
	silent, err := newSilent(cfg.Now)
	if err != nil {
		return nil, err
	}
	return &Fetcher{
		secrets: awsapi.NewRegional(func(region string) *secretsmanager.Client {
			return secretsmanager.NewFromConfig(cfg.AWS, func(o *secretsmanager.Options) { o.Region = region })
		}),
		parameters: awsapi.NewRegional(func(region string) *ssm.Client {
			return ssm.NewFromConfig(cfg.AWS, func(o *ssm.Options) { o.Region = region })
		}),
		log: cfg.Log, now: cfg.Now, interval: cfg.RefreshInterval, maxStale: cfg.MaxStale, patience: cfg.RegionTimeout, batch: cfg.BatchSecrets,
		volumes: volumes, silent: silent, memory: memory, metrics: newFetchMetrics(memory), flights: map[key]*flight{},
	}, nil
}
