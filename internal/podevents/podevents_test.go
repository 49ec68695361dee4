package podevents_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"secrets-provider-aws/internal/podevents"
	"secrets-provider-aws/test/kubesim"
	"secrets-provider-aws/test/rig"
)

// bed is a Recorder that writes to a Kubernetes API server.
type bed struct {
	*podevents.Recorder
	kube  *kubesim.Sim
	clock *rig.Clock
	logs  *bytes.Buffer // to be read after stop
	stop  func()        // waits until the Recorder has stopped
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{kube: kubesim.Start(0), clock: rig.NewClock(), logs: &bytes.Buffer{}}
	t.Cleanup(b.kube.Close)
	var err error
	b.Recorder, err = podevents.New(podevents.Config{
		REST: &rest.Config{Host: b.kube.URL(), QPS: 1000, Burst: 1000}, Instance: "node-1", Now: b.clock.Now, Log: slog.New(slog.NewTextHandler(b.logs, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.Run(ctx) })
	b.stop = func() { cancel(); running.Wait() }
	t.Cleanup(b.stop)
	return b
}

func event(pod string) podevents.Event {
	return podevents.Event{Namespace: "payments", Pod: pod, UID: "uid-of-" + pod, Warning: true, Reason: "SecretRefreshFailed", Cause: "transient", Note: "no"}
}

// await returns the Events after the API server has n of them.
func (b *bed) await(t *testing.T, n int) []kubesim.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	events, err := b.kube.Events(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// Equal Events become a series, those after a break or with another cause a new Event.
func TestI14_EqualEventsAreASeries(t *testing.T) {
	b := newBed(t)
	for range 3 {
		b.Record(event("a"))
		b.clock.Advance(time.Minute)
	}
	other := event("a")
	other.Cause = "denied"
	b.Record(other)
	events := b.await(t, 2)
	if s := events[0].Series; s == nil || s.Count != 3 || events[1].Series != nil {
		t.Errorf("%+v and %+v, want a series of 3 and a single Event", events[0].Series, events[1].Series)
	}
	b.clock.Advance(6 * time.Minute)
	b.Record(event("a"))
	if events := b.await(t, 3); events[2].Series != nil {
		t.Errorf("%+v, want a new Event", events[2].Series)
	}
	b.kube.ForgetEvents()
	b.Record(event("a")) // the API server has forgotten it: it is created again
	if events := b.await(t, 1); events[0].Series != nil {
		t.Errorf("%+v, want a new Event", events[0].Series)
	}
}

// Events that the API server would refuse are made to fit.
func TestI14_LongEventsFit(t *testing.T) {
	b := newBed(t)
	e := event(strings.Repeat("x", 235) + "-" + strings.Repeat("y", 17))
	e.Note = strings.Repeat("é", 1000)
	b.Record(e)
	if note := b.await(t, 1)[0].Note; len(note) > 1024 || !strings.HasSuffix(note, "é…") {
		t.Errorf("a note of %d bytes that ends in %q", len(note), note[len(note)-8:])
	}
}

// counts gives the Events by result.
func (b *bed) counts(t *testing.T) map[string]int {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(b)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, m := range families[0].GetMetric() {
		counts[m.GetLabel()[0].GetValue()] = int(m.GetCounter().GetValue())
	}
	return counts
}

// Without the permission there is one line in the log, and one count for each Event.
func TestI14_MissingPermissionIsLoggedOnce(t *testing.T) {
	b := newBed(t)
	b.kube.Refuse("events", http.StatusForbidden)
	for i := range 20 {
		b.Record(event(fmt.Sprint("p", i)))
	}
	b.kube.Await("POST events", 20)
	b.stop()
	if lines := strings.Count(b.logs.String(), "\n"); lines != 1 || !strings.Contains(b.logs.String(), "allow the provider create and patch on events") {
		t.Errorf("the log: %s", b.logs)
	}
	if diff := cmp.Diff(map[string]int{"sent": 0, "dropped": 0, "failed": 20}, b.counts(t)); diff != "" {
		t.Errorf("Events (-want +got):\n%s", diff)
	}
}

// Record returns at once while the API server does not respond, and what does not fit into the queue is dropped.
func TestI14_RecordNeverWaits(t *testing.T) {
	b := newBed(t)
	release := b.kube.Hang("events")
	defer release()
	const events = 10_000
	for i := range events {
		e := event("p")
		e.Namespace = fmt.Sprint("namespace-", i)
		b.Record(e)
	}
	b.kube.Await("POST events", 1)
	release()
	b.stop()
	if n := b.counts(t)["dropped"]; n < events-256-1 {
		t.Errorf("%d of %d Events dropped, want all that the queue of 256 cannot hold", n, events)
	}
}
