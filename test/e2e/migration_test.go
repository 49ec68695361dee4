//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/deployment"
	"secrets-provider-aws/deployment/image"
)

const (
	awsImage = "localhost/aws-provider:1"
	// awsDaemonSet is the name of AWS's DaemonSet in a release with the name of AWS's README, which is also this project's.
	awsDaemonSet = release + "-secrets-store-csi-driver-provider-aws"
	// handover is the guide's temporary release.
	handover = "handover"
)

// migration is a cluster with a release of AWS's chart: the stand-ins for AWS's chart and image, and the driver from its Helm chart.
type migration struct {
	*tenant
	awsChart   string // folder of the stand-in
	valuesFile string // values of both charts. AWS's image is not in it, as the guide says
	// otherDriver gives AWS's chart another template of the driver's pods, as another version of the driver does.
	otherDriver bool
}

// newMigration replaces the node's driver and provider by nothing, and brings them back when the case ends.
func newMigration(t *testing.T, driver string) *migration {
	t.Helper()
	c := newTenant(t)
	m := &migration{tenant: c, awsChart: filepath.Join(t.TempDir(), "aws"), valuesFile: filepath.Join(t.TempDir(), "values.yaml")}
	c.must(deployment.WriteAWSChart(c.ctx, m.awsChart))
	c.must(c.loadAWSImage(c.ctx))
	own, err := os.ReadFile(c.world.values())
	c.must(err)
	images, err := c.DriverChart(c.ctx)
	c.must(err)
	values := string(own) + "driverWritesSecrets: true\nsecrets-store-csi-driver:\n  install: true\n" + indented(driver) + indented(images)
	c.must(os.WriteFile(m.valuesFile, []byte(values), 0o600))

	_, err = c.Helm(c.ctx, "uninstall", release, "--namespace", releaseNamespace, "--wait", "--timeout", "2m")
	c.must(err)
	c.must(c.RemoveDriver(c.ctx))
	t.Cleanup(func() {
		ctx := context.WithoutCancel(c.ctx)
		for _, name := range []string{release, handover} {
			if _, err := c.Helm(ctx, "uninstall", name, "--namespace", releaseNamespace, "--ignore-not-found", "--wait", "--timeout", "2m"); err != nil {
				t.Error(err)
			}
		}
		if err := c.InstallDriver(ctx); err != nil {
			t.Error(err)
		}
		if _, err := c.upgrade(ctx); err != nil {
			t.Error(err)
		}
	})
	return m
}

// loadAWSImage builds the stand-in for AWS's image and loads it into the node.
func (w *world) loadAWSImage(ctx context.Context) error {
	program, archive := filepath.Join(w.folder, "awsprovider"), filepath.Join(w.folder, "aws-provider.tar")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./awsprovider")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	_, err := image.Write(archive, image.Image{
		Ref: awsImage, Entrypoint: []string{"/awsprovider"}, User: "0:0",
		Files: []image.File{
			{Path: "/awsprovider", Source: program},
			{Path: "/secrets-provider-aws", Source: "../../bin/linux-" + runtime.GOARCH + "/secrets-provider-aws"},
		},
	})
	if err != nil {
		return err
	}
	return w.LoadImage(ctx, archive)
}

// theirs and ours are the arguments of helm for the two charts.
func (m *migration) theirs() []string {
	repository, tag, _ := strings.Cut(awsImage, ":")
	arguments := []string{m.awsChart, "--values", m.valuesFile, "--set", "image.repository=" + repository, "--set-string", "image.tag=" + tag}
	if m.otherDriver {
		arguments = append(arguments, "--set", "secrets-store-csi-driver.linux.podAnnotations.version=other")
	}
	return arguments
}

func (m *migration) ours() []string { return []string{m.chart(), "--values", m.valuesFile} }

// withoutDriver are the arguments for the guide's temporary release.
func (m *migration) withoutDriver() []string {
	return append(m.ours(), "--set", "secrets-store-csi-driver.install=false")
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimPrefix(text, "\n")) {
		b.WriteString("  " + line)
	}
	return b.String()
}

// driverObjects are the objects of the driver that a migration must keep, as arguments of kubectl get.
var driverObjects = []string{
	"daemonset/secrets-store-csi-driver", "serviceaccount/secrets-store-csi-driver", "csidriver/secrets-store.csi.k8s.io",
	"clusterrole/secretproviderclasses-role", "clusterrolebinding/secretproviderclasses-rolebinding",
	"crd/secretproviderclasses.secrets-store.csi.x-k8s.io", "crd/secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io",
}

// driverUIDs returns the uid of each object of the driver, and of its pod.
func (m *migration) driverUIDs() map[string]string {
	m.t.Helper()
	uids := map[string]string{}
	for _, object := range driverObjects {
		uid, err := m.Kubectl(m.ctx, "get", object, "--namespace", releaseNamespace, "-o", "jsonpath={.metadata.uid}")
		m.must(err)
		uids[object] = uid
	}
	if m.otherDriver {
		return uids // its pods restart
	}
	pods, err := m.Kubectl(m.ctx, "get", "pods", "--namespace", releaseNamespace, "--selector=app=secrets-store-csi-driver", "-o", "jsonpath={.items[*].metadata.uid}")
	m.must(err)
	uids["its pods"] = pods
	return uids
}

// rotation returns requiresRepublish of the CSIDriver object and the driver's flag.
func (m *migration) rotation() string {
	m.t.Helper()
	out, err := m.Kubectl(m.ctx, "get", "csidriver/secrets-store.csi.k8s.io", "-o", "jsonpath=requiresRepublish={.spec.requiresRepublish}")
	m.must(err)
	arguments, err := m.Kubectl(m.ctx, "get", "daemonset/secrets-store-csi-driver", "--namespace", releaseNamespace, "-o", "jsonpath={.spec.template.spec.containers[*].args}")
	m.must(err)
	for _, flag := range []string{"--enable-secret-rotation=true", "--rotation-poll-interval=2s"} {
		if strings.Contains(arguments, flag) {
			out += " " + flag
		}
	}
	return out
}

// runs checks which of the two providers is installed.
func (m *migration) runs(ours bool) {
	m.t.Helper()
	all, err := m.Kubectl(m.ctx, "get", "daemonsets", "--namespace", releaseNamespace, "-o", "jsonpath={.items[*].metadata.name}")
	m.must(err)
	provider := awsDaemonSet
	if ours {
		provider = release
	}
	if diff := cmp.Diff([]string{provider, "secrets-store-csi-driver"}, strings.Fields(all)); diff != "" {
		m.t.Errorf("DaemonSets (-want +got):\n%s", diff)
	}
}

// steps are a way to install AWS's chart, to migrate, and to go back.
type steps struct{ install, there, back func(*migration) }

// The upgrade in place of a release of AWS's chart, and the way back. No pod loses a file at any moment, no mount fails, and the
// driver's objects and pods stay the same. Rotation stays as the release had it. With another version of the driver, the driver's
// pods restart, and mounts meanwhile wait for a retry of the kubelet.
func TestMigration_InPlaceAndBack(t *testing.T) {
	for _, test := range []struct {
		name, driver, rotation string
		steps                  steps
		refuses                func(*migration)
		restarts               bool // the charts have different versions of the driver
	}{
		{"helm", "enableSecretRotation: true\nrotationPollInterval: 2s\n", "requiresRepublish=true --enable-secret-rotation=true --rotation-poll-interval=2s", byHelm, (*migration).refusesRenames, false},
		{"kubectl", "", "requiresRepublish=false", byKubectl, nil, false},
		{"another-driver", "", "requiresRepublish=false", byHelm, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMigration(t, test.driver)
			m.otherDriver = test.restarts
			test.steps.install(m)
			m.must(m.WaitNode(m.ctx)) // the kubelet registers the driver after its pod is ready
			m.runs(false)
			name := m.secret("password", "correct-horse-aws")
			m.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`)
			w := m.watch(10)
			uids := m.driverUIDs()
			check := func(what string, ours bool) {
				m.t.Helper()
				m.runs(ours)
				if diff := cmp.Diff(uids, m.driverUIDs()); diff != "" {
					m.t.Errorf("%s: the driver's uids (-before +after):\n%s", what, diff)
				}
				if got := m.rotation(); got != test.rotation {
					m.t.Errorf("%s: rotation %q, want %q", what, got, test.rotation)
				}
				if strings.Contains(test.rotation, "requiresRepublish=true") {
					w.rotate("correct-horse-" + what)
				}
				m.t.Logf("%s: the driver keeps %d uids, the DaemonSet's is %s; %s", what, len(uids), uids[driverObjects[0]], test.rotation)
			}
			if test.refuses != nil {
				m.step("refused", func() { test.refuses(m) })
			}
			m.step("there", func() { test.steps.there(m); check("there", true) })
			m.step("back", func() { test.steps.back(m); check("back", false) })
			w.end()
		})
	}
}
