//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// byHelm follows the guide for a release that installed the driver.
var byHelm = steps{
	install: func(m *migration) { m.helm("install", release, m.theirs()) },
	there: func(m *migration) {
		m.helm("install", handover, m.withoutDriver())
		m.helm("upgrade", release, m.ours())
		m.helmUninstall(handover)
	},
	back: func(m *migration) {
		m.helm("install", handover, m.withoutDriver())
		m.helm("upgrade", release, m.theirs())
		m.helmUninstall(handover)
	},
}

// helm installs or upgrades a release and waits until its pods are ready.
func (m *migration) helm(verb, name string, chart []string) {
	m.t.Helper()
	_, err := m.Helm(m.ctx, append([]string{verb, name, "--namespace", releaseNamespace, "--wait", "--timeout", "3m"}, chart...)...)
	m.must(err)
}

func (m *migration) helmUninstall(name string) {
	m.t.Helper()
	_, err := m.Helm(m.ctx, "uninstall", name, "--namespace", releaseNamespace, "--wait", "--timeout", "2m")
	m.must(err)
}

// refusesRenames checks that the chart refuses an upgrade that would rename the driver, or change a selector.
func (m *migration) refusesRenames() {
	for value, want := range map[string]string{
		"secrets-store-csi-driver.fullnameOverride=other": "set secrets-store-csi-driver.fullnameOverride=secrets-store-csi-driver",
		"secrets-store-csi-driver.fullnameOverride=":      "this upgrade would delete it and create " + release + "-secrets-store-csi-driver",
		"fullnameOverride=" + awsDaemonSet:                `has the selector {"app":"secrets-store-csi-driver-provider-aws"}, which cannot change`,
		"secrets-store-csi-driver.install=false":          "this upgrade would remove it",
	} {
		_, err := m.Helm(m.ctx, append([]string{"upgrade", release, "--namespace", releaseNamespace, "--dry-run=server", "--set", value}, m.ours()...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			m.t.Errorf("--set %s: got %v, want a refusal with %q", value, err, want)
		}
	}
}

// byKubectl follows the guide for GitOps: rendered charts, applied on the server, and the old provider removed last.
var byKubectl = steps{
	install: func(m *migration) {
		theirs, ours := m.rendered(release, m.theirs()), m.rendered(release, m.ours())
		m.t.Cleanup(func() {
			if _, err := m.Kubectl(context.WithoutCancel(m.ctx), "delete", "--ignore-not-found", "--cascade=foreground", "-f", theirs, "-f", ours); err != nil {
				m.t.Error(err)
			}
		})
		m.applied(theirs, awsDaemonSet)
	},
	there: func(m *migration) {
		temporary := m.rendered(handover, m.withoutDriver())
		m.applied(temporary, handover+"-"+release)
		m.applied(m.rendered(release, m.ours()), release)
		m.deleted("daemonset/"+awsDaemonSet, "serviceaccount/"+awsDaemonSet)
		m.deleted("clusterrole/"+awsDaemonSet+"-cluster-role", "clusterrolebinding/"+awsDaemonSet+"-cluster-role-binding")
		m.deleted("-f", temporary)
	},
	back: func(m *migration) {
		temporary := m.rendered(handover, m.withoutDriver())
		m.applied(temporary, handover+"-"+release)
		m.applied(m.rendered(release, m.theirs()), awsDaemonSet)
		m.deleted("daemonset/"+release, "serviceaccount/"+release)
		m.deleted("clusterrole/"+release, "clusterrolebinding/"+release)
		m.deleted("-f", temporary)
	},
}

// rendered returns a file with the rendered chart, without hooks.
func (m *migration) rendered(name string, chart []string) string {
	m.t.Helper()
	var server struct{ GitVersion string }
	m.must(m.Get(m.ctx, "/version", &server))
	text, err := m.Helm(m.ctx, append([]string{"template", name, "--namespace", releaseNamespace, "--no-hooks", "--kube-version", server.GitVersion}, chart...)...)
	m.must(err)
	file := filepath.Join(m.t.TempDir(), "rendered.yaml")
	m.must(os.WriteFile(file, []byte(text), 0o600))
	return file
}

// applied applies a file on the server, and waits for a DaemonSet and for the driver.
func (m *migration) applied(file, daemonSet string) {
	m.t.Helper()
	_, err := m.Kubectl(m.ctx, "apply", "--server-side", "-f", file)
	m.must(err)
	for _, name := range []string{daemonSet, "secrets-store-csi-driver"} {
		_, err := m.Kubectl(m.ctx, "rollout", "status", "daemonset/"+name, "--namespace", releaseNamespace, "--timeout=3m")
		m.must(err)
	}
}

// deleted deletes objects, and waits until their pods are gone.
func (m *migration) deleted(objects ...string) {
	m.t.Helper()
	_, err := m.Kubectl(m.ctx, append([]string{"delete", "--namespace", releaseNamespace, "--cascade=foreground"}, objects...)...)
	m.must(err)
}
