package server_test

import (
	"fmt"
	"sync"
	"testing"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/rig"
)

// mostSeries is the most time series that the provider exposes, whatever pods and classes it serves: see "Metrics" in
// docs/reference.md. Those of Go and the process are about 50 more.
const mostSeries = 1000

// No label has a name that a pod author chooses, except the region, which has at most 16 values and "other".
func TestT56_SeriesDoNotGrowWithPodsAndObjects(t *testing.T) {
	const pods = 10_000
	r, _ := freshRig(t, rig.Options{AWSDelay: 1, AWS: awsclient.Options{MaxAttempts: 1}})
	atStart := r.Series()
	requests := make(chan *v1alpha1.MountRequest)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for req := range requests {
				_, _ = r.Client.Mount(t.Context(), req) // most fail, each for one of several reasons
			}
		})
	}
	for i := range pods {
		m := rig.Mount{
			Namespace: rig.Namespace, Pod: fmt.Sprint("pod-", i), Class: fmt.Sprint("class-", i),
			Objects: fmt.Sprintf("- {objectName: object-%d, objectType: %s}\n", i, []string{"secretsmanager", "ssmparameter"}[i%2]),
		}
		switch i % 20 {
		case 0:
			m.Objects = oneSecret
		case 1:
			m.Parameters = map[string]string{"region": fmt.Sprint("region-", i)}
		case 2:
			m.ServiceAccount = fmt.Sprint("account-", i)
		case 3:
			m.Objects = fmt.Sprint("nonsense-", i)
		}
		requests <- r.Request(m)
	}
	close(requests)
	clients.Wait()
	if ok, failed := mounts(r, "result", "ok"), mounts(r, "result", "error"); ok < pods/20 || ok+failed != pods {
		t.Errorf("%v mounts succeeded and %v failed, want %d, a twentieth of them successful", ok, failed, pods)
	}
	series := r.Series()
	if series > mostSeries {
		t.Errorf("%d series, want at most %d", series, mostSeries)
	}
	t.Logf("%d series at the start, %d after %d pods", atStart, series, pods)
}
