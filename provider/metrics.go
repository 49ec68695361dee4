package provider

import "github.com/prometheus/client_golang/prometheus"

// fetchMetrics count where values came from.
type fetchMetrics struct {
	values *prometheus.CounterVec
	bytes  prometheus.GaugeFunc
}

func newFetchMetrics(c *cache) *fetchMetrics {
	metrics := &fetchMetrics{
		values: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "secrets_provider_aws_values_total",
			Help: "Values that went into volumes, by source: read from AWS, cached, of the failover region because the primary did not answer, or stale because AWS did not.",
		}, []string{"source"}),
		bytes: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "secrets_provider_aws_cache_bytes",
			Help: "Memory that cached values take.",
		}, c.bytes),
	}
	metrics.count(Sources{})
	return metrics
}

func (m *fetchMetrics) count(s Sources) {
	m.values.WithLabelValues("read").Add(float64(s.Read))
	m.values.WithLabelValues("cached").Add(float64(s.Cached))
	m.values.WithLabelValues("failover").Add(float64(s.Failover))
	m.values.WithLabelValues("stale").Add(float64(s.Stale))
}

// Describe implements prometheus.Collector: whoever makes a Fetcher registers it.
func (f *Fetcher) Describe(ch chan<- *prometheus.Desc) {
	f.metrics.values.Describe(ch)
	f.metrics.bytes.Describe(ch)
}

// Collect implements prometheus.Collector.
func (f *Fetcher) Collect(ch chan<- prometheus.Metric) {
	f.metrics.values.Collect(ch)
	f.metrics.bytes.Collect(ch)
}
