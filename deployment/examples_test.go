package deployment_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/deployment"
)

func TestExamples_AreListed(t *testing.T) {
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

// Each example is complete, and its Deployment and ServiceAccount are those of its description.
func TestExamples_AreComplete(t *testing.T) {
	for _, e := range slices.Concat(deployment.Examples(), deployment.Guides()) {
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
			if strings.HasSuffix(e.Name, ".md") {
				return
			}
			for _, s := range e.Secrets {
				if !strings.Contains(string(e.YAML()), "--name "+s.Name+" ") {
					t.Errorf("its first comment does not show how to create the secret %s", s.Name)
				}
			}
			for _, p := range e.Parameters {
				if !strings.Contains(string(e.YAML()), "--name "+p.Name+" ") {
					t.Errorf("its first comment does not show how to create the parameter %s", p.Name)
				}
			}
			wantPolicies(t, e)
		})
	}
}

// All examples can be applied to one cluster and account, so no two of them create the same secret or parameter.
func TestExamples_CreateDifferentObjects(t *testing.T) {
	creator := map[string]string{}
	create := func(example, object string) {
		if other, taken := creator[object]; taken {
			t.Errorf("%s and %s create the %s", other, example, object)
		}
		creator[object] = example
	}
	for _, e := range deployment.Examples() {
		for _, s := range e.Secrets {
			create(e.Name, "secret "+s.Name+" in "+s.Region)
		}
		for _, p := range e.Parameters {
			create(e.Name, "parameter "+p.Name)
		}
	}
}

// wantPolicies compares the IAM policies in the first comment of an example with those of its roles in the tests.
func wantPolicies(t *testing.T, e deployment.Example) {
	t.Helper()
	var want, got []any
	for _, r := range e.Roles {
		for _, policy := range []string{r.Permissions, r.Trust} {
			if policy != "" {
				want = append(want, decodeJSON(t, policy))
			}
		}
	}
	head, _, _ := strings.Cut(string(e.YAML()), "\napiVersion:")
	text := strings.ReplaceAll("\n"+head, "\n#", "\n")
	for {
		at := strings.Index(text, `{"Version"`)
		if at < 0 {
			break
		}
		decoder := json.NewDecoder(strings.NewReader(text[at:]))
		var policy any
		if err := decoder.Decode(&policy); err != nil {
			t.Fatal(err)
		}
		got = append(got, policy)
		text = text[at+int(decoder.InputOffset()):]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policies (-roles +comment):\n%s", diff)
	}
}

func decodeJSON(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return value
}
