// Package otlpsim is a collector of OpenTelemetry traces for tests: it receives OTLP over HTTP and gRPC, and keeps the
// spans.
package otlpsim

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Sim is a collector that runs.
type Sim struct {
	collector.UnimplementedTraceServiceServer
	http *httptest.Server
	grpc *grpc.Server
	addr net.Addr

	mu       sync.Mutex
	raw      bytes.Buffer // every message, as it was sent
	spans    []*trace.Span
	resource *resource.Resource // of the last message
	headers  http.Header        // of the last message over HTTP
	hung     int                // messages that wait
	release  chan struct{}      // closed: messages do not wait; nil: they do not wait either
}

// Start starts a collector.
func Start() (*Sim, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Sim{grpc: grpc.NewServer(), addr: listener.Addr()}
	collector.RegisterTraceServiceServer(s.grpc, s)
	go func() { _ = s.grpc.Serve(listener) }() // ends with Close
	s.http = httptest.NewServer(http.HandlerFunc(s.serveHTTP))
	return s, nil
}

// HTTP is the URL of OTLP over HTTP.
func (s *Sim) HTTP() string { return s.http.URL }

// GRPC is the URL of OTLP over gRPC.
func (s *Sim) GRPC() string { return "http://" + s.addr.String() }

// Hang has messages wait until release is called.
func (s *Sim) Hang() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := make(chan struct{})
	s.release = waiting
	return sync.OnceFunc(func() { close(waiting) })
}

// Close ends the collector.
func (s *Sim) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
	s.grpc.Stop()
}

func (s *Sim) serveHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	data, err := io.ReadAll(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var message collector.ExportTraceServiceRequest
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || proto.Unmarshal(data, &message) != nil {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.headers = r.Header.Clone()
	s.mu.Unlock()
	response, err := s.Export(r.Context(), &message)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	data, _ = proto.Marshal(response)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(data)
}

// Export implements the gRPC service.
func (s *Sim) Export(ctx context.Context, message *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	release := s.release
	s.hung++
	s.mu.Unlock()
	if release != nil {
		select {
		case <-release:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	data, err := proto.Marshal(message)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Write(data)
	for _, of := range message.GetResourceSpans() {
		s.resource = of.GetResource()
		for _, scope := range of.GetScopeSpans() {
			s.spans = append(s.spans, scope.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// Raw returns every message that arrived, in the bytes of protocol buffers.
func (s *Sim) Raw() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.raw.Bytes())
}

// Messages returns how many messages arrived, also those that wait.
func (s *Sim) Messages() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hung
}

// Headers returns the HTTP headers of the last message.
func (s *Sim) Headers() http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.headers
}

// Resource returns the attributes of the process that sent the last message.
func (s *Sim) Resource() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return attributes(s.resource.GetAttributes())
}

// Span is a span with those below it.
type Span struct {
	TraceID    string // in hex
	Name       string
	Kind       string            // internal, server or client
	Attributes map[string]string // values as text
	Events     []string          // "name outcome"
	Error      string            // the description of a failure; empty for none
	Duration   time.Duration
	Children   []Span // in the order of their start
}

// Traces returns the trees of all traces, in the order of their start.
func (s *Sim) Traces() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return below(s.spans, nil)
}

func below(all []*trace.Span, parent []byte) []Span {
	var found []*trace.Span
	for _, span := range all {
		if bytes.Equal(span.GetParentSpanId(), parent) {
			found = append(found, span)
		}
	}
	slices.SortStableFunc(found, func(a, b *trace.Span) int {
		return int(int64(a.GetStartTimeUnixNano()) - int64(b.GetStartTimeUnixNano()))
	})
	var tree []Span
	for _, span := range found {
		s := Span{
			TraceID: hex.EncodeToString(span.GetTraceId()), Name: span.GetName(),
			Kind:       strings.ToLower(strings.TrimPrefix(span.GetKind().String(), "SPAN_KIND_")),
			Attributes: attributes(span.GetAttributes()), Duration: time.Duration(span.GetEndTimeUnixNano() - span.GetStartTimeUnixNano()),
			Children: below(all, span.GetSpanId()),
		}
		for _, e := range span.GetEvents() {
			s.Events = append(s.Events, e.GetName()+" "+attributes(e.GetAttributes())["outcome"])
		}
		if span.GetStatus().GetCode() == trace.Status_STATUS_CODE_ERROR {
			s.Error = span.GetStatus().GetMessage()
		}
		tree = append(tree, s)
	}
	return tree
}

func attributes(list []*common.KeyValue) map[string]string {
	texts := map[string]string{}
	for _, a := range list {
		texts[a.GetKey()] = text(a.GetValue())
	}
	return texts
}

func text(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *common.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *common.AnyValue_ArrayValue:
		var parts []string
		for _, element := range v.ArrayValue.GetValues() {
			parts = append(parts, text(element))
		}
		return strings.Join(parts, ",")
	default:
		return ""
	}
}
