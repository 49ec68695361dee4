//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secrets-provider-aws/deployment"
)

// A real API server accepts every rendering of the chart's golden files.
func TestChart_APIServerAcceptsEveryRendering(t *testing.T) {
	c := newTenant(t)
	var server struct{ GitVersion string }
	c.must(c.Get(c.ctx, "/version", &server))
	for _, r := range deployment.Renderings() {
		c.step(r.Name, func() {
			for _, crd := range r.CRDs {
				c.apply(string(crd))
				c.kubectl("wait", "--for=condition=established", "--timeout=60s", "customresourcedefinitions", "--all")
			}
			values := filepath.Join(c.t.TempDir(), "values.yaml")
			c.must(os.WriteFile(values, r.Values, 0o600))
			// Use a release of its own. Applied over another release's objects, values would mix.
			rendered, err := c.Helm(c.ctx, "template", "rendering", c.chart(), "--namespace", releaseNamespace, "--values", values, "--kube-version", server.GitVersion)
			c.must(err)
			c.dryRun(rendered)
		})
	}
}

func TestManifests_APIServerAcceptsThem(t *testing.T) {
	c := newTenant(t)
	files, err := filepath.Glob("../../deployment/manifests/*.yaml")
	c.must(err)
	if len(files) == 0 {
		t.Fatal("no manifests")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		c.must(err)
		c.dryRun(string(text))
	}
}

// dryRun sends manifests to the API server for full validation without applying them.
func (c *tenant) dryRun(manifests string) {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "manifests.yaml")
	c.must(os.WriteFile(file, []byte(manifests), 0o600))
	out, err := c.Kubectl(c.ctx, "apply", "--dry-run=server", "--validate=strict", "-f", file)
	c.must(err)
	if !strings.Contains(out, "daemonset.apps/") {
		c.t.Errorf("no DaemonSet in\n%s", out)
	}
}

// The install notes warn about each missing prerequisite, and only about those. They say if the driver rotates.
func TestChart_NotesWarnAboutMissingPrerequisites(t *testing.T) {
	c := newTenant(t)
	notes := func() string {
		out, err := c.Helm(c.ctx, "upgrade", release, c.chart(), "--namespace", releaseNamespace, "--values", c.world.values(), "--dry-run=server")
		c.must(err)
		_, notes, _ := strings.Cut(out, "NOTES:")
		return notes
	}
	if text := notes(); strings.Contains(text, "WARNING") || !strings.Contains(text, "Rotation is on") {
		t.Errorf("nothing is missing and the driver rotates, but the notes are:\n%s", text)
	}
	patch := func(spec string) {
		t.Helper()
		c.kubectl("patch", "csidriver", "secrets-store.csi.k8s.io", "--type=merge", "--patch", `{"spec":`+spec+`}`)
	}
	defer patch(`{"requiresRepublish":true,"tokenRequests":[{"audience":"sts.amazonaws.com"},{"audience":"pods.eks.amazonaws.com"}]}`)
	patch(`{"requiresRepublish":false,"tokenRequests":[{"audience":"pods.eks.amazonaws.com"}]}`)
	text := notes()
	for _, want := range []string{"lacks tokenRequests for sts.amazonaws.com", "Rotation is off (requiresRepublish false)"} {
		if !strings.Contains(text, want) {
			t.Errorf("the notes lack %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "lacks tokenRequests for pods.eks.amazonaws.com") {
		t.Errorf("the token is configured, but the notes warn:\n%s", text)
	}
}

// The provider reads the region from the node's label and the role from the ServiceAccount, and writes Events. The chart grants
// nothing else.
func TestChart_GrantsOnlyTheNeededRights(t *testing.T) {
	c := newTenant(t)
	user := fmt.Sprintf("--as=system:serviceaccount:%s:%s", releaseNamespace, release)
	for action, want := range map[string]string{
		"get serviceaccounts": "yes", "get nodes": "yes", "create events.events.k8s.io": "yes", "patch events.events.k8s.io": "yes",
		"list events.events.k8s.io": "no", "delete events.events.k8s.io": "no", "create events": "no",
		"list serviceaccounts": "no", "watch serviceaccounts": "no", "list nodes": "no", "watch nodes": "no",
		"get secrets": "no", "list secrets": "no", "get pods": "no", "create serviceaccounts/token": "no", "update nodes": "no",
		"get secretproviderclasses.secrets-store.csi.x-k8s.io": "no",
	} {
		verb, resource, _ := strings.Cut(action, " ")
		// For the answer "no", kubectl exits with an error.
		if got, err := c.Kubectl(c.ctx, "auth", "can-i", verb, resource, user, "--all-namespaces"); strings.TrimSpace(got) != want {
			t.Errorf("may it %s? %q, want %q (%v)", action, got, want, err)
		}
	}
}
