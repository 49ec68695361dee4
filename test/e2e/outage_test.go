//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"secrets-provider-aws/test/csidriver"
)

// Without an API server the kubelet learns of no new pods. So this case calls the provider's socket as the driver does, with tokens
// from before the outage. It also checks that a running pod is still refreshed.
func TestAPIServerDown_KnownServiceAccountsMount(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-before-outage")
	objects := `[{objectName: ` + name + `, objectType: secretsmanager, objectAlias: password}]`
	c.class("secrets", objects)
	c.apply(fmt.Sprintf("{apiVersion: v1, kind: ServiceAccount, metadata: {name: unseen, namespace: %s}}", c.namespace))
	c.setRole(c.namespace+"-unseen", c.trust(c.namespace, "unseen"))
	// On EKS, AWS serves the issuer's keys, so they survive an API server outage. Here the API server serves them, but STS caches them
	// for a minute. Registering the provider again makes the cached keys fresh.
	c.must(c.aws.AddOIDCProvider(c.issuer()))
	c.runPod("running", podSpec{classes: []string{"secrets"}})
	file := c.hostPath("running", 0, "password")
	known, unseen := c.token(serviceAccount), c.token("unseen")
	conn, err := csidriver.Dial(c.Path(socket))
	c.must(err)
	defer func() { _ = conn.Close() }()
	mounts := 0
	mount := func(account, token, role string) (string, error) {
		mounts++ // each is a pod that is new to the provider
		ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
		defer cancel()
		dir := t.TempDir()
		err := csidriver.Mount(ctx, conn, csidriver.Volume{
			Namespace: c.namespace, ServiceAccount: account, Pod: fmt.Sprint("pod-", mounts), PodUID: fmt.Sprint("uid-", mounts), Class: "secrets",
			Parameters: map[string]string{"objects": objects, "roleArn": role}, Tokens: map[string]string{audience: token},
		}, dir)
		text, readErr := os.ReadFile(filepath.Join(dir, "password"))
		return string(text), errors.Join(err, readErr)
	}

	c.must(c.StopAPIServer(c.ctx))
	start := sync.OnceFunc(func() {
		if err := c.StartAPIServer(context.WithoutCancel(c.ctx)); err != nil {
			t.Error(err)
		}
	})
	defer start()
	stopped := time.Now()
	c.secret("password", "correct-horse-in-outage")
	// With the role in the class, the provider does not need the API server.
	if text, err := mount("unseen", unseen, c.roleARN()+"-unseen"); err != nil || !strings.HasPrefix(text, "correct-horse") {
		t.Errorf("with roleArn, a pod of a new ServiceAccount mounts %q, %v", text, err)
	}
	// A first mount gives the new value, but may share a read of the last second.
	c.untilIs(30*time.Second, "the new value at a first mount", "correct-horse-in-outage", func(context.Context) (string, error) {
		return mount(serviceAccount, known, "")
	})
	// The provider looks up a ServiceAccount's role again after 30 s.
	pods := time.NewTicker(500 * time.Millisecond)
	defer pods.Stop()
	for ; time.Since(stopped) < 35*time.Second; <-pods.C {
		text, err := mount(serviceAccount, known, "")
		if err != nil || text != "correct-horse-in-outage" {
			t.Fatalf("%.1f s into the outage a pod mounts %q, %v", time.Since(stopped).Seconds(), text, err)
		}
	}
	t.Logf("%d first mounts in %.0f s without an API server", mounts, time.Since(stopped).Seconds())
	if n := c.exchanges(); n != 1 {
		t.Errorf("%d requests to STS, want 1", n)
	}
	_, err = mount("unseen", unseen, "")
	t.Logf("without a role: %v", err)
	if code := status.Code(err); code == codes.OK || !strings.Contains(fmt.Sprint(err), "unseen") {
		t.Errorf("a new ServiceAccount without a role: %v", err)
	}
	// Files of running pods are still refreshed, because the kubelet has tokens that are still valid.
	c.untilIs(3*time.Minute, "the file of the running pod", "correct-horse-in-outage", func(context.Context) (string, error) {
		text, err := os.ReadFile(file)
		return string(text), err
	})
	start()
	t.Logf("the outage lasted %.0f s", time.Since(stopped).Seconds())
	// Also use a new class. When its pod is ready, everything that watches the API server has reconnected, also the driver. The next
	// case then starts on a healthy node.
	ended := time.Now()
	c.class("after", objects)
	c.runPod("after", podSpec{classes: []string{"after"}})
	t.Logf("a new pod is ready %.1f s after the outage", time.Since(ended).Seconds())
}

// token returns a ServiceAccount token for STS, as the kubelet gives it to the driver.
func (c *tenant) token(account string) string {
	c.t.Helper()
	token, err := c.Token(c.ctx, c.namespace, account, audience, time.Hour)
	c.must(err)
	c.values = append(c.values, token)
	return token
}

// hostPath is the host's path of a file in a pod's volume, by the volume's number.
func (c *tenant) hostPath(pod string, volume int, file string) string {
	c.t.Helper()
	uid := c.kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
	return c.Path(fmt.Sprintf("/var/lib/kubelet/pods/%s/volumes/kubernetes.io~csi/secrets-%d/mount/%s", uid, volume, file))
}
