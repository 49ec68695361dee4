package provider_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/provider/class"
)

// Forty pods of two tenants wait for a region that hangs: their reads would take 50 MiB, and there are 20. Mounts that do
// not need the region take no longer than without them.
func TestT18_ARegionThatHangsLeavesMemory(t *testing.T) {
	const quick, budget, pods = 20 * time.Millisecond, time.Minute, 40
	var objects strings.Builder
	for i := range 20 {
		objects.WriteString(secret(fmt.Sprint("secret-", i)))
	}
	var passed atomic.Int64 // seconds of the fetcher's clock
	start := time.Now()
	fetcher, fake := fetcherOf(t, provider.Config{MaxStale: time.Hour, Now: func() time.Time { return start.Add(time.Duration(passed.Load()) * time.Second) }})
	fake.delay = map[string]time.Duration{}
	alone := parse(t, objects.String(), nil)
	other := parse(t, objects.String(), map[string]string{"region": second})
	both := parse(t, objects.String(), withSecond)
	reversed := parse(t, objects.String(), map[string]string{"region": second, "failoverRegion": region})
	memory := bytebudget.New(20 << 20)
	synctest.Test(t, func(t *testing.T) {
		mount := func(tenant, owner, volume string, spc class.Class) (provider.Result, error) {
			ctx, cancel := context.WithTimeout(t.Context(), budget)
			defer cancel()
			account := memory.Open(tenant)
			defer account.Close()
			return fetcher.Fetch(ctx, provider.Request{
				Owner: provider.Owner(owner), Tenant: tenant, Volume: volume, Class: spc, Credentials: someone, MaxBytes: maxBytes, Memory: account,
			})
		}
		fake.setDelay(quick)
		if _, err := mount("c", "c", "", alone); err != nil {
			t.Fatal(err)
		}
		passed.Add(60)
		fake.mu.Lock()
		fake.delay[region] = hang
		fake.mu.Unlock()

		var waiting sync.WaitGroup
		for i := range pods {
			waiting.Go(func() {
				var e *fault.Error
				if _, err := mount(fmt.Sprint("tenant ", i%2), fmt.Sprint("role ", i), "", alone); !errors.As(err, &e) || e.Kind != fault.Transient {
					t.Errorf("a mount from the region that hangs: %v", err)
				}
			})
		}
		synctest.Wait()
		if memory.Waiting() == 0 {
			t.Fatal("nobody waits for memory: the test shows nothing")
		}
		for _, tt := range []struct {
			name, tenant string
			class        class.Class
			within       time.Duration
			want         provider.Sources
		}{
			{"another region", "c", other, 5 * quick, provider.Sources{Read: 20}}, // 4 slots are free
			{"the region that hangs is the failover region", "c", reversed, 5*quick + time.Second, provider.Sources{Cached: 20}},
			{"a failover region", "d", both, 5 * time.Second, provider.Sources{Failover: 20}},
			{"last known values", "c", alone, 10 * time.Second, provider.Sources{Stale: 20}},
			{"last known values, once it is unhealthy", "c", alone, time.Second, provider.Sources{Stale: 20}},
		} {
			began := time.Now()
			result, err := mount(tt.tenant, tt.tenant, "", tt.class)
			if took := time.Since(began); err != nil || took > tt.within || result.Sources != tt.want {
				t.Errorf("%s: %+v after %v and error %v, want %+v within %v", tt.name, result.Sources, took, err, tt.want, tt.within)
			}
		}
		waiting.Wait()
		time.Sleep(2 * budget) // until no goroutine waits
		if memory.Used() != 0 {
			t.Errorf("%d bytes are left", memory.Used())
		}
	})
}
