package server_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// These tests assert the call counts of the benchmark's scenarios (test/bench). Counts do not depend on the
// machine. Only the benchmark measures times.

// The pods on the node belong to ten ServiceAccounts. The pods of one ServiceAccount share ten secrets.
const (
	countedPods     = 100
	countedAccounts = 10
	countedSecrets  = 10
)

// Limits for connections. AWS's provider opens two for each mount.
const (
	maxBootConnections = 40
	maxSockets         = 64
)

// node returns a rig with an AWS latency, so that connections are in use concurrently. The provider's clock is
// fixed, so that all pods arrive at the same time on a slow machine too.
func node(t *testing.T) *rig.Rig {
	t.Helper()
	now := time.Now()
	r := rig.New(t, rig.Options{AWSDelay: 5 * time.Millisecond, STSApart: true, Now: func() time.Time { return now }})
	for account := range countedAccounts {
		role := fmt.Sprintf("role-%d", account)
		name := accountName(account)
		if err := r.AWS.AddRole(awssim.Role{Name: role, TrustPolicy: r.Issuer.TrustPolicy(rig.Namespace, name), Policies: []awssim.Document{rig.ReadSecrets}}); err != nil {
			t.Fatal(err)
		}
		r.Kube.SetServiceAccount(rig.Namespace, name, map[string]string{rig.RoleAnnotation: "arn:aws:iam::123456789012:role/" + role})
	}
	return r
}

func accountName(account int) string { return fmt.Sprintf("account-%d", account) }

// volumeOf returns the mount request of a pod with count secrets of its ServiceAccount, starting at index first.
func volumeOf(r *rig.Rig, pod, account, first, count int) *v1alpha1.MountRequest {
	objects := ""
	for i := range count {
		name := fmt.Sprintf("account-%d/secret-%d", account, first+i)
		r.AWS.PutSecret(rig.Region, name, "value of "+name)
		objects += "- objectName: " + name + "\n  objectType: secretsmanager\n"
	}
	return r.Request(rig.Mount{
		ServiceAccount: accountName(account), Pod: fmt.Sprintf("pod-%d", pod), Objects: objects,
		Parameters: map[string]string{"region": rig.Region},
	})
}

// boot returns the requests of all pods of the node.
func boot(r *rig.Rig) []*v1alpha1.MountRequest {
	reqs := make([]*v1alpha1.MountRequest, countedPods)
	for pod := range reqs {
		reqs[pod] = volumeOf(r, pod, pod%countedAccounts, 0, countedSecrets)
	}
	return reqs
}

// mountAll mounts all of reqs, at most limit of them concurrently.
func mountAll(t *testing.T, r *rig.Rig, reqs []*v1alpha1.MountRequest, limit int) {
	t.Helper()
	var mounts sync.WaitGroup
	slots := make(chan struct{}, limit)
	for _, req := range reqs {
		slots <- struct{}{}
		mounts.Go(func() {
			defer func() { <-slots }()
			if _, err := r.Client.Mount(t.Context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	mounts.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// wantCalls compares the calls since the last ResetCalls.
func wantCalls(t *testing.T, r *rig.Rig, sts, reads int) {
	t.Helper()
	calls := r.AWS.Calls()
	if got := calls["sts:AssumeRoleWithWebIdentity"]; got != sts {
		t.Errorf("%d calls to STS, want %d", got, sts)
	}
	if got := calls["secretsmanager:GetSecretValue"]; got != reads {
		t.Errorf("%d reads, want %d", got, reads)
	}
	if total := sts + reads; len(r.AWS.CallLog()) != total {
		t.Errorf("calls %v, want %d in all", calls, total)
	}
}

// 100 pods at the same time cost one STS call for each ServiceAccount and one read for each secret, over few
// connections. Republishes within the refresh interval cost no call.
func TestF6_CallsOfNodeBootAndRepublish(t *testing.T) {
	r := node(t)
	reqs := boot(r)
	mountAll(t, r, reqs, len(reqs))
	wantCalls(t, r, countedAccounts, countedAccounts*countedSecrets)
	if _, total := r.AWS.Connections(); total > maxBootConnections {
		t.Errorf("%d connections, want at most %d", total, maxBootConnections)
	}

	r.AWS.ResetCalls()
	for range 3 {
		mountAll(t, r, reqs, len(reqs))
	}
	wantCalls(t, r, 0, 0)
}

// Another pod of a known ServiceAccount costs no STS call.
func TestF6_CallsOfAKnownServiceAccount(t *testing.T) {
	r := node(t)
	mountAll(t, r, []*v1alpha1.MountRequest{volumeOf(r, 0, 0, 0, 20)}, 1)
	r.AWS.ResetCalls()
	mountAll(t, r, []*v1alpha1.MountRequest{volumeOf(r, 1, 0, 20, 20)}, 1)
	wantCalls(t, r, 0, 20)
}

// The number of connections to AWS does not grow with the number of pods.
func TestF24_ConnectionsStayFewUnderLoad(t *testing.T) {
	const (
		pods    = 400
		clients = 16
		secrets = 5
	)
	r := node(t)
	reqs := make([]*v1alpha1.MountRequest, pods)
	for pod := range reqs {
		reqs[pod] = volumeOf(r, pod, pod%countedAccounts, pod*secrets, secrets)
	}
	mountAll(t, r, reqs, clients)
	wantCalls(t, r, countedAccounts, pods*secrets)
	if open, total := r.AWS.Connections(); open > maxSockets || total > maxSockets {
		t.Errorf("%d connections opened, %d of them open; want at most %d", total, open, maxSockets)
	}
}
