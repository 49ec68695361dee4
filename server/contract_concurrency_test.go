package server_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/rig"
)

// The driver has no concurrency limit, so a node that restarts sends a burst. Each pod gets its own response,
// and a failure of one pod does not affect another.
func TestD33_BurstOfMounts(t *testing.T) {
	const pods = 100
	r := rig.New(t, rig.Options{AWS: awsclient.Options{AttemptTimeout: time.Hour}}) // no retries, because calls are counted
	requests := make([]*v1alpha1.MountRequest, pods)
	for i := range requests {
		name := fmt.Sprintf("app-%03d", i)
		if i%10 != 9 { // each tenth secret is missing
			r.AWS.PutSecret(rig.Region, name, "value of "+name)
		}
		requests[i] = r.Request(rig.Mount{
			Pod: name, Parameters: inRegion(),
			Objects: fmt.Sprintf("- {objectName: %s, objectType: secretsmanager}", name),
		})
	}
	var burst sync.WaitGroup
	outcomes := make([]outcome, pods)
	for i := range requests {
		burst.Go(func() {
			outcomes[i].resp, outcomes[i].err = r.Client.Mount(t.Context(), requests[i])
		})
	}
	burst.Wait()
	for i, got := range outcomes {
		name := fmt.Sprintf("app-%03d", i)
		if i%10 == 9 {
			wantStatus(t, got.err, codes.NotFound, fmt.Sprintf("%q", name))
			continue
		}
		if got.err != nil {
			t.Errorf("%s: %v", name, got.err)
			continue
		}
		files := got.resp.GetFiles()
		if len(files) != 1 || files[0].GetPath() != name || string(files[0].GetContents()) != "value of "+name {
			t.Errorf("%s got other files: %v", name, files)
		}
	}
	want := map[string]int{"sts:AssumeRoleWithWebIdentity": pods, "secretsmanager:GetSecretValue": pods}
	if diff := cmp.Diff(want, r.AWS.Calls()); diff != "" {
		t.Errorf("AWS calls (-want +got):\n%s", diff)
	}
}

// The driver does not lock a volume, so a call that timed out can overlap its retry. Two concurrent mounts of
// one volume get two responses.
func TestD34_OverlappingMountsOfOneVolume(t *testing.T) {
	g := newGate(t)
	r := rig.New(t, rig.Options{State: dbWorld, APIServer: g.url})
	first := startMount(t, r)
	<-g.arrived
	noLookup := map[string]string{"region": rig.Region, "roleArn": rig.RoleARN} // the first mount waits for the API server
	wantFiles(t, r, r.Request(rig.Mount{Parameters: noLookup, Objects: dbSecret}), map[string]string{"prod_db": "hunter2"})
	close(g.release)
	if got := <-first; got.err != nil {
		t.Errorf("the first mount: %v", got.err)
	}
	if got := r.AWS.Calls()["secretsmanager:GetSecretValue"]; got != 2 {
		t.Errorf("%d reads, want one for each mount", got)
	}
}

// awaitCalls waits until an operation was called.
func awaitCalls(t *testing.T, r *rig.Rig, operation string) {
	t.Helper()
	for r.AWS.Calls()[operation] == 0 {
		if t.Context().Err() != nil {
			t.Fatal("the test ended")
		}
		runtime.Gosched()
	}
}
