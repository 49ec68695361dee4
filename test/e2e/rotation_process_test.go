//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/node"
)

// These are the cases of docs/rotation.md: how a rotated value reaches a process that runs.

const passwordFile = "/mnt/secrets/password"

// process creates a Deployment of one process, which has the secret as the file password. args are the arguments of testapp.
// container has more fields of the container, and volumes more volumes, in flow style.
func (c *tenant) process(name string, args []string, container, volumes string) {
	c.t.Helper()
	c.apply(fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: %[1]s, namespace: %[2]s}, spec: {
		selector: {matchLabels: {app: %[1]s}}, template: {metadata: {labels: {app: %[1]s}}, spec: {
			serviceAccountName: %[3]s, automountServiceAccountToken: false, terminationGracePeriodSeconds: 1,
			containers: [{name: app, image: %[4]q, imagePullPolicy: Never, args: [%[5]s]%[6]s}],
			volumes: [{name: secrets, csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: secrets}}}%[7]s]}}}}`,
		name, c.namespace, serviceAccount, node.TestAppImage, strings.Join(args, ", "), container, volumes))
	c.must(c.WaitPodsReady(c.ctx, c.namespace, "app="+name, 1))
}

const mountSecrets = ", volumeMounts: [{name: secrets, mountPath: /mnt/secrets, readOnly: true}]"

// rotatingSecret creates a secret and the class secrets with it. It returns a function that sets a new value.
func (c *tenant) rotatingSecret(value string, more ...string) (rotate func(string)) {
	c.t.Helper()
	name := c.secret("password", value)
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`, more...)
	return func(value string) { c.secret("password", value) }
}

// untilLogged waits until a line of the process has the text, and returns the lines so far.
func (c *tenant) untilLogged(deployment, text string) (lines []string) {
	c.t.Helper()
	c.until(2*time.Minute, fmt.Sprintf("%q in the output of %s", text, deployment), func(ctx context.Context) error {
		log, err := c.Logs(ctx, c.namespace, "deployment/"+deployment, "")
		lines = strings.Split(strings.TrimSpace(log), "\n")
		if err == nil && !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, text) }) {
			err = fmt.Errorf("it printed %q", lines)
		}
		return err
	})
	return lines
}

// neverRestarted checks that the only pod of the Deployment is the first one, and that its container never restarted.
func (c *tenant) neverRestarted(deployment string) {
	c.t.Helper()
	got := c.kubectl("get", "pods", "-l", "app="+deployment, "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}")
	if sets := c.replicaSets(deployment); got != "0" || sets != 1 {
		c.t.Errorf("%s has restarts %q and %d ReplicaSets, want the process of the beginning", deployment, got, sets)
	}
}

func (c *tenant) replicaSets(deployment string) int {
	c.t.Helper()
	return len(strings.Fields(c.kubectl("get", "replicasets", "-l", "app="+deployment, "-o", "name")))
}

// A process that opens the file each time it needs the value has the new value, without a restart.
func TestRotationReachesProcess_ThatReadsAtEachUse(t *testing.T) {
	c := newTenant(t)
	rotate := c.rotatingSecret("correct-horse-before")
	c.process("reader", []string{"watch", "/mnt/secrets"}, mountSecrets, "")
	c.untilLogged("reader", `"correct-horse-before"`)
	rotate("correct-horse-after")
	c.untilLogged("reader", `"correct-horse-after"`)
	c.neverRestarted("reader")
}

// A watch of the folder sees the replacement of ..data, and then the file has the new value. A watch of the file sees the end of the
// old file, and no later rotation. A subPath keeps the value of the pod's start.
func TestRotationReachesProcess_ThatWatchesData(t *testing.T) {
	c := newTenant(t)
	rotate := c.rotatingSecret("correct-horse-1")
	c.process("watcher", []string{"notify", "/mnt/secrets", passwordFile}, mountSecrets, "")
	c.process("subpath", []string{"watch", "/mnt"}, ", volumeMounts: [{name: secrets, mountPath: /mnt/password, subPath: password, readOnly: true}]", "")
	c.untilLogged("watcher", "watching")
	rotate("correct-horse-2")
	first := c.untilLogged("watcher", "event /mnt/secrets IN_DELETE|IN_ISDIR")
	// The order of events of the two watches depends on when the kernel frees the file: compare each watch alone.
	want := map[string][]string{
		"/mnt/secrets": {
			"IN_CREATE|IN_ISDIR ..TIME", "IN_ATTRIB|IN_ISDIR ..TIME", "IN_CREATE ..data_tmp", "IN_MOVED_FROM ..data_tmp", "IN_MOVED_TO ..data",
			"read correct-horse-2", "IN_DELETE|IN_ISDIR ..TIME",
		},
		passwordFile: {"IN_ATTRIB", "IN_DELETE_SELF", "IN_IGNORED"},
	}
	if diff := cmp.Diff(want, eventsOf(first)); diff != "" {
		t.Errorf("events of a rotation (-want +got):\n%s", diff)
	}
	rotate("correct-horse-3")
	c.untilLogged("watcher", "read "+passwordFile+" correct-horse-3")
	second := eventsOf(c.untilLogged("watcher", "read "+passwordFile+" correct-horse-3"))
	if diff := cmp.Diff(want[passwordFile], second[passwordFile]); diff != "" {
		t.Errorf("the watch of the file after the second rotation (-want +got):\n%s", diff)
	}
	c.neverRestarted("watcher")
	if got := c.untilLogged("subpath", "correct-horse"); strings.Contains(strings.Join(got, "\n"), "correct-horse-2") {
		t.Errorf("the subPath changed: %q", got)
	}
}

var timestamp = regexp.MustCompile(`\.\.\d{4}(_\d\d){5}\.\d+`)

// eventsOf returns the output of notify by the watched path, without times.
func eventsOf(lines []string) map[string][]string {
	events := map[string][]string{}
	for _, line := range lines {
		line = timestamp.ReplaceAllString(line, "..TIME")
		switch fields := strings.SplitN(line, " ", 3); {
		case len(fields) < 3:
		case fields[0] == "event":
			events[fields[1]] = append(events[fields[1]], fields[2])
		case fields[0] == "read":
			events["/mnt/secrets"] = append(events["/mnt/secrets"], "read "+fields[2])
		}
	}
	return events
}

// A process that reads only at its start gets the new value by a restart. The reloader sees the rotation in the versions of the
// SecretProviderClassPodStatuses, and restarts the Deployment exactly once.
func TestRotationReachesProcess_ThatAReloaderRestarts(t *testing.T) {
	c := newTenant(t)
	rotate := c.rotatingSecret("correct-horse-before")
	c.process("starter", []string{"once", passwordFile}, mountSecrets, "")
	c.untilLogged("starter", "correct-horse-before")
	reload := reloader{tenant: c, deployment: "starter", seen: c.versions()}
	if len(reload.seen) != 1 || reload.seen["password"] == "" {
		t.Fatalf("versions of the class: %v, want one of password", reload.seen)
	}
	rotate("correct-horse-after")
	c.until(2*time.Minute, "a restart by the reloader", func(context.Context) error { return reload.once() })
	c.kubectl("rollout", "status", "deployment/starter", "--timeout=2m")
	c.must(c.WaitPodsReady(c.ctx, c.namespace, "app=starter", 1)) // the old pod is gone too
	c.untilLogged("starter", "correct-horse-after")
	if err := reload.once(); err == nil {
		t.Error("the reloader restarts the Deployment again, though nothing changed")
	}
	if sets := c.replicaSets("starter"); sets != 2 {
		t.Errorf("%d ReplicaSets, want one for each value", sets)
	}
}

// reloader does the least of a reloader: when the version of an object changes, it restarts the Deployment.
type reloader struct {
	*tenant
	deployment string
	seen       map[string]string // version by object
}

// once restarts the Deployment if the versions changed. Else it returns an error.
func (r *reloader) once() error {
	r.t.Helper()
	now := r.versions()
	if len(now) == 0 || maps.Equal(now, r.seen) {
		return fmt.Errorf("the versions are still %v", now)
	}
	r.seen = now
	r.kubectl("rollout", "restart", "deployment/"+r.deployment)
	return nil
}

// versions returns the version of each object of the class secrets, by the object's id, as the newest pod mounted it.
func (c *tenant) versions() map[string]string {
	c.t.Helper()
	var list struct {
		Items []struct {
			Status struct {
				SecretProviderClassName string
				Objects                 []struct{ ID, Version string }
			}
		}
	}
	c.must(c.Get(c.ctx, "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/"+c.namespace+"/secretproviderclasspodstatuses", &list))
	all := map[string]string{}
	for _, item := range list.Items {
		for _, o := range item.Status.Objects {
			if item.Status.SecretProviderClassName == "secrets" {
				all[o.ID] = o.Version
			}
		}
	}
	return all
}

// A rotation changes the synced Secret, and the files of a Secret volume. An environment variable keeps the value of the start.
func TestRotationReachesProcess_SyncedSecrets(t *testing.T) {
	c := newTenant(t)
	rotate := c.rotatingSecret("correct-horse-before", "  secretObjects: [{secretName: synced, type: Opaque, data: [{objectName: password, key: password}]}]")
	c.process("synced", []string{"watch", "/mnt/synced"},
		", env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: synced, key: password}}}]"+
			", volumeMounts: [{name: secrets, mountPath: /mnt/secrets, readOnly: true}, {name: synced, mountPath: /mnt/synced, readOnly: true}]",
		", {name: synced, secret: {secretName: synced}}")
	c.untilLogged("synced", `"correct-horse-before"`)
	before := c.kubectl("get", "secret", "synced", "-o", "jsonpath={.metadata.uid} {.metadata.resourceVersion}")
	rotate("correct-horse-after")
	c.untilSynced("synced", "password", "correct-horse-after")
	c.untilLogged("synced", `"correct-horse-after"`)
	after := c.kubectl("get", "secret", "synced", "-o", "jsonpath={.metadata.uid} {.metadata.resourceVersion}")
	uid, version, _ := strings.Cut(before, " ")
	if newUID, newVersion, _ := strings.Cut(after, " "); newUID != uid || newVersion == version {
		t.Errorf("the Secret was %s and is %s, want the same uid and another version", before, after)
	}
	env, err := c.Exec(c.ctx, c.namespace, "deployment/synced", "env")
	c.must(err)
	if !strings.Contains(env, "PASSWORD=correct-horse-before\n") {
		t.Errorf("the environment changed, or lacks the variable: %q", env)
	}
	c.neverRestarted("synced")
}
