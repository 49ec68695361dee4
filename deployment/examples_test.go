package deployment_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/deployment"
)

func TestExamples_AreAllKnownAndListed(t *testing.T) {
	files, err := filepath.Glob("examples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile("examples/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, e := range deployment.Examples() {
		file := "examples/" + e.Name + ".yaml"
		known = append(known, file)
		if !strings.Contains(string(index), "("+e.Name+".yaml)") {
			t.Errorf("examples/README.md does not list %s", e.Name)
		}
	}
	slices.Sort(known)
	if diff := cmp.Diff(files, known); diff != "" {
		t.Errorf("examples (-files +known):\n%s", diff)
	}
}

// An example is applied by itself, and its Deployment and ServiceAccount are the ones that its description names.
func TestExamples_StandAlone(t *testing.T) {
	for _, e := range deployment.Examples() {
		t.Run(e.Name, func(t *testing.T) {
			kinds := map[string][]string{}
			for _, o := range objects(t, string(e.YAML())) {
				kinds[o.Kind] = append(kinds[o.Kind], o.Metadata.Name)
			}
			want := map[string][]string{
				"Namespace": {"payments"}, "ServiceAccount": {e.ServiceAccount}, "Deployment": {e.Deployment},
				"SecretProviderClass": kinds["SecretProviderClass"],
			}
			if diff := cmp.Diff(want, kinds); diff != "" || len(kinds["SecretProviderClass"]) == 0 {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			for _, s := range e.Secrets {
				if !strings.Contains(string(e.YAML()), "--name "+s.Name+" ") {
					t.Errorf("its head does not say how to make the secret %s", s.Name)
				}
			}
			for _, p := range e.Parameters {
				if !strings.Contains(string(e.YAML()), "--name "+p.Name+" ") {
					t.Errorf("its head does not say how to make the parameter %s", p.Name)
				}
			}
		})
	}
}
