package provider_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/provider/class"
)

// throttling is an AWS in memory that throttles the reads of one access key, after 20 ms, so many times.
type throttling struct {
	key   string
	times atomic.Int64
	reads atomic.Int64 // of that key
}

const roundTrip = 20 * time.Millisecond

// Do answers a read.
func (a *throttling) Do(r *http.Request) (*http.Response, error) {
	time.Sleep(roundTrip)
	status, body := http.StatusOK, `{"SecretString":"v","VersionId":"1"}`
	if strings.Contains(r.Header.Get("Authorization"), "Credential="+a.key+"/") {
		a.reads.Add(1)
		if a.times.Add(-1) >= 0 {
			status, body = http.StatusBadRequest, `{"__type":"ThrottlingException","message":"Rate exceeded"}`
		}
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

// mountAs mounts a volume of an owner with an access key of the owner's name, within a minute.
func mountAs(ctx context.Context, fetcher *provider.Fetcher, owner, volume string, spc class.Class) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := fetcher.Fetch(ctx, provider.Request{
		Owner: provider.Owner(owner), Volume: volume, Class: spc, MaxBytes: maxBytes, Memory: plenty(),
		Credentials: session{credentials.NewStaticCredentialsProvider(owner, "secret", "")},
	})
	return err
}

func wantThrottled(t *testing.T, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "ThrottlingException: Rate exceeded") || strings.Contains(err.Error(), fault.Late) {
		t.Errorf("error %v, want what AWS said", err)
	}
}

// One owner is throttled without end and has many secrets. Another mounts as fast as if it were alone.
func TestT2_AThrottledOwnerSlowsNoOther(t *testing.T) {
	var many strings.Builder
	for i := range 100 {
		many.WriteString(secret(fmt.Sprint("secret-", i)))
	}
	large, small := parse(t, many.String(), nil), parse(t, secret("db"), nil)
	world := &throttling{key: "noisy"}
	world.times.Store(1 << 40)
	fetcher := fetcherWith(t, provider.Config{}, world)
	synctest.Test(t, func(t *testing.T) {
		var noisy sync.WaitGroup
		noisy.Go(func() { wantThrottled(t, mountAs(t.Context(), fetcher, "noisy", "its volume", large)) })
		for i := range 20 {
			time.Sleep(time.Second)
			started := time.Now()
			if err := mountAs(t.Context(), fetcher, "quiet", fmt.Sprint("volume ", i), small); err != nil {
				t.Error(err)
			}
			if took := time.Since(started); took != roundTrip {
				t.Errorf("mount %d took %v, want %v", i, took, roundTrip)
			}
		}
		noisy.Wait()
	})
}

// A first mount that is throttled goes on, as a pod waits for it; a republish gives up after four attempts.
func TestT3_AFirstMountOutlastsThrottling(t *testing.T) {
	var passed atomic.Int64 // ns, of the fetcher's clock
	start := time.Now()
	world := &throttling{key: "a"}
	fetcher := fetcherWith(t, provider.Config{Now: func() time.Time { return start.Add(time.Duration(passed.Load())) }}, world)
	spc := parse(t, secret("db"), nil)
	synctest.Test(t, func(t *testing.T) {
		world.times.Store(10)
		if err := mountAs(t.Context(), fetcher, "a", "volume", spc); err != nil {
			t.Errorf("first mount: %v", err)
		}
		if n := world.reads.Swap(0); n != 11 {
			t.Errorf("first mount: %d reads, want 11", n)
		}
		passed.Add(int64(10 * time.Minute))
		world.times.Store(10)
		wantThrottled(t, mountAs(t.Context(), fetcher, "a", "volume", spc))
		if n := world.reads.Load(); n != 4 {
			t.Errorf("republish: %d reads, want 4", n)
		}
	})
}
