package provider_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/provider"
)

// hang is the delay of a region that never answers.
const hang = 1000 * time.Hour

// regions is an AWS in memory that answers each region's reads with the region's name, after a delay of its
// own. Without a network the time of a test is the one that it says (testing/synctest).
type regions struct {
	mu    sync.Mutex
	delay map[string]time.Duration
	calls map[string]int
}

// Do answers a read.
func (w *regions) Do(r *http.Request) (*http.Response, error) {
	region := strings.Split(r.URL.Host, ".")[1]
	w.mu.Lock()
	delay := w.delay[region]
	w.calls[region]++
	w.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body: io.NopCloser(strings.NewReader(fmt.Sprintf(`{"SecretString":%q,"VersionId":"1"}`, region))), Request: r,
	}, nil
}

var someone = session{credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", "")}

// fetcherOf is a fetcher with an AWS in memory.
func fetcherOf(t *testing.T, cfg provider.Config) (*provider.Fetcher, *regions) {
	t.Helper()
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	var err error
	if cfg.AWS, err = awsclient.Load(context.Background(), awsclient.Options{}); err != nil {
		t.Fatal(err)
	}
	world := &regions{calls: map[string]int{}}
	cfg.AWS.HTTPClient, cfg.Log = world, slog.New(slog.DiscardHandler)
	fetcher, err := provider.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return fetcher, world
}

// set gives every region the same delay.
func (w *regions) set(delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = map[string]time.Duration{region: delay, second: delay}
}

// A region that hangs costs one attempt's time-out, or a second where the other answers.
func TestR9_TimeoutsOfRegions(t *testing.T) {
	const quick = 20 * time.Millisecond
	type delays = map[string]time.Duration
	for _, tt := range []struct {
		name    string
		objects int
		mounts  []delays        // one after the other, each the first of its volume
		took    []time.Duration // of each
		from    []string        // region that served each; empty for none
	}{
		{"both answer", 1, []delays{{region: quick, second: quick}}, []time.Duration{quick}, []string{region}},
		{"the failover region is slower", 1, []delays{{region: quick, second: quick + 900*time.Millisecond}}, []time.Duration{quick + 900*time.Millisecond}, []string{region}},
		{"the failover region hangs", 1, []delays{{region: quick, second: hang}}, []time.Duration{quick + time.Second}, []string{region}},
		{"the failover region hangs, 100 objects", 100, []delays{{region: quick, second: hang}}, []time.Duration{9*quick + time.Second}, []string{region}},
		{"the primary region is slow", 1, []delays{{region: 4900 * time.Millisecond, second: quick}}, []time.Duration{4900 * time.Millisecond}, []string{region}},
		{"the primary region hangs", 1, []delays{{region: hang, second: quick}}, []time.Duration{5 * time.Second}, []string{second}},
		{"the primary region hangs, 100 objects", 100, []delays{{region: hang, second: quick}}, []time.Duration{5 * time.Second}, []string{second}},
		{"both hang", 1, []delays{{region: hang, second: hang}}, []time.Duration{5 * time.Second}, []string{""}},
		{"the primary region hangs for three mounts", 1, []delays{{region: hang, second: quick}, {region: hang, second: quick}, {region: hang, second: quick}},
			[]time.Duration{5 * time.Second, time.Second, time.Second}, []string{second, second, second}},
		{"it hangs, answers and hangs", 1, []delays{{region: hang, second: quick}, {region: quick, second: quick}, {region: hang, second: quick}},
			[]time.Duration{5 * time.Second, quick, 5 * time.Second}, []string{second, region, second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Now()
			fetcher, world := fetcherOf(t, provider.Config{Now: func() time.Time { return now }})
			var objects strings.Builder
			for i := range tt.objects {
				objects.WriteString(secret(fmt.Sprint("secret-", i)))
			}
			spc := parse(t, objects.String(), withSecond)
			synctest.Test(t, func(t *testing.T) {
				var took []time.Duration
				var from []string
				for i, delay := range tt.mounts {
					world.mu.Lock()
					world.delay = delay
					world.mu.Unlock()
					began := time.Now()
					name := fmt.Sprint("volume ", i)
					result, err := fetcher.Fetch(t.Context(), provider.Request{Owner: provider.Owner(name), Volume: name, Class: spc, Credentials: someone, MaxBytes: maxBytes, Memory: plenty()})
					took = append(took, time.Since(began))
					served := ""
					if err == nil {
						served = string(result.Files[0].Content)
					}
					from = append(from, served)
					time.Sleep(10 * time.Second) // until nothing moves
				}
				if diff := cmp.Diff(tt.took, took); diff != "" {
					t.Errorf("time of the mounts (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.from, from); diff != "" {
					t.Errorf("regions that served (-want +got):\n%s", diff)
				}
				world.mu.Lock()
				defer world.mu.Unlock()
				if n := len(tt.mounts) * tt.objects; world.calls[region] > n || world.calls[second] > n {
					t.Errorf("calls %v, want at most %d to either", world.calls, n)
				}
			})
		})
	}
}

// AWS away: the reads of a region that accepts and never answers take all their attempts; a pod
// whose values are known does not wait for that, nor do those that come after it wait as long.
func TestF19_TimeoutWithOneRegion(t *testing.T) {
	const quick, budget = 20 * time.Millisecond, time.Minute
	type step struct {
		delay time.Duration
		pods  int // at once
		took  time.Duration
		stale bool
	}
	for _, tt := range []struct {
		name     string
		maxStale time.Duration
		steps    []step
	}{
		{"it hangs, then answers, then hangs", time.Hour, []step{
			{hang, 1, 10 * time.Second, true}, {hang, 1, time.Second, true}, {quick, 1, quick, false}, {hang, 1, 10 * time.Second, true},
		}},
		{"it is slow", time.Hour, []step{{4900 * time.Millisecond, 1, 4900 * time.Millisecond, false}, {4900 * time.Millisecond, 1, 4900 * time.Millisecond, false}}},
		// One volume's reads would take all places for longer than a mount may take.
		{"it hangs for many pods", time.Hour, []step{{hang, 30, 10 * time.Second, true}, {hang, 30, time.Second, true}}},
		{"nothing may be served stale", 0, []step{{hang, 1, budget, false}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var passed atomic.Int64 // seconds of the fetcher's clock
			start := time.Now()
			fetcher, world := fetcherOf(t, provider.Config{MaxStale: tt.maxStale, Now: func() time.Time { return start.Add(time.Duration(passed.Load()) * time.Second) }})
			var objects strings.Builder
			for i := range 20 {
				objects.WriteString(secret(fmt.Sprint("secret-", i)))
			}
			spc := parse(t, objects.String(), nil)
			synctest.Test(t, func(t *testing.T) {
				mount := func(account, volume string) (provider.Result, error) {
					ctx, cancel := context.WithTimeout(t.Context(), budget)
					defer cancel()
					return fetcher.Fetch(ctx, provider.Request{Owner: provider.Owner(account), Volume: volume, Class: spc, Credentials: someone, MaxBytes: maxBytes, Memory: plenty()})
				}
				world.set(quick)
				for i := range 30 {
					if _, err := mount(fmt.Sprint("account ", i), fmt.Sprint("volume ", i)); err != nil {
						t.Fatal(err)
					}
				}
				for n, s := range tt.steps {
					synctest.Wait()
					passed.Add(2)
					world.set(s.delay)
					var all sync.WaitGroup
					for i := range s.pods {
						all.Go(func() {
							began := time.Now()
							result, err := mount(fmt.Sprint("account ", i), fmt.Sprintf("volume %d of step %d", i, n))
							if took := time.Since(began); took != s.took {
								t.Errorf("step %d: the mount took %v, want %v", n, took, s.took)
							}
							if refused := s.took == budget; refused != (err != nil) || (result.Stale == 20) != s.stale {
								t.Errorf("step %d: %d stale values and error %v", n, result.Stale, err)
							}
						})
					}
					all.Wait()
				}
				time.Sleep(2 * budget) // until nothing moves
			})
		})
	}
}
