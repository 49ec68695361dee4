package auth

import "github.com/prometheus/client_golang/prometheus"

// Where credentials come from, in the log and in the metric.
const (
	sourceCache = "cache"
	sourceSTS   = "sts"
	sourceAgent = "pod-identity"
)

func newMetrics() *prometheus.CounterVec {
	m := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "secrets_provider_aws_credentials_total",
		Help: "Credentials of identities, by where they came from: the cache, or an exchange of a token with STS or the EKS Pod Identity agent; and the result: ok or error.",
	}, []string{"from", "result"})
	m.WithLabelValues(sourceCache, "ok") // every series exists from the start
	for _, from := range []string{sourceSTS, sourceAgent} {
		m.WithLabelValues(from, "ok")
		m.WithLabelValues(from, "error")
	}
	return m
}

// countExchange counts one exchange of a token.
func (a *Authenticator) countExchange(from string, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	a.metrics.WithLabelValues(from, result).Inc()
}

// Describe implements prometheus.Collector. The caller of New registers the Authenticator.
func (a *Authenticator) Describe(ch chan<- *prometheus.Desc) { a.metrics.Describe(ch) }

// Collect implements prometheus.Collector.
func (a *Authenticator) Collect(ch chan<- prometheus.Metric) { a.metrics.Collect(ch) }
