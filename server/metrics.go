package server

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/internal/fault"
)

// metrics are the server's metrics. Every label has a fixed set of values: no pod names, objects or messages.
type metrics struct {
	mounts   *prometheus.CounterVec
	duration *prometheus.HistogramVec
	all      []prometheus.Collector
}

const (
	resultOK    = "ok"
	resultError = "error"
)

func newMetrics(version string, memory *bytebudget.Budget, volumes *refreshes) *metrics {
	m := &metrics{
		mounts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "secrets_provider_aws_mounts_total",
			Help: "Mount requests, by phase (first mount of a volume, or republish), result and, of errors, the reason.",
		}, []string{"phase", "result", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                            "secrets_provider_aws_mount_duration_seconds",
			Help:                            "How long mount requests took, by phase and result.",
			Buckets:                         []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"phase", "result"}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "secrets_provider_aws_build_info",
		Help: "Always 1; the labels tell the build.",
	}, []string{"version", "goversion"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.all = []prometheus.Collector{
		m.mounts, m.duration, build,
		gauge("in_flight_bytes", "Memory that the values and responses of mount requests in progress take.",
			func() float64 { return float64(memory.Used()) }),
		gauge("in_flight_limit_bytes", "Most memory that the values and responses of mount requests in progress take, of which one ServiceAccount has half.",
			func() float64 { return float64(memory.Limit()) }),
		gauge("in_flight_waiting", "Reads and mount requests that wait for memory.",
			func() float64 { return float64(memory.Waiting()) }),
		refreshMetrics{volumes},
	}
	// Every series exists from the start, so that a rate or an alert sees the first failure.
	for _, phase := range phaseNames {
		m.mounts.WithLabelValues(phase, resultOK, "")
		for _, kind := range fault.Kinds() {
			m.mounts.WithLabelValues(phase, resultError, kind.String())
		}
		m.duration.WithLabelValues(phase, resultOK)
		m.duration.WithLabelValues(phase, resultError)
	}
	return m
}

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "secrets_provider_aws_" + name, Help: help}, value)
}

func (m *metrics) observe(p phase, err error, took time.Duration) {
	result, reason := resultOK, ""
	if err != nil {
		result, reason = resultError, fault.KindOf(err).String()
	}
	m.mounts.WithLabelValues(phaseNames[p], result, reason).Inc()
	m.duration.WithLabelValues(phaseNames[p], result).Observe(took.Seconds())
}

// Describe implements prometheus.Collector. The creator of a Server registers it.
func (s *Server) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range s.metrics.all {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	for _, c := range s.metrics.all {
		c.Collect(ch)
	}
}

// refreshMetrics reads the state of the refreshed volumes at each scrape.
type refreshMetrics struct{ volumes *refreshes }

var (
	refreshing      = description("refreshing_volumes", "Mounted volumes that the driver refreshes.")
	refreshFailing  = description("refresh_failing_volumes", "Refreshed volumes that keep old values, because their last refresh failed, by reason.", "reason")
	failingFor      = description("refresh_failing_seconds", "How long the refresh of the volume that fails the longest has been failing, by its reason. 0 without one.", "reason")
	refreshSuccess  = description("last_refresh_success_timestamp_seconds", "When the last refresh of any volume succeeded, 0 before the first.")
	oldestValueAge  = description("oldest_value_age_seconds", "Age of the value of a refreshed volume that was read longest ago. Pinned versions do not count.")
	failoverVolumes = description("failover_volumes", "Mounted volumes that have the values of their failover region.")
)

func description(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("secrets_provider_aws_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (refreshMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{refreshing, refreshFailing, failingFor, refreshSuccess, oldestValueAge, failoverVolumes} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m refreshMetrics) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	s := m.volumes.summary()
	send(refreshing, float64(s.refreshing))
	for _, kind := range fault.Kinds() {
		send(refreshFailing, float64(s.failing[kind].volumes), kind.String())
		send(failingFor, s.failing[kind].longest.Seconds(), kind.String())
	}
	success := 0.0
	if !s.succeeded.IsZero() {
		success = float64(s.succeeded.UnixMilli()) / 1000
	}
	send(refreshSuccess, success)
	send(oldestValueAge, s.oldestValue.Seconds())
	send(failoverVolumes, float64(s.failover))
}
