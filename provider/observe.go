package provider

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// observer tells operators where values came from: in metrics, and one by one in the log at debug.
type observer struct {
	values  *prometheus.CounterVec
	metrics []prometheus.Collector
	now     func() time.Time
	log     *slog.Logger
}

func newObserver(c *cache, now func() time.Time, log *slog.Logger) *observer {
	o := &observer{now: now, log: log, values: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "secrets_provider_aws_values_total",
		Help: "Values that went into volumes, by source: read from AWS, cached, of the failover region because the primary region failed, or stale because AWS failed.",
	}, []string{"source"})}
	o.metrics = []prometheus.Collector{
		o.values,
		gauge("cache_bytes", "Memory that cached values take.", c.bytes),
		gauge("cache_limit_bytes", "Most memory that cached values take, of which one ServiceAccount has a quarter.", func() float64 { return float64(c.limit) }),
		gauge("cache_values", "Cached values, those of failed reads included.", func() float64 { return float64(c.records.EstimatedSize()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "secrets_provider_aws_cache_evictions_total",
			Help: "Values that left the cache because it, or the quarter of their ServiceAccount, was full.",
		}, func() float64 { return float64(c.evicted.Load()) }),
	}
	o.count(Sources{})
	return o
}

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "secrets_provider_aws_" + name, Help: help}, value)
}

// observe counts and logs the values of one volume.
func (o *observer) observe(ctx context.Context, p plan, m mount, from regionValues) Sources {
	sources := from.sources()
	o.count(sources)
	if o.log.Enabled(ctx, slog.LevelDebug) {
		o.log.LogAttrs(ctx, slog.LevelDebug, "volume", slog.Bool("first_mount", m.first), slog.String("region", from.region),
			slog.Bool("failover", from.failover), slog.Duration("refresh_interval", m.interval))
		for i, r := range from.responses {
			o.log.LogAttrs(ctx, slog.LevelDebug, "value", slog.String("object", p.primary[i].name), slog.String("region", from.regionOf(p.primary[i])),
				slog.String("from", string(r.source)), slog.Duration("age", o.now().Sub(r.read)), slog.String("version", r.value.Version))
		}
	}
	return sources
}

func (o *observer) count(s Sources) {
	o.values.WithLabelValues("read").Add(float64(s.Read))
	o.values.WithLabelValues("cached").Add(float64(s.Cached))
	o.values.WithLabelValues("failover").Add(float64(s.Failover))
	o.values.WithLabelValues("stale").Add(float64(s.Stale))
}

func (o *observer) describe(ch chan<- *prometheus.Desc) {
	for _, c := range o.metrics {
		c.Describe(ch)
	}
}

func (o *observer) collect(ch chan<- prometheus.Metric) {
	for _, c := range o.metrics {
		c.Collect(ch)
	}
}
