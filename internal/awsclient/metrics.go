package awsclient

import (
	"context"
	"errors"
	"strconv"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts the requests to AWS, every attempt of a call. It is a prometheus.Collector that the
// caller registers.
type Metrics struct{ requests *prometheus.CounterVec }

// NewMetrics makes Metrics at zero.
func NewMetrics() *Metrics {
	return &Metrics{requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "secrets_provider_aws_requests_total",
		Help: "Requests to AWS, each attempt of a call, by service, operation and result: ok, the code of AWS's error, or none where no answer came.",
	}, []string{"service", "operation", "code"})}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) { m.requests.Describe(ch) }

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) { m.requests.Collect(ch) }

// count stands behind the retry loop and sees every attempt.
func (m *Metrics) count(stack *middleware.Stack) error {
	counter := middleware.FinalizeMiddlewareFunc("CountRequests", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		out, meta, err := next.HandleFinalize(ctx, in)
		m.requests.WithLabelValues(awsmiddleware.GetServiceID(ctx), middleware.GetOperationName(ctx), resultCode(err)).Inc()
		return out, meta, err
	})
	return stack.Finalize.Insert(counter, "Retry", middleware.After)
}

func resultCode(err error) string {
	var (
		api      smithy.APIError
		response *awshttp.ResponseError
	)
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &api):
		return api.ErrorCode()
	case errors.As(err, &response):
		return strconv.Itoa(response.HTTPStatusCode())
	default:
		return "none"
	}
}
