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
	build    *prometheus.GaugeVec
	inFlight prometheus.GaugeFunc
	limit    prometheus.GaugeFunc
	waiting  prometheus.GaugeFunc
}

const (
	resultOK    = "ok"
	resultError = "error"
)

func newMetrics(version string, memory *bytebudget.Budget) *metrics {
	m := &metrics{
		mounts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "secrets_provider_aws_mounts_total",
			Help: "Mount requests, first mounts and republishes, by result and, of errors, the reason.",
		}, []string{"result", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "secrets_provider_aws_mount_duration_seconds",
			Help:    "How long mount requests took, by result.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"result"}),
		build: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "secrets_provider_aws_build_info",
			Help: "Always 1; the labels tell the build.",
		}, []string{"version", "goversion"}),
		inFlight: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "secrets_provider_aws_in_flight_bytes",
			Help: "Memory that the values and responses of mount requests in progress take.",
		}, func() float64 { return float64(memory.Used()) }),
		limit: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "secrets_provider_aws_in_flight_limit_bytes",
			Help: "Most memory that the values and responses of mount requests in progress take, of which one ServiceAccount has half.",
		}, func() float64 { return float64(memory.Limit()) }),
		waiting: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "secrets_provider_aws_in_flight_waiting",
			Help: "Reads and mount requests that wait for memory.",
		}, func() float64 { return float64(memory.Waiting()) }),
	}
	m.build.WithLabelValues(version, runtime.Version()).Set(1)
	// Every series exists from the start, so that a rate or an alert sees the first failure.
	m.mounts.WithLabelValues(resultOK, "")
	for _, kind := range fault.Kinds() {
		m.mounts.WithLabelValues(resultError, kind.String())
	}
	return m
}

func (m *metrics) observe(err error, took time.Duration) {
	result, reason := resultOK, ""
	if err != nil {
		result, reason = resultError, fault.KindOf(err).String()
	}
	m.mounts.WithLabelValues(result, reason).Inc()
	m.duration.WithLabelValues(result).Observe(took.Seconds())
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.mounts, m.duration, m.build, m.inFlight, m.limit, m.waiting}
}

// Describe implements prometheus.Collector. The creator of a Server registers it.
func (s *Server) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range s.metrics.collectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	for _, c := range s.metrics.collectors() {
		c.Collect(ch)
	}
}
