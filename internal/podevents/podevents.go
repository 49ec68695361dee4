// Package podevents writes Kubernetes Events about pods. Its callers never wait: what the API server does not take in
// time is dropped and counted.
//
// It has the rules of client-go's events API, an aggregation of equal Events to a series among them, and writes plain
// JSON. The recorder of client-go needs the types of the whole Kubernetes API, which make the binary 14 MiB larger.
package podevents

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"k8s.io/client-go/rest"
)

// Limits on Events. An outage makes every pod of a node report at the same time.
const (
	burst       = 25               // Events of one namespace at once
	interval    = 30 * time.Second // between two more of it
	maxQueue    = 256              // Events that wait for the API server
	maxKept     = 1024             // series, and namespaces with a limit
	seriesBreak = 6 * time.Minute  // after which an equal Event is a new one, as in client-go
	writeLimit  = 10 * time.Second // for one call of the API server
)

// maxNote is the limit of the API server for the note of an Event, in bytes.
const maxNote = 1024

// Event is something that happened to a pod.
type Event struct {
	Namespace string // of the pod
	Pod       string // its name
	UID       string // of the pod
	Warning   bool   // its type is Warning, else Normal
	Reason    string // such as SecretRefreshFailed
	Cause     string // tells Events of one reason apart: those of different causes are no series
	Note      string // the message, cut after 1024 bytes
}

// Config is what New needs. All fields but Now are required.
type Config struct {
	REST     *rest.Config     // of the API server
	Instance string           // which of the provider's pods reports: the node's name
	Now      func() time.Time // time.Now where nil
	Log      *slog.Logger
}

// Recorder writes Events. Run does the work.
type Recorder struct {
	client   *client
	now      func() time.Time
	log      *slog.Logger
	complain rate.Sometimes
	queue    chan Event
	events   *prometheus.CounterVec
	series   map[seriesKey]*series // only Run uses it

	mu         sync.Mutex
	namespaces map[string]*rate.Limiter
}

// seriesKey tells Events apart that are not the same.
type seriesKey struct{ namespace, uid, reason, cause string }

// series is an Event that was written, and how often it happened.
type series struct {
	name  string
	count int
	last  time.Time
}

// Results of an Event in the metric.
const (
	sent    = "sent"
	dropped = "dropped" // by the limit of its namespace, or because the API server is too slow
	failed  = "failed"  // the API server refused it or did not respond
)

// New returns a Recorder, or an error that names what cfg lacks.
func New(cfg Config) (*Recorder, error) {
	switch {
	case cfg.REST == nil || cfg.Log == nil:
		return nil, errors.New("podevents: no API server or no logger")
	case cfg.Instance == "":
		return nil, errors.New("podevents: no name of the node: set --node-name")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	client, err := newClient(cfg.REST, cfg.Instance)
	if err != nil {
		return nil, fmt.Errorf("podevents: %w", err)
	}
	r := &Recorder{
		client: client, now: cfg.Now, log: cfg.Log, complain: rate.Sometimes{Interval: time.Minute},
		queue:      make(chan Event, maxQueue),
		namespaces: map[string]*rate.Limiter{}, series: map[seriesKey]*series{},
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "secrets_provider_aws_events_total",
			Help: "Events of pods, by result: sent; dropped by the limit of their namespace or because the API server is slow; or failed.",
		}, []string{"result"}),
	}
	for _, result := range []string{sent, dropped, failed} {
		r.events.WithLabelValues(result)
	}
	return r, nil
}

// Record has an Event written soon, and returns at once.
func (r *Recorder) Record(e Event) {
	if !r.allowed(e.Namespace) {
		r.events.WithLabelValues(dropped).Inc()
		return
	}
	select {
	case r.queue <- e:
	default:
		r.events.WithLabelValues(dropped).Inc()
	}
}

// allowed reports whether the namespace may have another Event now.
func (r *Recorder) allowed(namespace string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	limiter, ok := r.namespaces[namespace]
	if !ok {
		if len(r.namespaces) >= maxKept { // far more than a node has
			clear(r.namespaces)
		}
		limiter = rate.NewLimiter(rate.Every(interval), burst)
		r.namespaces[namespace] = limiter
	}
	return limiter.AllowN(r.now(), 1)
}

// Run writes Events until ctx ends.
func (r *Recorder) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-r.queue:
			r.write(ctx, e)
		}
	}
}

func (r *Recorder) write(ctx context.Context, e Event) {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	if err := r.send(ctx, e); err != nil {
		r.events.WithLabelValues(failed).Inc()
		r.complain.Do(func() {
			r.log.LogAttrs(ctx, slog.LevelWarn, "cannot write Events of pods (allow the provider create and patch on events of events.k8s.io, or remove --events)",
				slog.String("error", err.Error()))
		})
		return
	}
	r.events.WithLabelValues(sent).Inc()
}

// send creates the Event, or counts it in the series of an equal one.
func (r *Recorder) send(ctx context.Context, e Event) error {
	now := r.now()
	key := seriesKey{e.Namespace, e.UID, e.Reason, e.Cause}
	if s := r.series[key]; s != nil && now.Sub(s.last) < seriesBreak {
		s.count, s.last = s.count+1, now
		if err := r.client.repeat(ctx, e.Namespace, *s); !isNotFound(err) {
			return err
		} // else the API server has forgotten it
	}
	if len(r.series) >= maxKept {
		clear(r.series)
	}
	name := nameOf(e.Pod, now)
	if err := r.client.create(ctx, e, name, now); err != nil {
		return err
	}
	r.series[key] = &series{name: name, count: 1, last: now}
	return nil
}

// nameOf names an Event as client-go does, within the 253 bytes of a name.
func nameOf(pod string, now time.Time) string {
	return fmt.Sprintf("%s.%x", strings.TrimRight(pod[:min(len(pod), 253-17)], "-."), now.UnixNano())
}

// cut shortens a note to what the API server takes.
func cut(note string) string {
	if len(note) <= maxNote {
		return note
	}
	return strings.ToValidUTF8(note[:maxNote-len("…")], "") + "…"
}

// Describe implements prometheus.Collector. The caller of New registers the Recorder.
func (r *Recorder) Describe(ch chan<- *prometheus.Desc) { r.events.Describe(ch) }

// Collect implements prometheus.Collector.
func (r *Recorder) Collect(ch chan<- prometheus.Metric) { r.events.Collect(ch) }
