package server_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// 10,000 mounts (first mounts, republishes and failures) leak no goroutine and no connection.
func TestT36_NothingLeaksOver10000Mounts(t *testing.T) {
	r, clock := freshRig(t, rig.Options{})
	mount := func(i int) {
		m := pod(fmt.Sprintf("p%d", i%100))
		switch {
		case i%50 == 0:
			clock.Advance(2 * time.Second)
			m.Pod = fmt.Sprintf("new-%d", i)
		case i%333 == 0:
			m.Objects = "- {objectName: missing, objectType: secretsmanager}\n"
		}
		if _, err := r.Mount(m); (err != nil) != (i%333 == 0 && i%50 != 0) {
			t.Fatalf("mount %d: %v", i, err)
		}
	}
	for i := range 1000 {
		mount(i)
	}
	goroutines := runtime.NumGoroutine()
	open, _ := r.AWS.Connections()
	for i := range 10_000 {
		mount(i)
	}
	const slack = 10 // connections of the test itself
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > goroutines+slack && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if now := runtime.NumGoroutine(); now > goroutines+slack {
		t.Errorf("%d goroutines, %d before the mounts", now, goroutines)
	}
	if now, total := r.AWS.Connections(); now > open+slack || total > 50 {
		t.Errorf("%d connections are open and %d were made; %d were open before", now, total, open)
	}
}

// CacheMaxBytes limits the cache, and one tenant to a quarter of it (rule T16).
func TestF21_CacheIsBoundedByBytes(t *testing.T) {
	const most = 1 << 20
	r, _ := freshRig(t, rig.Options{CacheMaxBytes: most})
	content := strings.Repeat("x", 60<<10)
	for i := range 20 {
		r.AWS.PutSecret(rig.Region, fmt.Sprint("big-", i), content)
	}
	for tenants := range 8 { // 1.2 MB of values each
		account := fmt.Sprint("sa-", tenants)
		if err := r.AWS.AddRole(awssim.Role{Name: account, TrustPolicy: r.Issuer.TrustPolicy(rig.Namespace, account), Policies: []awssim.Document{rig.ReadSecrets}}); err != nil {
			t.Fatal(err)
		}
		r.Kube.SetServiceAccount(rig.Namespace, account, map[string]string{rig.RoleAnnotation: "arn:aws:iam::123456789012:role/" + account})
		for i := range 20 {
			r.Files(rig.Mount{ServiceAccount: account, Pod: account, Objects: fmt.Sprintf("- {objectName: big-%d, objectType: secretsmanager}\n", i)})
		}
		held := r.Metric("secrets_provider_aws_cache_bytes")
		if high := min(float64(tenants+1)*most/4, most); held > high || held < high/3 {
			t.Errorf("after %d tenants the cache holds %.0f bytes, want at most %.0f and not much less", tenants+1, held, high)
		}
	}
}

// The cache drops a value that no volume used for three intervals.
func TestF22_CacheDropsUnusedValues(t *testing.T) {
	r, clock := freshRig(t, rig.Options{RefreshInterval: time.Minute, MaxStale: time.Hour})
	wantFile(t, r, pod("a"), "one")
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Status: 503})
	clock.Advance(3*time.Minute + 2*time.Second)
	if _, err := r.Mount(pod("b")); err == nil {
		t.Error("a value was served that no volume used for three intervals")
	}
}
