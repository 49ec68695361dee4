package awsclient_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"secrets-provider-aws/internal/awsclient"
)

// AWS is slow, and one identity has 2,000 reads to make. A neighbour, at any moment, needs as long as if it were
// alone: two round trips, for STS and for its read.
func TestT1_ANeighbourWaitsForNoneOfASlowCall(t *testing.T) {
	setenv(t, nil)
	synctest.Test(t, func(t *testing.T) {
		const slow = 300 * time.Millisecond
		a := &account{delay: slow, respond: always(response{})}
		cfg := a.config(t, awsclient.Options{})
		var large sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for range 2000 {
			large.Go(func() { _ = readSecret(as(ctx, "large"), cfg) })
		}
		for i := range 20 {
			time.Sleep(slow * time.Duration(i) / 20) // at another moment of the slow calls each time
			neighbour := as(t.Context(), fmt.Sprint("neighbour ", i))
			started := time.Now()
			for name, call := range map[string]error{"STS": exchange(neighbour, cfg), "read": readSecret(neighbour, cfg)} {
				if call != nil {
					t.Errorf("%s: %v", name, call)
				}
			}
			if took := time.Since(started); took != 2*slow {
				t.Errorf("neighbour %d took %v, want %v", i, took, 2*slow)
			}
		}
		cancel()
		large.Wait()
	})
}

// What one identity alone does takes no longer than before: the reads of one volume are one round trip.
func TestT1_OneVolumeTakesOneRoundTrip(t *testing.T) {
	setenv(t, nil)
	synctest.Test(t, func(t *testing.T) {
		a := &account{delay: oneCall, respond: always(response{})}
		cfg := a.config(t, awsclient.Options{})
		started := time.Now()
		var reads sync.WaitGroup
		for range 24 {
			reads.Go(func() { _ = readSecret(as(t.Context(), "a"), cfg) })
		}
		reads.Wait()
		if took := time.Since(started); took != oneCall {
			t.Errorf("24 reads took %v, want %v", took, oneCall)
		}
	})
}

// A pod that waits goes before one that has its files.
func TestT1_FirstMountsGoBeforeRepublishes(t *testing.T) {
	setenv(t, nil)
	synctest.Test(t, func(t *testing.T) {
		a := &account{delay: oneCall, respond: always(response{})}
		cfg := a.config(t, awsclient.Options{MaxCalls: 1})
		var calls sync.WaitGroup
		call := func(tenant awsclient.Tenant) {
			calls.Go(func() {
				_ = readSecret(awsclient.WithTenant(t.Context(), tenant), signedAs(cfg, fmt.Sprint(tenant.First)))
			})
			synctest.Wait()
		}
		for range 3 {
			call(awsclient.Tenant{Key: "a", Queue: "a"})
		}
		call(awsclient.Tenant{Key: "a", Queue: "a", First: true})
		call(awsclient.Tenant{Key: "b", Queue: "b", First: true})
		calls.Wait()
		var order []string
		for _, r := range a.requests {
			order = append(order, r.key)
		}
		if diff := cmp.Diff([]string{"false", "true", "true", "false", "false"}, order); diff != "" {
			t.Errorf("calls of first mounts (-want +got):\n%s", diff)
		}
	})
}

// A panic in a call costs no slot.
func TestT1_APanicCostsNoSlot(t *testing.T) {
	setenv(t, nil)
	a := &account{respond: func(r request) response {
		if r.key == "panics" {
			panic("in the middle of a call")
		}
		return response{}
	}}
	cfg := a.config(t, awsclient.Options{MaxCalls: 1})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_ = readSecret(t.Context(), signedAs(cfg, "panics"))
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := readSecret(ctx, cfg); err != nil {
		t.Error(err)
	}
}

// A wait for a slot shows in the metric, by kind of mount, and in the log at debug.
func TestT1_AWaitIsVisible(t *testing.T) {
	setenv(t, nil)
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		metrics := awsclient.NewMetrics()
		a := &account{delay: 2 * time.Second, respond: always(response{})}
		cfg := a.config(t, awsclient.Options{MaxCalls: 1, Metrics: metrics, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
			Level: slog.LevelDebug,
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		}))})
		var calls sync.WaitGroup
		for _, ctx := range []context.Context{as(t.Context(), "a"), as(t.Context(), "b"), t.Context()} {
			calls.Go(func() { _ = readSecret(ctx, cfg) })
			synctest.Wait()
		}
		gaveUp, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := readSecret(gaveUp, cfg); err == nil {
			t.Error("a call got a slot, want none")
		}
		calls.Wait()
		const want = `level=DEBUG msg="waited for a slot to call AWS" service="Secrets Manager" operation=GetSecretValue region=ap-south-1 first_mount=true waited=2s
level=DEBUG msg="waited for a slot to call AWS" service="Secrets Manager" operation=GetSecretValue region=ap-south-1 first_mount=false waited=4s
`
		var got strings.Builder
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "waited") {
				got.WriteString(line)
			}
		}
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		waits := samples(t, metrics)
		maps.DeleteFunc(waits, func(name, _ string) bool {
			return !strings.HasPrefix(name, "secrets_provider_aws_queue_wait_seconds_sum") && !strings.HasPrefix(name, "secrets_provider_aws_queue_wait_seconds_count")
		})
		if diff := cmp.Diff(map[string]string{
			`secrets_provider_aws_queue_wait_seconds_count{mount="first"}`: "2", `secrets_provider_aws_queue_wait_seconds_sum{mount="first"}`: "2",
			`secrets_provider_aws_queue_wait_seconds_count{mount="republish"}`: "2", `secrets_provider_aws_queue_wait_seconds_sum{mount="republish"}`: "5",
		}, waits); diff != "" {
			t.Errorf("waits (-want +got):\n%s", diff)
		}
	})
}

// Calls that wait for a slot are no requests: only what is sent counts.
func TestT1_AWaitIsNoRequest(t *testing.T) {
	setenv(t, nil)
	synctest.Test(t, func(t *testing.T) {
		metrics := awsclient.NewMetrics()
		a := &account{delay: time.Minute, respond: always(response{status: http.StatusBadRequest, code: "X"})}
		cfg := a.config(t, awsclient.Options{MaxCalls: 1, Metrics: metrics, MaxAttempts: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var calls sync.WaitGroup
		for range 2 {
			calls.Go(func() { _ = readSecret(ctx, cfg) })
		}
		calls.Wait()
		const name = `secrets_provider_aws_requests_total{code="none",operation="GetSecretValue",service="Secrets Manager"}`
		if got := samples(t, metrics)[name]; got != "1" {
			t.Errorf("%s requests, want 1", got)
		}
	})
}

// samples are what m exposes: name and labels → value.
func samples(t *testing.T, m *awsclient.Metrics) map[string]string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	values := map[string]string{}
	for line := range strings.Lines(page.Body.String()) {
		if at := strings.LastIndexByte(line, ' '); line[0] != '#' {
			values[line[:at]] = strings.TrimSpace(line[at:])
		}
	}
	return values
}
