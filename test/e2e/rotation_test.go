//go:build e2e

package e2e

import (
	"context"
	"testing"
	"time"
)

func TestRotation_ChangesTheFileAndTheSyncedSecret(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-before")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`,
		"  secretObjects: [{secretName: synced, type: Opaque, data: [{objectName: password, key: password}]}]")
	c.runPod("app", podSpec{classes: []string{"secrets"}, env: map[string]string{"PASSWORD": "password of synced"}})
	if got := c.read("app", "/mnt/secrets/password"); got != "correct-horse-before" {
		t.Errorf("the pod reads %q", got)
	}
	c.untilSynced("synced", "password", "correct-horse-before")
	start := time.Now()
	c.secret("password", "correct-horse-after")
	c.untilRead("app", "/mnt/secrets/password", "correct-horse-after")
	t.Logf("the file changed after %.1f s", time.Since(start).Seconds())
	c.untilSynced("synced", "password", "correct-horse-after")
	t.Logf("the Secret changed after %.1f s", time.Since(start).Seconds())
	if restarts := c.kubectl("get", "pod", "app", "-o", "jsonpath={.status.containerStatuses[0].restartCount}"); restarts != "0" {
		t.Errorf("the container was restarted %s times", restarts)
	}
}

// A pod that starts after put-secret-value always gets the new value, whatever is in the provider's cache.
func TestRotation_NewPodsReadTheNewValueAtOnce(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-old")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`, "    refreshInterval: 24h")
	c.runPod("first", podSpec{classes: []string{"secrets"}})
	c.secret("password", "correct-horse-new")
	outlastSharing()
	c.runPod("second", podSpec{classes: []string{"secrets"}})
	if got := c.read("second", "/mnt/secrets/password"); got != "correct-horse-new" {
		t.Errorf("the new pod reads %q", got)
	}
}

// untilSynced waits until a key of a Kubernetes Secret has the value.
func (c *tenant) untilSynced(secret, key, want string) {
	c.t.Helper()
	c.untilIs(2*time.Minute, key+" of the Secret "+secret, want, func(ctx context.Context) (string, error) {
		var s kubernetesSecret
		err := c.Get(ctx, "/api/v1/namespaces/"+c.namespace+"/secrets/"+secret, &s)
		return string(s.Data[key]), err
	})
}

// kubernetesSecret has the fields of the API's Secret that the cases need.
type kubernetesSecret struct {
	Metadata struct {
		Labels          map[string]string
		OwnerReferences []struct{ Kind, Name string }
	}
	Data map[string][]byte
}

// outlastSharing waits until a first mount can no longer share an earlier read. First mounts may share reads of the last second,
// and this node starts a pod in less than that.
func outlastSharing() { time.Sleep(time.Second) }
