package tracing_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/internal/tracing"
	"secrets-provider-aws/test/otlpsim"
)

// setenv clears the variables of OpenTelemetry and then sets vars.
func setenv(t *testing.T, vars map[string]string) {
	t.Helper()
	for _, name := range []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
		"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER",
	} {
		t.Setenv(name, "")
	}
	for name, value := range vars {
		t.Setenv(name, value)
	}
}

func newTracer(t *testing.T, log *slog.Logger) (*tracing.Tracer, error) {
	t.Helper()
	tracer, err := tracing.New(t.Context(), tracing.Options{Service: "secrets-provider-aws", Version: "1.2.3", Log: log})
	t.Cleanup(func() { _ = tracer.Close() })
	return tracer, err
}

func start(t *testing.T) *otlpsim.Sim {
	t.Helper()
	collector, err := otlpsim.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(collector.Close)
	return collector
}

func TestNew_OffAndMistakes(t *testing.T) {
	const endpoint = "http://127.0.0.1:4318"
	for _, tt := range []struct {
		name string
		env  map[string]string
		on   bool
		err  string // a part of it
	}{
		{name: "nothing"},
		{name: "endpoint", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, on: true},
		{name: "endpoint of traces", env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint + "/v1/traces"}, on: true},
		{name: "disabled", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SDK_DISABLED": "true"}},
		{name: "no exporter", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_EXPORTER": "none"}},
		{name: "no URL", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, err: "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL"},
		{
			name: "no URL of traces", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://"},
			err: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is not a URL",
		},
		{
			name: "protocol", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
			err: `OTEL_EXPORTER_OTLP_PROTOCOL "http/json" is not supported: set it to http/protobuf or grpc`,
		},
		{
			name: "resource", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_RESOURCE_ATTRIBUTES": "nothing"},
			err: "read OTEL_RESOURCE_ATTRIBUTES: ",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			setenv(t, tt.env)
			tracer, err := newTracer(t, slog.New(slog.DiscardHandler))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if (tracer != nil) != tt.on {
				t.Errorf("on: %v, want %v", tracer != nil, tt.on)
			}
		})
	}
}

// Both protocols bring the same spans, with the headers and the resource that the environment asks for.
func TestNew_Protocols(t *testing.T) {
	for _, protocol := range []string{"", "http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			collector := start(t)
			endpoint := collector.HTTP()
			if protocol == "grpc" {
				endpoint = collector.GRPC()
			}
			setenv(t, map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=ops",
				"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod,service.version=of-the-user",
			})
			tracer, err := newTracer(t, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			ctx, root := tracer.Mount(t.Context())
			tracing.Waited(ctx, "wait", time.Now().Add(-time.Hour), errors.New("late"))
			_, child := tracing.Start(ctx, "child")
			child.String("text", "invalid \xff")
			child.String("none", "")
			child.End(tracing.OK, nil)
			root.End("denied", errors.New("the message names an object"))
			if err := tracer.Close(); err != nil {
				t.Fatal(err)
			}
			want := []otlpsim.Span{{
				TraceID: root.TraceID(), Name: "Mount", Kind: "server", Attributes: map[string]string{"outcome": "denied"}, Error: "denied",
				Children: []otlpsim.Span{
					{TraceID: root.TraceID(), Name: "wait", Kind: "internal", Attributes: map[string]string{"outcome": "gave_up"}, Error: "gave_up"},
					{TraceID: root.TraceID(), Name: "child", Kind: "internal", Attributes: map[string]string{"outcome": "ok", "text": "invalid \uFFFD"}},
				},
			}}
			got := collector.Traces()
			if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Duration" }, cmp.Ignore())); diff != "" {
				t.Errorf("traces (-want +got):\n%s", diff)
			}
			if waited := got[0].Children[0].Duration; waited < time.Hour {
				t.Errorf("a wait of an hour took %v in its span", waited)
			}
			if tenant := collector.Headers().Get("x-tenant"); protocol != "grpc" && tenant != "ops" {
				t.Errorf("header x-tenant is %q", tenant)
			}
			for key, value := range map[string]string{"service.name": "secrets-provider-aws", "service.version": "of-the-user", "deployment.environment.name": "prod"} {
				if collector.Resource()[key] != value {
					t.Errorf("resource %s is %q, want %q", key, collector.Resource()[key], value)
				}
			}
		})
	}
}

// A mount that the sampler leaves out costs no span, and its log line has no id that leads nowhere.
func TestMount_NotSampled(t *testing.T) {
	collector := start(t)
	setenv(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.HTTP(), "OTEL_TRACES_SAMPLER": "always_off"})
	tracer, err := newTracer(t, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, root := tracer.Mount(t.Context())
	if root.TraceID() != "" || tracing.From(ctx) != nil {
		t.Error("the mount has a span")
	}
}

// The log says once that traces are lost, and no credential of the collector.
func TestLog_TracesAreLost(t *testing.T) {
	collector := start(t)
	collector.Close()
	setenv(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": strings.Replace(collector.HTTP(), "http://", "http://user:canary-1a2b@", 1), "OTEL_EXPORTER_OTLP_HEADERS": "authorization=canary-3c4d",
		"OTEL_BSP_EXPORT_TIMEOUT": "100",
	})
	var logs bytes.Buffer
	tracer, err := newTracer(t, slog.New(slog.NewTextHandler(&logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	_, root := tracer.Mount(t.Context())
	root.End(tracing.OK, nil)
	_ = tracer.Close() // the log has the failure
	if n := strings.Count(logs.String(), "traces are lost, mounts are not affected"); n != 1 || strings.Contains(logs.String(), "canary") {
		t.Errorf("%d lines, want one without a credential: %s", n, logs.String())
	}
}

// Tracing that is off costs no memory.
func TestOff_DoesNotAllocate(t *testing.T) {
	var off *tracing.Tracer
	ctx := context.WithValue(t.Context(), struct{ name string }{"of the request"}, 1)
	failed := errors.New("failed")
	if n := testing.AllocsPerRun(100, func() {
		ctx, root := off.Mount(ctx)
		ctx, span := tracing.Start(ctx, "identify")
		span.String("from", "sts")
		span.Int("read", 1000)
		span.Bool("shared", true)
		span.End("denied", failed)
		_, call := tracing.StartCall(ctx, "call")
		call.Event("attempt failed", "503")
		call.End(tracing.OK, nil)
		tracing.Waited(ctx, "wait", time.Time{}, nil)
		if tracing.WantsObjects(ctx) || root.TraceID() != "" || tracing.From(ctx) != nil {
			t.Error("there is a trace")
		}
		root.End(tracing.OK, nil)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	if err := off.Close(); err != nil {
		t.Error(err)
	}
}
