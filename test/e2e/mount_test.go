//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMount_TextBinaryJSONKeysAndParameters(t *testing.T) {
	c := newTenant(t)
	binary := []byte{0x30, 0x82, 0x00, 0xff, 0x0a, 'k', 'e', 'y'}
	text, key := c.secret("text", "correct-horse-text"), c.binarySecret("binary", binary)
	json := c.secret("json", `{"username":"app","password":"correct-horse-json","pool":{"max":20}}`)
	parameter := c.parameter("log-level", "correct-horse-parameter")
	c.class("secrets", fmt.Sprintf(`
- objectName: %s
  objectType: secretsmanager
- {objectName: %s, objectType: secretsmanager, objectAlias: binary, filePermission: "0400"}
- objectName: %s
  objectType: secretsmanager
  objectAlias: database
  jmesPath: [{path: username, objectAlias: username}, {path: password, objectAlias: password}, {path: pool.max, objectAlias: pool}]
- {objectName: %s, objectType: ssmparameter, objectAlias: log-level}
`, text, key, json, parameter))
	c.runPod("app", podSpec{classes: []string{"secrets"}, root: true})
	want := map[string]string{
		"/mnt/secrets/" + strings.ReplaceAll(text, "/", "_"): "-rw-r--r-- correct-horse-text",
		"/mnt/secrets/database":                              `-rw-r--r-- {"username":"app","password":"correct-horse-json","pool":{"max":20}}`,
		"/mnt/secrets/username":                              "-rw-r--r-- app",
		"/mnt/secrets/password":                              "-rw-r--r-- correct-horse-json",
		"/mnt/secrets/pool":                                  "-rw-r--r-- 20",
		"/mnt/secrets/log-level":                             "-rw-r--r-- correct-horse-parameter",
		"/mnt/secrets/binary":                                "-r-------- " + string(binary),
	}
	if diff := cmp.Diff(want, c.files("app")); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// The provider calls the regular regional host names. It uses credentials of the pod's own role, and the session name contains the
// workload's name.
func TestMount_CallsRegionalEndpointsAsThePod(t *testing.T) {
	c := newTenant(t)
	c.class("secrets", fmt.Sprintf("[{objectName: %s, objectType: secretsmanager, objectAlias: s}, {objectName: %s, objectType: ssmparameter, objectAlias: p}]",
		c.secret("s", "correct-horse-s"), c.parameter("p", "correct-horse-p")))
	c.runPod("app", podSpec{classes: []string{"secrets"}})
	for _, host := range []string{"sts", "secretsmanager", "ssm"} {
		if host += "." + region + ".amazonaws.com"; !slices.Contains(c.aws.ProxiedHosts(), host) {
			t.Errorf("no request to %s, only to %v", host, c.aws.ProxiedHosts())
		}
	}
	session := "arn:aws:sts::" + account + ":assumed-role/" + c.namespace + "/" + c.namespace + "-" + serviceAccount
	for _, operation := range []string{"GetSecretValue", "GetParameters"} {
		for _, call := range c.requests(operation, c.namespace) {
			done := call.Status != 0 // a refresh may be in progress
			if done && (call.Principal != session || call.Code != "") {
				t.Errorf("%s was called by %s (%s), want %s", operation, call.Principal, call.Code, session)
			}
		}
	}
	if n := c.exchanges(); n != 1 {
		t.Errorf("%d requests to STS, want 1", n)
	}
}

// Many pods of one ServiceAccount start at once. They cost one token exchange, and at most one read of the secret per second.
func TestMount_ThirtyPodsCostOneExchange(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-many")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`)
	start := time.Now()
	c.deploy("many", 30, podSpec{classes: []string{"secrets"}})
	c.must(c.WaitPodsReady(c.ctx, c.namespace, "app=many", 30))
	exchanges, reads := c.exchanges(), c.reads(name)
	took := time.Since(start) // after the counts, so that it covers all of them
	t.Logf("30 pods ready in %.1f s, with %d requests to STS and %d reads", took.Seconds(), exchanges, reads)
	if exchanges != 1 {
		t.Errorf("%d requests to STS, want 1", exchanges)
	}
	// A first mount may share a read of the last second.
	if most := int(took.Seconds()) + 1; reads > most || reads < 1 {
		t.Errorf("%d reads, want 1 to %d", reads, most)
	}
	c.checkFirstSight("many", 30, "/mnt/secrets/password", "-rw-r--r-- correct-horse-many")
}

// N running pods cost one read per object and refresh interval, no matter how often the kubelet republishes.
func TestMount_RunningPodsCostOneReadPerInterval(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-interval")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`, "    refreshInterval: 15s")
	c.deploy("many", 10, podSpec{classes: []string{"secrets"}})
	c.must(c.WaitPodsReady(c.ctx, c.namespace, "app=many", 10))
	const republished = `phase="republish",reason="",result="ok"`
	start, before := time.Now(), c.reads(name)
	mounts := c.metric("secrets_provider_aws_mounts_total", republished)
	c.until(3*time.Minute, "each pod's fifth republish", func(context.Context) error {
		if now := c.metric("secrets_provider_aws_mounts_total", republished); now < mounts+50 {
			return fmt.Errorf("%v mounts, %v before", now, mounts)
		}
		return nil
	})
	reads := c.reads(name) - before
	took := time.Since(start) // after the count, so that it covers all of it
	t.Logf("50 republishes in %.1f s, %d reads", took.Seconds(), reads)
	if most := int(took.Seconds()/(15*0.9)) + 1; reads > most {
		t.Errorf("%d reads in %s, want at most %d (one per 15 s)", reads, took, most)
	}
	if n := c.exchanges(); n != 1 {
		t.Errorf("%d requests to STS, want 1", n)
	}
}

func TestDeletedPods_LeaveNoMounts(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-gone")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`)
	c.class("refused", `[{objectName: `+name+`-missing, objectType: secretsmanager}]`)
	c.deploy("running", 10, podSpec{classes: []string{"secrets", "secrets"}})
	c.createPod("waiting", podSpec{classes: []string{"refused"}})
	c.must(c.WaitPodsReady(c.ctx, c.namespace, "app=running", 10))
	_, err := c.WaitPodEvent(c.ctx, c.namespace, "waiting", "FailedMount", "ResourceNotFoundException")
	c.must(err)
	// Do not count the waiting pod: the driver mounts its volume during each attempt.
	if n := c.volumes("app=running"); n != 20 {
		t.Errorf("%d volumes are mounted, want 2 of each of 10 pods", n)
	}
	c.deletePods(c.ctx)
	if n := c.volumes(""); n != 0 {
		t.Errorf("%d volumes are still mounted", n)
	}
}

// volumes counts the driver's mounts of this tenant. It counts pods with the label, and pods that no longer exist.
func (c *tenant) volumes(label string) int {
	c.t.Helper()
	var all, own podList
	c.must(c.Get(c.ctx, "/api/v1/pods", &all))
	c.must(c.Get(c.ctx, "/api/v1/namespaces/"+c.namespace+"/pods?labelSelector="+label, &own))
	mounts, err := c.Mounts()
	c.must(err)
	count := 0
	for _, m := range mounts {
		of := func(p pod) bool { return strings.Contains(m.Target, p.Metadata.UID) }
		if strings.Contains(m.Target, "/volumes/kubernetes.io~csi/") && (slices.ContainsFunc(own.Items, of) || !slices.ContainsFunc(all.Items, of)) {
			count++
		}
	}
	return count
}
