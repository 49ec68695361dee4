// Package tracing records mounts as OpenTelemetry traces: one trace for each mount, with a span for each part that can
// take long. It is the only package that knows OpenTelemetry.
//
// Tracing is off unless the environment names a collector. A nil *Tracer makes no trace, Start finds none in the
// context, and a nil *Span ignores what it is given. Nothing of this allocates.
//
// A trace holds no value, token or credential. It holds names of secrets and parameters, and error messages, which
// contain such names, only with Options.ObjectNames.
package tracing

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// OK is the outcome of a span without a failure.
const OK = "ok"

// Keys of attributes that several packages set. Those with a dot are OpenTelemetry's semantic conventions.
const (
	KeyRegion  = "cloud.region"
	KeyService = "rpc.service"
	KeyMethod  = "rpc.method"
	keyOutcome = "outcome"
	keyObjects = "object_names"
)

// Tracer makes the traces of a process. A nil Tracer makes none.
type Tracer struct {
	provider    *sdktrace.TracerProvider
	tracer      trace.Tracer
	objectNames bool
}

// Span is one part of a mount. A nil Span records nothing.
type Span struct {
	span   trace.Span
	tracer *Tracer
}

type spanKey struct{}

// Mount starts the trace of one mount. It never continues a trace of the caller: the CSI driver sends no trace context,
// and anybody else on the socket could use one to switch sampling on or to put spans into traces of others.
func (t *Tracer) Mount(ctx context.Context) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	return t.start(ctx, "Mount", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
}

// Start starts a span in the trace that ctx belongs to. Without one it returns ctx and nil.
func Start(ctx context.Context, name string) (context.Context, *Span) {
	parent := From(ctx)
	if parent == nil {
		return ctx, nil
	}
	return parent.tracer.start(ctx, name)
}

// StartCall is Start for a call to another service. The span has the names of WithObjects.
func StartCall(ctx context.Context, name string) (context.Context, *Span) {
	parent := From(ctx)
	if parent == nil {
		return ctx, nil
	}
	ctx, s := parent.tracer.start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	if names, ok := ctx.Value(objectsKey{}).([]string); ok {
		s.set(attribute.StringSlice(keyObjects, names))
	}
	return ctx, s
}

func (t *Tracer) start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, *Span) {
	ctx, span := t.tracer.Start(ctx, name, options...)
	if !span.IsRecording() { // the sampler left this trace out
		return ctx, nil
	}
	s := &Span{span: span, tracer: t}
	return context.WithValue(ctx, spanKey{}, s), s
}

// From returns the span that ctx belongs to, nil for none.
func From(ctx context.Context) *Span {
	s, _ := ctx.Value(spanKey{}).(*Span)
	return s
}

// Waited records a wait that began at started and ends now.
func Waited(ctx context.Context, name string, started time.Time, err error) {
	parent := From(ctx)
	if parent == nil {
		return
	}
	_, s := parent.tracer.start(ctx, name, trace.WithTimestamp(started))
	outcome := OK
	if err != nil {
		outcome = "gave_up"
	}
	s.End(outcome, nil)
}

// String sets an attribute, unless value is empty.
func (s *Span) String(key, value string) {
	if s != nil && value != "" {
		s.set(attribute.String(key, strings.ToValidUTF8(value, "\uFFFD"))) // the collector refuses other text
	}
}

// Int sets an attribute.
func (s *Span) Int(key string, value int) {
	if s != nil {
		s.set(attribute.Int(key, value))
	}
}

// Bool sets an attribute.
func (s *Span) Bool(key string, value bool) {
	if s != nil {
		s.set(attribute.Bool(key, value))
	}
}

func (s *Span) set(kv attribute.KeyValue) {
	if s != nil {
		s.span.SetAttributes(kv)
	}
}

// Event records a failure within the span that did not end it. outcome names it, as for End.
func (s *Span) Event(name, outcome string) {
	if s != nil {
		s.span.AddEvent(name, trace.WithAttributes(attribute.String(keyOutcome, strings.ToValidUTF8(outcome, "\uFFFD"))))
	}
}

// End ends the span. outcome is OK or names the kind of failure, and never an object. message, which may be nil, is
// for people. It may name objects, so it is recorded only with Options.ObjectNames.
func (s *Span) End(outcome string, message error) {
	if s == nil {
		return
	}
	s.String(keyOutcome, outcome)
	if outcome != OK {
		description := outcome
		if message != nil && s.tracer.objectNames {
			description = message.Error()
		}
		s.span.SetStatus(codes.Error, strings.ToValidUTF8(description, "\uFFFD"))
	}
	s.span.End()
}

// TraceID returns the id of the trace, as collectors show it. A nil Span has none, "".
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

type objectsKey struct{}

// WantsObjects reports whether ctx belongs to a trace that records the names of objects.
func WantsObjects(ctx context.Context) bool {
	s := From(ctx)
	return s != nil && s.tracer.objectNames
}

// WithObjects returns ctx for calls that are about the objects with these names. Ask WantsObjects first.
func WithObjects(ctx context.Context, names []string) context.Context {
	return context.WithValue(ctx, objectsKey{}, names)
}
