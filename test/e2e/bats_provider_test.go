//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// This is the driver's own end-to-end test of any provider, with the same cases and names: test/bats/e2e-provider.bats of
// sigs.k8s.io/secrets-store-csi-driver v1.6.1. Our provider with AWS replaces its mock provider. "foo" is its secret and "fookey" its key.

// key has several lines, like the mock provider's.
const key = "-----BEGIN PUBLIC KEY-----\nThis is mock key\n-----END PUBLIC KEY-----\n"

// mock creates what the mock provider serves and returns its objects.
func (c *tenant) mock() (objects string) {
	return fmt.Sprintf("[{objectName: %s, objectType: secretsmanager, objectAlias: foo}, {objectName: %s, objectType: ssmparameter, objectAlias: fookey}]",
		c.secret("foo", "secret-of-"+c.namespace), c.parameter("fookey", key))
}

func syncedTo(secret string) string {
	return "  secretObjects: [{secretName: " + secret + ", type: Opaque, labels: {environment: test}, data: [{objectName: foo, key: username}]}]"
}

func TestBats_Provider_CRDsAndRBAC(t *testing.T) {
	c := newTenant(t)
	for _, crd := range []string{"secretproviderclasses", "secretproviderclasspodstatuses"} {
		c.step(crd+" crd is established", func() {
			c.kubectl("wait", "--for=condition=established", "--timeout=60s", "crd/"+crd+".secrets-store.csi.x-k8s.io")
		})
	}
	c.step("Test rbac roles and role bindings exist", func() {
		c.kubectl("get", "clusterrole/secretproviderclasses-role", "clusterrole/secretproviderclasses-admin-role", "clusterrole/secretproviderclasses-viewer-role",
			"clusterrole/secretproviderclasspodstatuses-viewer-role", "clusterrole/secretprovidersyncing-role",
			"clusterrolebinding/secretproviderclasses-rolebinding", "clusterrolebinding/secretprovidersyncing-rolebinding")
	})
	c.step("token requests audience", func() {
		audiences := c.kubectl("get", "csidriver", "secrets-store.csi.k8s.io", "-o", "jsonpath={.spec.tokenRequests[*].audience}")
		if audiences != "sts.amazonaws.com pods.eks.amazonaws.com" {
			c.t.Errorf("audiences %q", audiences)
		}
	})
}

func TestBats_Provider_InlineVolume(t *testing.T) {
	for _, version := range []string{"v1alpha1", "v1"} {
		t.Run(version, func(t *testing.T) {
			c := newTenant(t)
			const pod = "secrets-store-inline-crd"
			c.step("deploy e2e-provider secretproviderclass crd", func() {
				parameters, err := json.Marshal(map[string]string{"objects": c.mock()})
				c.must(err)
				c.apply(fmt.Sprintf(`{apiVersion: secrets-store.csi.x-k8s.io/%s, kind: SecretProviderClass, metadata: {name: e2e-provider, namespace: %s},
					spec: {provider: aws, parameters: %s}}`, version, c.namespace, parameters))
			})
			c.step("CSI inline volume test with pod portability", func() {
				c.runPod(pod, podSpec{classes: []string{"e2e-provider"}})
			})
			c.step("CSI inline volume test with pod portability - read secret from pod", func() {
				c.checkRead(pod, "/mnt/secrets/foo", "secret-of-"+c.namespace)
			})
			c.step("CSI inline volume test with pod portability - read key from pod", func() {
				c.checkRead(pod, "/mnt/secrets/fookey", key)
			})
			c.step("CSI inline volume test with pod portability - unmount succeeds", func() {
				c.kubectl("delete", "pod", pod, "--timeout=2m")
				c.checkUnmounts()
			})
		})
	}
}

func TestBats_Provider_SyncWithKubernetesSecrets(t *testing.T) {
	c := newTenant(t)
	spec := podSpec{classes: []string{"e2e-provider-sync"}, env: map[string]string{"SECRET_USERNAME": "username of foosecret"}}
	c.step("create deployment", func() {
		c.class("e2e-provider-sync", c.mock(), syncedTo("foosecret"))
		c.deploy("busybox-deployment", 2, spec)
		c.deploy("busybox-deployment-two", 2, spec)
		c.must(c.WaitPodsReady(c.ctx, c.namespace, "app in (busybox-deployment,busybox-deployment-two)", 4))
	})
	c.step("read secret from pod, read K8s secret, read env var, check secret ownerReferences with multiple owners", func() {
		c.checkSynced("deployment/busybox-deployment", "foosecret", "/mnt/secrets", "SECRET_USERNAME")
		c.untilOwners("foosecret", 2)
	})
	c.step("delete deployment, check owner ref updated, check secret deleted", func() {
		c.kubectl("delete", "deployment", "busybox-deployment", "--timeout=2m")
		c.untilOwners("foosecret", 1)
		c.kubectl("delete", "deployment", "busybox-deployment-two", "--timeout=2m")
		c.untilNoSecret("foosecret")
	})
}

func TestBats_Provider_NamespacedSecretProviderClass(t *testing.T) {
	c := newTenant(t)
	spec := podSpec{classes: []string{"e2e-provider-sync"}, env: map[string]string{"SECRET_USERNAME": "username of foosecret"}}
	c.step("create deployment", func() {
		// A class with the same name in another namespace has a provider that does not exist.
		c.apply("{apiVersion: secrets-store.csi.x-k8s.io/v1, kind: SecretProviderClass, metadata: {name: e2e-provider-sync, namespace: default}, spec: {provider: invalidprovider}}")
		c.class("e2e-provider-sync", c.mock(), syncedTo("foosecret"))
		c.deploy("busybox-deployment", 2, spec)
		c.must(c.WaitPodsReady(c.ctx, c.namespace, "app=busybox-deployment", 2))
	})
	c.step("Sync with K8s secrets - read secret from pod, read K8s secret, read env var, check secret ownerReferences", func() {
		c.checkSynced("deployment/busybox-deployment", "foosecret", "/mnt/secrets", "SECRET_USERNAME")
		c.untilOwners("foosecret", 1)
	})
	c.step("Sync with K8s secrets - delete deployment, check secret deleted", func() {
		c.kubectl("delete", "deployment", "busybox-deployment", "--timeout=2m")
		c.untilNoSecret("foosecret")
	})
	c.step("Should fail when no secret provider class in same namespace", func() {
		c.kubectl("delete", "secretproviderclass", "e2e-provider-sync")
		c.createPod("negative", spec)
		event, err := c.WaitPodEvent(c.ctx, c.namespace, "negative", "FailedMount", "failed to get secretproviderclass "+c.namespace+"/e2e-provider-sync")
		c.must(err)
		if !strings.Contains(event.Message, "not found") {
			c.t.Errorf("the event is %s", event)
		}
	})
}

func TestBats_Provider_MultipleSecretProviderClasses(t *testing.T) {
	c := newTenant(t)
	const pod = "secrets-store-inline-multiple-crd"
	c.step("deploy multiple e2e provider secretproviderclass crd", func() {
		objects := c.mock()
		c.class("e2e-provider-spc-0", objects, syncedTo("foosecret-0"))
		c.class("e2e-provider-spc-1", objects, syncedTo("foosecret-1"))
	})
	c.step("deploy pod with multiple secret provider class", func() {
		c.runPod(pod, podSpec{
			classes: []string{"e2e-provider-spc-0", "e2e-provider-spc-1"},
			env:     map[string]string{"SECRET_USERNAME_0": "username of foosecret-0", "SECRET_USERNAME_1": "username of foosecret-1"},
		})
	})
	c.step("CSI inline volume test with multiple secret provider class", func() {
		c.checkSynced(pod, "foosecret-0", "/mnt/secrets", "SECRET_USERNAME_0")
		c.untilOwners("foosecret-0", 1)
		c.checkSynced(pod, "foosecret-1", "/mnt/secrets-1", "SECRET_USERNAME_1")
		c.untilOwners("foosecret-1", 1)
	})
}

func TestBats_Provider_AutoRotation(t *testing.T) {
	c := newTenant(t)
	const pod = "secrets-store-inline-rotation"
	c.step("Create deployment", func() {
		c.class("e2e-provider-auto-rotation", c.mock(), syncedTo("rotationsecret"))
		c.runPod(pod, podSpec{classes: []string{"e2e-provider-auto-rotation"}, env: map[string]string{"SECRET_USERNAME": "username of rotationsecret"}})
	})
	c.step("Test auto rotation of mount contents and K8s secrets", func() {
		c.checkSynced(pod, "rotationsecret", "/mnt/secrets", "SECRET_USERNAME")
		c.secret("foo", "rotated-in-"+c.namespace)
		c.untilRead(pod, "/mnt/secrets/foo", "rotated-in-"+c.namespace)
		c.untilSynced("rotationsecret", "username", "rotated-in-"+c.namespace)
	})
	c.step("Validate metrics", func() {
		address := strings.TrimSpace(c.kubectl("get", "pod", "--namespace", releaseNamespace, "-l", "app=csi-secrets-store", "-o", "jsonpath={.items[0].status.podIP}"))
		metrics, err := c.Exec(c.ctx, c.namespace, pod, "/testapp", "get", "http://"+address+":8095/metrics")
		c.must(err)
		for _, want := range []string{"node_publish_total", "node_unpublish_total", "rotation_reconcile_total"} {
			if !strings.Contains(metrics, want) {
				c.t.Errorf("the driver's metrics lack %s", want)
			}
		}
	})
}

// checkRead checks the content of a file as the container reads it.
func (c *tenant) checkRead(pod, path, want string) {
	c.t.Helper()
	if got := c.read(pod, path); got != want {
		c.t.Errorf("pod %s reads %q in %s, want %q", pod, got, path, want)
	}
}

// checkSynced checks the mock's two files in a pod, the environment variable and the Secret.
func (c *tenant) checkSynced(pod, secret, folder, variable string) {
	c.t.Helper()
	value := "secret-of-" + c.namespace
	c.checkRead(pod, folder+"/foo", value)
	c.checkRead(pod, folder+"/fookey", key)
	env, err := c.Exec(c.ctx, c.namespace, pod, "env")
	c.must(err)
	if !strings.Contains("\n"+env, "\n"+variable+"="+value+"\n") {
		c.t.Errorf("pod %s lacks %s=%s in %q", pod, variable, value, env)
	}
	c.untilSynced(secret, "username", value)
	var s kubernetesSecret
	c.must(c.Get(c.ctx, "/api/v1/namespaces/"+c.namespace+"/secrets/"+secret, &s))
	if s.Metadata.Labels["environment"] != "test" || s.Metadata.Labels["secrets-store.csi.k8s.io/managed"] != "true" {
		c.t.Errorf("labels of the Secret: %v", s.Metadata.Labels)
	}
}

// untilOwners waits until a Secret has count owners.
func (c *tenant) untilOwners(secret string, count int) {
	c.t.Helper()
	c.until(2*time.Minute, "the owners of the Secret "+secret, func(ctx context.Context) error {
		var s kubernetesSecret
		err := c.Get(ctx, "/api/v1/namespaces/"+c.namespace+"/secrets/"+secret, &s)
		if owners := s.Metadata.OwnerReferences; err == nil && len(owners) != count {
			err = fmt.Errorf("got %v, want %d", owners, count)
		}
		return err
	})
}

// untilNoSecret waits until a Secret is deleted.
func (c *tenant) untilNoSecret(secret string) {
	c.t.Helper()
	c.untilIs(2*time.Minute, "the deletion of the Secret "+secret, "", func(ctx context.Context) (string, error) {
		return c.Kubectl(ctx, "get", "secret", secret, "--namespace", c.namespace, "--ignore-not-found", "-o", "name")
	})
}

// checkUnmounts checks that no unmount of the driver failed.
func (c *tenant) checkUnmounts() {
	c.t.Helper()
	log, err := c.Kubectl(c.ctx, "logs", "--namespace", releaseNamespace, "--selector", "app=csi-secrets-store", "--container", "secrets-store", "--tail=-1")
	c.must(err)
	if strings.Contains(log, "failed to clean and unmount target path") {
		c.t.Error("the driver failed to unmount")
	}
}
