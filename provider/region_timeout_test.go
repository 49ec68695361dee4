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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/provider"
)

// hang is the delay of a region that never responds.
const hang = 1000 * time.Hour

// fakeAWS is AWS in memory. The value of every object is the name of its region, and each region has its own delay.
// Without a network testing/synctest controls the time.
type fakeAWS struct {
	mu    sync.Mutex
	delay map[string]time.Duration
	calls map[string]int
}

// Do returns the response to one read.
func (f *fakeAWS) Do(r *http.Request) (*http.Response, error) {
	region := strings.Split(r.URL.Host, ".")[1]
	f.mu.Lock()
	delay := f.delay[region]
	f.calls[region]++
	f.mu.Unlock()
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

// fetcherOf returns a Fetcher in front of an AWS in memory.
func fetcherOf(t *testing.T, cfg provider.Config) (*provider.Fetcher, *fakeAWS) {
	t.Helper()
	fake := &fakeAWS{calls: map[string]int{}}
	return fetcherWith(t, cfg, fake), fake
}

// fetcherWith returns a Fetcher in front of client.
func fetcherWith(t *testing.T, cfg provider.Config, client aws.HTTPClient) *provider.Fetcher {
	t.Helper()
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	var err error
	if cfg.AWS, err = awsclient.Load(context.Background(), awsclient.Options{}); err != nil {
		t.Fatal(err)
	}
	cfg.AWS.HTTPClient, cfg.Log = client, slog.New(slog.DiscardHandler)
	fetcher, err := provider.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return fetcher
}

// setDelay gives both regions the same delay.
func (f *fakeAWS) setDelay(delay time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = map[string]time.Duration{region: delay, second: delay}
}

// A region that hangs costs the timeout of one attempt. It costs only a second if it is the failover region, or if
// it already hung at the last mount.
func TestR9_RegionTimeouts(t *testing.T) {
	const quick = 20 * time.Millisecond
	type delays = map[string]time.Duration
	for _, tt := range []struct {
		name    string
		objects int
		mounts  []delays        // one after the other, each a first mount
		took    []time.Duration // by each mount
		from    []string        // region that served each mount; empty: it failed
	}{
		{"both respond", 1, []delays{{region: quick, second: quick}}, []time.Duration{quick}, []string{region}},
		{"the failover region is slower", 1, []delays{{region: quick, second: quick + 900*time.Millisecond}}, []time.Duration{quick + 900*time.Millisecond}, []string{region}},
		{"the failover region hangs", 1, []delays{{region: quick, second: hang}}, []time.Duration{quick + time.Second}, []string{region}},
		{"the failover region hangs, 100 objects", 100, []delays{{region: quick, second: hang}}, []time.Duration{9*quick + time.Second}, []string{region}},
		{"the primary region is slow", 1, []delays{{region: 4900 * time.Millisecond, second: quick}}, []time.Duration{4900 * time.Millisecond}, []string{region}},
		{"the primary region hangs", 1, []delays{{region: hang, second: quick}}, []time.Duration{5 * time.Second}, []string{second}},
		{"the primary region hangs, 100 objects", 100, []delays{{region: hang, second: quick}}, []time.Duration{5 * time.Second}, []string{second}},
		{"both hang", 1, []delays{{region: hang, second: hang}}, []time.Duration{5 * time.Second}, []string{""}},
		{"the primary region hangs for three mounts", 1, []delays{{region: hang, second: quick}, {region: hang, second: quick}, {region: hang, second: quick}},
			[]time.Duration{5 * time.Second, time.Second, time.Second}, []string{second, second, second}},
		{"the primary region hangs, responds and hangs", 1, []delays{{region: hang, second: quick}, {region: quick, second: quick}, {region: hang, second: quick}},
			[]time.Duration{5 * time.Second, quick, 5 * time.Second}, []string{second, region, second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Now()
			fetcher, fake := fetcherOf(t, provider.Config{Now: func() time.Time { return now }})
			var objects strings.Builder
			for i := range tt.objects {
				objects.WriteString(secret(fmt.Sprint("secret-", i)))
			}
			spc := parse(t, objects.String(), withSecond)
			synctest.Test(t, func(t *testing.T) {
				var took []time.Duration
				var from []string
				for i, delay := range tt.mounts {
					fake.mu.Lock()
					fake.delay = delay
					fake.mu.Unlock()
					began := time.Now()
					name := fmt.Sprint("volume ", i)
					result, err := fetcher.Fetch(t.Context(), provider.Request{Owner: provider.Owner(name), Volume: name, Class: spc, Credentials: someone, MaxBytes: maxBytes, Memory: plenty()})
					took = append(took, time.Since(began))
					served := ""
					if err == nil {
						served = string(result.Files[0].Content)
					}
					from = append(from, served)
					time.Sleep(10 * time.Second) // until no goroutine waits
				}
				if diff := cmp.Diff(tt.took, took); diff != "" {
					t.Errorf("time of the mounts (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.from, from); diff != "" {
					t.Errorf("regions that served (-want +got):\n%s", diff)
				}
				fake.mu.Lock()
				defer fake.mu.Unlock()
				if n := len(tt.mounts) * tt.objects; fake.calls[region] > n || fake.calls[second] > n {
					t.Errorf("calls %v, want at most %d to either", fake.calls, n)
				}
			})
		})
	}
}

// Reads of a region that never responds use all attempts. A pod with last known values does not wait for them, and
// later pods wait even less.
func TestF19_TimeoutWithOneRegion(t *testing.T) {
	const quick, budget = 20 * time.Millisecond, time.Minute
	type step struct {
		delay time.Duration
		pods  int // concurrent
		took  time.Duration
		stale bool
	}
	for _, tt := range []struct {
		name     string
		maxStale time.Duration
		steps    []step
	}{
		{"it hangs, responds and hangs", time.Hour, []step{
			{hang, 1, 10 * time.Second, true}, {hang, 1, time.Second, true}, {quick, 1, quick, false}, {hang, 1, 10 * time.Second, true},
		}},
		{"it is slow", time.Hour, []step{{4900 * time.Millisecond, 1, 4900 * time.Millisecond, false}, {4900 * time.Millisecond, 1, 4900 * time.Millisecond, false}}},
		// Without the timeout, the reads of one volume would use all slots for longer than a mount may last.
		{"it hangs for many pods", time.Hour, []step{{hang, 30, 10 * time.Second, true}, {hang, 30, time.Second, true}}},
		{"stale values are not allowed", 0, []step{{hang, 1, budget, false}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var passed atomic.Int64 // seconds of the fetcher's clock
			start := time.Now()
			fetcher, fake := fetcherOf(t, provider.Config{MaxStale: tt.maxStale, Now: func() time.Time { return start.Add(time.Duration(passed.Load()) * time.Second) }})
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
				fake.setDelay(quick)
				for i := range 30 {
					if _, err := mount(fmt.Sprint("account ", i), fmt.Sprint("volume ", i)); err != nil {
						t.Fatal(err)
					}
				}
				for n, s := range tt.steps {
					synctest.Wait()
					passed.Add(2)
					fake.setDelay(s.delay)
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
				time.Sleep(2 * budget) // until no goroutine waits
			})
		})
	}
}
