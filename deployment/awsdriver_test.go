package deployment_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/deployment"
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

// driverOf renders a release and returns the objects of the driver's chart, without its hooks. The key has the kind, the name and
// the selector of an object.
func driverOf(t *testing.T, chart, release string, values []byte) map[string]map[string]any {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	write(t, file, values, 0o600)
	stdout, stderr, err := helm(t, "template", release, chart, "--namespace=kube-system", "--kube-version=1.34.4", "--include-crds", "--no-hooks", "--values="+file)
	if err != nil {
		t.Fatal(stderr)
	}
	all := map[string]map[string]any{}
	for document := range strings.SplitSeq(stdout, "\n---\n") {
		if !strings.Contains(document, "/charts/secrets-store-csi-driver/") && !strings.Contains(document, "kind: CustomResourceDefinition") {
			continue
		}
		decoder := yaml.NewDecoder(strings.NewReader(document))
		for {
			var object map[string]any
			if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if object != nil {
				all[identity(object)] = object
			}
		}
	}
	return all
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
