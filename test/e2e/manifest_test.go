//go:build e2e

package e2e

import (
	"fmt"
	"strings"

	"secrets-provider-aws/test/node"
)

// class applies a SecretProviderClass. objects is a YAML list. more are extra lines of the spec.
func (c *tenant) class(name, objects string, more ...string) {
	c.t.Helper()
	c.apply(fmt.Sprintf(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: %s, namespace: %s}
spec:
  provider: aws
  parameters:
    objects: |
      %s
%s
`, name, c.namespace, strings.ReplaceAll(strings.TrimSpace(objects), "\n", "\n      "), strings.Join(more, "\n")))
}

// podSpec describes a pod that mounts classes, the first at /mnt/secrets, the next at /mnt/secrets-1 and so on. Its container prints
// the files whenever they change.
type podSpec struct {
	classes        []string
	serviceAccount string            // default: app
	root           bool              // run as root, as images do by default
	security       string            // securityContext of the pod in flow style, in place of a user for the container
	env            map[string]string // variable → "key of Secret", for example "username of broker"
}

func (p podSpec) yaml() string {
	account := p.serviceAccount
	if account == "" {
		account = serviceAccount
	}
	var volumes, mounts, paths, env []string
	for i, class := range p.classes {
		path := "/mnt/secrets"
		if i > 0 {
			path += fmt.Sprint("-", i)
		}
		paths = append(paths, path)
		mounts = append(mounts, fmt.Sprintf("{name: secrets-%d, mountPath: %s, readOnly: true}", i, path))
		volumes = append(volumes, fmt.Sprintf(
			"{name: secrets-%d, csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: %s}}}", i, class))
	}
	for variable, source := range p.env {
		key, secret, _ := strings.Cut(source, " of ")
		env = append(env, fmt.Sprintf("{name: %s, valueFrom: {secretKeyRef: {name: %s, key: %s}}}", variable, secret, key))
	}
	pod, container := "{}", "{runAsUser: 65532}"
	switch {
	case p.security != "":
		pod, container = p.security, "{}"
	case p.root:
		container = "{runAsUser: 0}"
	}
	list := func(items []string) string { return "[" + strings.Join(items, ", ") + "]" }
	// Flow style works at any indentation. Without a ServiceAccount token volume, only our volumes can fail.
	return fmt.Sprintf(`{serviceAccountName: %s, automountServiceAccountToken: false, terminationGracePeriodSeconds: 1, securityContext: %s, volumes: %s, containers: [{
		name: app, image: %q, imagePullPolicy: Never, args: %s, env: %s, volumeMounts: %s, securityContext: %s}]}`,
		account, pod, list(volumes), node.TestAppImage, list(append([]string{"watch"}, paths...)), list(env), list(mounts), container)
}

// createPod creates a pod without waiting for it.
func (c *tenant) createPod(name string, spec podSpec) {
	c.t.Helper()
	c.apply(c.podManifest(name, name, spec))
}

func (c *tenant) podManifest(name, app string, spec podSpec) string {
	return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s, labels: {app: %s}}, spec: %s}", name, c.namespace, app, spec.yaml())
}

// runPod creates a pod and waits until it is ready.
func (c *tenant) runPod(name string, spec podSpec) {
	c.t.Helper()
	c.createPod(name, spec)
	c.must(c.WaitPodReady(c.ctx, c.namespace, name))
}

// deploy creates or changes a Deployment without waiting. Its pods have the label app=name.
func (c *tenant) deploy(name string, replicas int, spec podSpec) {
	c.t.Helper()
	c.apply(fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: %[1]s, namespace: %[2]s}, spec: {
		replicas: %[3]d, selector: {matchLabels: {app: %[1]s}}, template: {metadata: {labels: {app: %[1]s}}, spec: %[4]s}}}`,
		name, c.namespace, replicas, spec.yaml()))
}
