package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"
)

// Variables of the OpenTelemetry specification that switch tracing on or off. The SDK reads the others itself.
const (
	endpointVar       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesEndpointVar = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	protocolVar       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	tracesProtocolVar = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	exporterVar       = "OTEL_TRACES_EXPORTER"
	disabledVar       = "OTEL_SDK_DISABLED"
)

// flushTimeout bounds Close. The drain of the server and its cancelled mounts take up to 25 of the 30 s that Kubernetes
// gives a pod.
const flushTimeout = 3 * time.Second

// Options configure New.
type Options struct {
	Service     string // name of the provider, for the resource; OTEL_SERVICE_NAME overrides it
	Version     string // of the provider, for the resource
	NodeName    string // for the resource; empty: not in it
	ObjectNames bool   // record names of objects, and error messages, which contain them
	Log         *slog.Logger
}

// New returns the Tracer that the environment asks for, nil if it names no collector. The error names the variable
// that is wrong. New does not connect: a collector that is away costs traces and nothing else.
//
// Spans wait in a queue of bounded length (OTEL_BSP_MAX_QUEUE_SIZE, 2,048). Those that find it full are dropped.
func New(ctx context.Context, o Options) (*Tracer, error) {
	endpoint := tracesEndpointVar
	if os.Getenv(endpoint) == "" {
		endpoint = endpointVar
	}
	if os.Getenv(endpoint) == "" || strings.EqualFold(os.Getenv(disabledVar), "true") || os.Getenv(exporterVar) == "none" {
		return nil, nil
	}
	if u, err := url.Parse(os.Getenv(endpoint)); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s is not a URL: set it to one such as http://collector.observability:4318", endpoint)
	}
	exporter, err := newExporter(ctx)
	if err != nil {
		return nil, err
	}
	attributes := []attribute.KeyValue{attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)}
	if o.NodeName != "" {
		attributes = append(attributes, attribute.String("k8s.node.name", o.NodeName))
	}
	described, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(attributes...), resource.WithFromEnv())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err), exporter.Shutdown(ctx))
	}
	logFailures(o.Log)
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described))
	return &Tracer{provider: provider, tracer: provider.Tracer(o.Service), objectNames: o.ObjectNames}, nil
}

func newExporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	switch protocol := cmp.Or(os.Getenv(tracesProtocolVar), os.Getenv(protocolVar), "http/protobuf"); protocol {
	case "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("%s %q is not supported: set it to http/protobuf or grpc", protocolVar, protocol)
	}
}

// logFailures has OpenTelemetry report to log that traces are lost, once a minute at most. OpenTelemetry has one
// handler of errors for the process, and its default writes to standard error in a format of its own.
func logFailures(log *slog.Logger) {
	sometimes := &rate.Sometimes{First: 1, Interval: time.Minute}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		sometimes.Do(func() { log.Warn("traces are lost, mounts are not affected", "error", err) })
	}))
}

// Close exports what waits and ends the export. It gives the collector flushTimeout at most.
func (t *Tracer) Close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	return t.provider.Shutdown(ctx)
}
