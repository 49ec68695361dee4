package deployment_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/deployment"
	"secrets-provider-aws/docs"
)

// driverObjects are the objects of the CSI driver in a release of AWS's chart 3.1, with the selectors of workloads, which cannot
// change. They are the same for every name of the release, because AWS's chart sets fullnameOverride for the driver.
var driverObjects = []string{
	"CSIDriver secrets-store.csi.k8s.io",
	"ClusterRole secretproviderclasses-admin-role",
	"ClusterRole secretproviderclasses-role",
	"ClusterRole secretproviderclasses-viewer-role",
	"ClusterRole secretproviderclasspodstatuses-viewer-role",
	"ClusterRoleBinding secretproviderclasses-rolebinding",
	"CustomResourceDefinition secretproviderclasses.secrets-store.csi.x-k8s.io",
	"CustomResourceDefinition secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io",
	"DaemonSet secrets-store-csi-driver app=secrets-store-csi-driver",
	"ServiceAccount secrets-store-csi-driver",
}

// An upgrade of a release of AWS's chart updates the driver in place: the driver's objects have the same names, kinds and
// selectors. With the same version of the driver they are equal in every field, so its pods do not even restart.
func TestChart_UpgradeOfAWSChartKeepsTheDriver(t *testing.T) {
	theirs := filepath.Join(t.TempDir(), "aws")
	ours := chart(t)
	if err := deployment.WriteAWSChart(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, release, values string }{
		{"the name in AWS's README", "secrets-provider-aws", "{}"},
		{"the name of AWS's chart", "secrets-store-csi-driver-provider-aws", "{}"},
		{"another name", "csi", "{}"},
		{"rotation and Secrets", "csi", "{enableSecretRotation: true, rotationPollInterval: 1h, syncSecret: {enabled: true}}"},
		{"a name of the driver's own", "csi", "{fullnameOverride: csi-secrets-store-csi-driver}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var values struct{ Driver map[string]any }
			if err := yaml.Unmarshal([]byte("driver: "+test.values), &values); err != nil {
				t.Fatal(err)
			}
			given := map[string]any{"install": true}
			maps.Copy(given, values.Driver)
			text, err := yaml.Marshal(map[string]any{"secrets-store-csi-driver": given})
			if err != nil {
				t.Fatal(err)
			}
			before, after := driverOf(t, theirs, test.release, text), driverOf(t, ours, test.release, text)
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("objects of the driver (-AWS's chart +this chart):\n%s", diff)
			}
			if test.values != "{}" {
				return
			}
			if diff := cmp.Diff(driverObjects, slices.Sorted(maps.Keys(after))); diff != "" {
				t.Errorf("names and selectors of the driver's objects (-AWS's chart 3.1 +this chart):\n%s", diff)
			}
		})
	}
}

// The guide for GitOps shows which objects the change of the chart removes, adds and keeps.
func TestGuides_DiffOfTheChartsIsCurrent(t *testing.T) {
	const guide, name, release = "../docs/migrate-from-aws-provider.md", "migrate-from-aws-provider.md", "secrets-provider-aws"
	theirs := filepath.Join(t.TempDir(), "aws")
	ours := chart(t)
	if err := deployment.WriteAWSChart(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	values := []byte("secrets-store-csi-driver: {install: true}")
	before, after := objectsOf(t, theirs, release, values), objectsOf(t, ours, release, values)
	all := maps.Clone(before)
	maps.Copy(all, after)
	var lines strings.Builder
	for _, sign := range []string{"-", "+", " "} {
		for _, object := range slices.Sorted(maps.Keys(all)) {
			old, kept := before[object]
			new, stays := after[object]
			switch {
			case sign == "-" && !stays, sign == "+" && !kept, sign == " " && kept && stays && cmp.Equal(old, new):
				lines.WriteString(sign + " " + object + "\n")
			case sign == " " && kept && stays:
				t.Errorf("%s changes:\n%s", object, cmp.Diff(old, new))
			}
		}
	}
	blocks, err := docs.Blocks(name, "diff objects")
	if err != nil || len(blocks) != 1 {
		t.Fatalf("%d blocks: %v", len(blocks), err)
	}
	if *update {
		text, err := os.ReadFile(guide)
		if err != nil {
			t.Fatal(err)
		}
		const start, end = "```diff objects\n", "```\n"
		write(t, guide, []byte(strings.Replace(string(text), start+blocks[0]+end, start+lines.String()+end, 1)), 0o644)
		return
	}
	if diff := cmp.Diff(lines.String(), blocks[0]); diff != "" {
		t.Errorf("the diff in the guide (run make manifests to update it; -charts +guide):\n%s", diff)
	}
}

// driverOf returns those of objectsOf that belong to the driver's chart.
func driverOf(t *testing.T, chart, release string, values []byte) map[string]map[string]any {
	t.Helper()
	all := objectsOf(t, chart, release, values)
	maps.DeleteFunc(all, func(_ string, object map[string]any) bool {
		metadata, _ := object["metadata"].(map[string]any)
		labels, _ := metadata["labels"].(map[string]any)
		return object["kind"] != "CustomResourceDefinition" && labels["app"] != "secrets-store-csi-driver"
	})
	return all
}

// objectsOf renders a release and returns its objects without hooks. The key has the kind, the name and the selector.
func objectsOf(t *testing.T, chart, release string, values []byte) map[string]map[string]any {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	write(t, file, values, 0o600)
	stdout, stderr, err := helm(t, "template", release, chart, "--namespace=kube-system", "--kube-version=1.34.4", "--include-crds", "--no-hooks", "--values="+file)
	if err != nil {
		t.Fatal(stderr)
	}
	all := map[string]map[string]any{}
	for decoder := yaml.NewDecoder(strings.NewReader(stdout)); ; {
		var object map[string]any
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if object != nil {
			all[identity(object)] = object
		}
	}
}

// identity is the kind, the name and the selector of an object.
func identity(object map[string]any) string {
	metadata, _ := object["metadata"].(map[string]any)
	text := fmt.Sprint(object["kind"], " ", metadata["name"])
	spec, _ := object["spec"].(map[string]any)
	selector, _ := spec["selector"].(map[string]any)
	labels, _ := selector["matchLabels"].(map[string]any)
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		text += fmt.Sprint(" ", label, "=", labels[label])
	}
	return text
}
