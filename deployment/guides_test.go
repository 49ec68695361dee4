package deployment_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	strict "sigs.k8s.io/yaml"

	"secrets-provider-aws/deployment"
	"secrets-provider-aws/docs"
)

// The objects that a guide shows as the old state are valid.
func TestGuides_ReplacedManifestsAreValid(t *testing.T) {
	found := 0
	for document := range strings.SplitSeq(string(deployment.Replaced()), "---\n") {
		var of struct{ Kind string }
		if err := yaml.Unmarshal([]byte(document), &of); err != nil {
			t.Fatal(err)
		}
		into, known := map[string]any{"Secret": &corev1.Secret{}, "Deployment": &appsv1.Deployment{}}[of.Kind]
		if !known {
			t.Fatalf("unexpected object of kind %s", of.Kind)
		}
		if err := strict.UnmarshalStrict([]byte(document), into); err != nil {
			t.Errorf("%s: %v", of.Kind, err)
		}
		found++
	}
	if found != 2 {
		t.Errorf("%d objects, want a Secret and a Deployment", found)
	}
}

// In a migration node by node, AWS's DaemonSet leaves the nodes with a label and does not restart on other nodes. This
// one runs only on the nodes with the label.
func TestGuides_NodeByNode(t *testing.T) {
	h := deployment.NodeByNode()
	var patch appsv1.DaemonSet
	if err := strict.UnmarshalStrict(h.Patch, &patch); err != nil {
		t.Fatal(err)
	}
	if patch.Spec.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType {
		t.Errorf("its update strategy is %q: the change of its template would restart it on all nodes", patch.Spec.UpdateStrategy.Type)
	}
	expression := patch.Spec.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchExpressions[0]
	var values struct {
		NodeSelector map[string]string `yaml:"nodeSelector"`
	}
	if err := yaml.Unmarshal(h.Values, &values); err != nil {
		t.Fatal(err)
	}
	if _, chosen := values.NodeSelector[expression.Key]; !chosen || expression.Operator != corev1.NodeSelectorOpDoesNotExist {
		t.Errorf("AWS's DaemonSet leaves nodes by %v, but this one selects them by %v", expression, values.NodeSelector)
	}
	if _, err := render(t, chart(t), h.Values); err != nil {
		t.Error(err)
	}
}

// The guide lists each value of AWS's chart, including those that this chart refuses.
func TestGuides_ListValuesOfAWSChart(t *testing.T) {
	rows, err := docs.Table("migrate-from-aws-provider.md", "Values of the chart")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range rows {
		documented = append(documented, docs.Code(row[0])...)
	}
	text, err := os.ReadFile("testdata/values/aws-chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	used := []string{"rbac.pspEnabled", "image"} // the chart refuses them, so the file cannot contain them
	for name, value := range values {
		nested, ok := value.(map[string]any)
		if ok && (name == "rbac" || name == "secrets-store-csi-driver") {
			for inner, value := range nested {
				if deeper, ok := value.(map[string]any); ok { // values of the driver's pods
					for last := range deeper {
						used = append(used, name+"."+inner+"."+last)
					}
					continue
				}
				used = append(used, name+"."+inner)
			}
			continue
		}
		used = append(used, name)
	}
	slices.Sort(used)
	slices.Sort(documented)
	if diff := cmp.Diff(used, documented); diff != "" {
		t.Errorf("values (-testdata/values/aws-chart.yaml +guide):\n%s", diff)
	}
}
