package provider_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/provider"
	"secrets-provider-aws/provider/awsapi"
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

// BENCH.md, black hole: a region that hangs costs one attempt's time-out, or a second where the other answers.
func TestContractB_Failover_PatienceWithRegions(t *testing.T) {
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
			t.Setenv("AWS_CONFIG_FILE", "/dev/null")
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
			cfg, err := awsapi.Load(context.Background(), awsapi.Options{})
			if err != nil {
				t.Fatal(err)
			}
			world := &regions{calls: map[string]int{}}
			cfg.HTTPClient = world
			now := time.Now()
			fetcher, err := provider.New(provider.Config{AWS: cfg, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			var objects strings.Builder
			for i := range tt.objects {
				objects.WriteString(secret(fmt.Sprint("secret-", i)))
			}
			class := parse(t, objects.String(), withSecond)
			user := session{credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", "")}
			synctest.Test(t, func(t *testing.T) {
				var took []time.Duration
				var from []string
				for i, delay := range tt.mounts {
					world.mu.Lock()
					world.delay = delay
					world.mu.Unlock()
					began := time.Now()
					name := fmt.Sprint("volume ", i)
					result, err := fetcher.Fetch(t.Context(), provider.Request{Owner: provider.Owner(name), Volume: name, Class: class, Credentials: user})
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
