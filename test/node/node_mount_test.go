//go:build e2e

package node_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/node"
)

// counter is a provider with one secret. The test sets the value.
type counter struct {
	v1alpha1.UnimplementedCSIDriverProviderServer
	value      atomic.Int64
	attributes atomic.Value // of the last request
}

func (c *counter) Version(context.Context, *v1alpha1.VersionRequest) (*v1alpha1.VersionResponse, error) {
	return &v1alpha1.VersionResponse{Version: "v1alpha1", RuntimeName: "counter", RuntimeVersion: "1"}, nil
}

func (c *counter) Mount(_ context.Context, r *v1alpha1.MountRequest) (*v1alpha1.MountResponse, error) {
	c.attributes.Store(r.Attributes)
	value := fmt.Sprint(c.value.Load())
	return &v1alpha1.MountResponse{
		ObjectVersion: []*v1alpha1.ObjectVersion{{Id: "count", Version: value}},
		Files:         []*v1alpha1.File{{Path: "count", Mode: 0o444, Contents: []byte(value)}},
	}, nil
}

const counting = `
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: counter, namespace: default}
spec:
  provider: counter
  parameters: {objects: none}
  secretObjects: [{secretName: counter, type: Opaque, data: [{objectName: count, key: count}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: counter, namespace: default}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {name: app, image: "localhost/testapp:1", imagePullPolicy: Never, args: [/secrets], volumeMounts: [{name: secrets, mountPath: /secrets}]}
  volumes:
    - name: secrets
      csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: counter}}
`

// mount checks a secret's path through the node: kubelet, driver, provider, the volume of a running container, and the unmount.
func mount(ctx context.Context, t *testing.T, n *node.Node) {
	provider := &counter{}
	// This process serves a socket in the node's folder. The driver uses it like any other provider.
	listener, err := net.Listen("unix", n.Path("/run/secrets-store-csi-providers/counter.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	v1alpha1.RegisterCSIDriverProviderServer(server, provider)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()

	if err := n.Apply(ctx, counting); err != nil {
		t.Fatal(err)
	}
	if err := n.WaitPodReady(ctx, "default", "counter"); err != nil {
		t.Fatal(err)
	}
	waitFor := func(want string, what string, get func() (string, error)) {
		t.Helper()
		start := time.Now()
		var got string
		var err error
		for time.Since(start) < 2*time.Minute {
			if got, err = get(); err == nil && got == want {
				t.Logf("%s is %s after %s", what, want, time.Since(start).Round(time.Millisecond))
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("%s is %q, %v; want %q", what, got, err, want)
	}
	inPod := func() (string, error) { return n.Exec(ctx, "default", "counter", "cat", "/secrets/count") }
	inSecret := func() (string, error) {
		return n.Kubectl(ctx, "get", "secret", "counter", "-o", "go-template={{.data.count | base64decode}}")
	}
	waitFor("0", "the file", inPod)
	waitFor("0", "the synced Secret", inSecret)
	provider.value.Store(1)
	waitFor("1", "the file", inPod)
	waitFor("1", "the synced Secret", inSecret)
	for _, want := range []string{"sts.amazonaws.com", "pods.eks.amazonaws.com", `"csi.storage.k8s.io/pod.name":"counter"`} {
		if attributes := provider.attributes.Load().(string); !strings.Contains(attributes, want) {
			t.Errorf("no %s in the request's attributes", want)
		}
	}
	if err := n.DeletePods(ctx, "default", ""); err != nil {
		t.Fatal(err)
	}
	mounts, err := n.Mounts()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if strings.Contains(m.Target, "kubernetes.io~csi") {
			t.Errorf("%s is still mounted", m.Target)
		}
	}
}
