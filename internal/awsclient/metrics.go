package awsclient

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts the requests to AWS, every attempt of a call, and measures how long they wait for their turn.
// It is a prometheus.Collector that the caller registers.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	queue    *prometheus.HistogramVec
	states   prometheus.Gauge
	regions  labels
	codes    labels
}

// NewMetrics makes Metrics at zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "secrets_provider_aws_requests_total",
			Help: "Requests to AWS, each attempt of a call, by service, operation and result: ok, the code of AWS's error, none without a response, invalid for an answer that is not AWS's, other after 64 codes.",
		}, []string{"service", "operation", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                            "secrets_provider_aws_request_duration_seconds",
			Help:                            "How long requests to AWS took, each attempt of a call without the wait for its slot, by service, operation, region and outcome.",
			Buckets:                         []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"service", "operation", "region", "outcome"}),
		queue: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "secrets_provider_aws_queue_wait_seconds",
			Help:    "How long requests to AWS waited for one of the slots that all identities share, by the kind of mount: first or republish.",
			Buckets: []float64{.001, .005, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"mount"}),
		states: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "secrets_provider_aws_retry_states",
			Help: "Retry states kept, one for each identity, service and region that was called.",
		}),
	}
	for _, mount := range mountNames {
		m.queue.WithLabelValues(mount)
	}
	return m
}

// mountNames are the values of the label mount, by Tenant.First.
var mountNames = map[bool]string{true: "first", false: "republish"}

func (m *Metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.duration, m.queue, m.states}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
}

// queued records how long an attempt waited for a slot.
func (m *Metrics) queued(t Tenant, waited time.Duration) {
	m.queue.WithLabelValues(mountNames[t.First]).Observe(waited.Seconds())
}

// retryStates records how many retry states are kept.
func (m *Metrics) retryStates(n int) { m.states.Set(float64(n)) }

// count stands behind the retry loop and sees every attempt that had a slot.
func (m *Metrics) count(stack *middleware.Stack) error {
	counter := middleware.FinalizeMiddlewareFunc("CountRequests", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		started := time.Now()
		out, meta, err := next.HandleFinalize(ctx, in)
		m.duration.WithLabelValues(awsmiddleware.GetServiceID(ctx), middleware.GetOperationName(ctx),
			m.regions.label(awsmiddleware.GetRegion(ctx), maxRegionLabels), outcome(err)).Observe(time.Since(started).Seconds())
		m.requests.WithLabelValues(awsmiddleware.GetServiceID(ctx), middleware.GetOperationName(ctx), m.codes.label(resultCode(err), maxCodeLabels)).Inc()
		return out, meta, err
	})
	return stack.Finalize.Insert(counter, "Retry", middleware.After)
}

// outcome is how a request ended, for people who look at all services at once.
func outcome(err error) string {
	code := status(err)
	switch {
	case err == nil:
		return "ok"
	case throttled(err):
		return "throttled"
	case code == http.StatusUnauthorized || code == http.StatusForbidden || strings.HasPrefix(resultCode(err), "AccessDenied"): // HTTP 400 in Secrets Manager and SSM
		return "denied"
	case code >= http.StatusInternalServerError:
		return "server_error"
	case code >= http.StatusBadRequest:
		return "client_error"
	default:
		return "no_response"
	}
}

// Bounds of labels that others choose: the pod author a region, and whoever answers in place of AWS a code.
const (
	maxRegionLabels = 16
	maxCodeLabels   = 64
)

// labels gives the first values of a label, up to a number of them, and one for all later ones together.
type labels struct {
	mu    sync.Mutex
	known map[string]bool
}

func (l *labels) label(value string, most int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known[value] {
		return value
	}
	if len(l.known) >= most {
		return "other"
	}
	if l.known == nil {
		l.known = map[string]bool{}
	}
	l.known[value] = true
	return value
}

// codeRE matches AWS's error codes. What else stands in their place comes from a program in between, and may be
// anything: a part of the request, too.
var codeRE = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._]{1,63}$`)

// resultCode is the code of AWS's error, ok, none where there was no response, the HTTP status of one without a code,
// or invalid for a code that is not one of AWS's.
func resultCode(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &api):
		if !codeRE.MatchString(api.ErrorCode()) {
			return "invalid"
		}
		return api.ErrorCode()
	case status(err) != 0:
		return strconv.Itoa(status(err))
	default:
		return "none"
	}
}
