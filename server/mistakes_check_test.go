package server_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"secrets-provider-aws/cmd/secrets-provider-aws/check"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/test/rig"
)

// offlineMistakes maps each mistake in a value that check finds without AWS to the field of the finding.
var offlineMistakes = map[string]string{
	"The secret's version is a number":             "objects[0].objectVersion",
	"The secret's name has a space":                "objects[0].objectName",
	"The parameter's name lacks its leading slash": "objects[0].objectName",
	"The parameter's name has a space":             "objects[0].objectName",
	"The ServiceAccount has no annotation":         "",
	"The annotation is a role's name":              rig.RoleAnnotation,
	"The annotation has a placeholder":             rig.RoleAnnotation,
	"The pod runs as ServiceAccount default":       "",
}

// The command check finds each mistake in a SecretProviderClass, with the provider's message and the right line.
func TestI9_CheckFindsTheMistakesOfClasses(t *testing.T) {
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []chapter{objectMistakes(), fileMistakes(), languageMistakes(), parameterMistakes()} {
		for _, m := range c.mistakes {
			if !strings.Contains(string(golden), "\n### "+m.title+"\nInvalidArgument: ") {
				continue // only AWS refuses it
			}
			t.Run(m.title, func(t *testing.T) {
				parameters := m.parametersOfClass()
				manifest, line := manifestOf(parameters)
				_, err := class.Parse(parameters, rig.Region)
				var want *class.Error
				if !errors.As(err, &want) {
					t.Fatalf("the class is valid: %v", err)
				}
				if message := "SecretProviderClass payments/payment-secrets: " + err.Error() + "\n"; !strings.Contains(string(golden), message) {
					t.Fatalf("the golden file lacks this message: %s", message)
				}
				var texts []string
				for _, f := range want.Faults {
					texts = append(texts, fmt.Sprintf("%d: %s: %s", lineOfFault(f, parameters, line), f.Field, f.Message))
				}
				var got []string
				for _, f := range findings(t, manifest) {
					if f.Severity == check.Error {
						got = append(got, fmt.Sprintf("%d: %s: %s", f.Line, f.Field, f.Message))
					}
				}
				slices.Sort(texts)
				slices.Sort(got)
				missing := slices.DeleteFunc(slices.Clone(texts), func(s string) bool { return slices.Contains(got, s) })
				if len(missing) > 0 {
					t.Errorf("check does not say %q, but %q, of\n%s", missing, got, manifest)
				}
			})
		}
	}
}

// The command check also finds values that AWS always refuses.
func TestCheckFindsTheMistakesOfValues(t *testing.T) {
	found := 0
	for _, m := range valueMistakes().mistakes {
		field, offline := offlineMistakes[m.title]
		manifest, line := manifestOf(m.parametersOfClass())
		errs := slices.DeleteFunc(findings(t, manifest), func(f check.Finding) bool { return f.Severity != check.Error })
		switch {
		case offline && (len(errs) != 1 || errs[0].Field != field || errs[0].Line != line["objects"]+1):
			t.Errorf("%s: %v, want one error of %s", m.title, errs, field)
		case !offline && len(errs) > 0:
			t.Errorf("%s: %v, although only AWS can find it", m.title, errs)
		case offline:
			found++
		}
	}
	if found != 4 {
		t.Errorf("%d mistakes were found, want 4", found)
	}
}

// The mistakes of accountMistakes, as manifests.
func TestCheckFindsTheMistakesOfServiceAccounts(t *testing.T) {
	spc, _ := manifestOf(map[string]string{"region": rig.Region, "objects": dbSecret})
	account := func(name, annotation string) string {
		return "---\napiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: " + name + "\n  namespace: payments\n  annotations: {" + annotation + "}\n"
	}
	pod := func(name string) string {
		return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: app, namespace: payments}\nspec:\n  serviceAccountName: " + name +
			"\n  containers: [{name: app, volumeMounts: [{name: s, mountPath: /s}]}]\n  volumes:\n  - name: s\n    csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: payment-secrets}}\n"
	}
	for _, m := range accountMistakes().mistakes {
		if m.title == "The ServiceAccount was deleted" {
			continue
		}
		field, offline := offlineMistakes[m.title]
		if !offline {
			t.Errorf("offlineMistakes lacks %q", m.title)
			continue
		}
		name, annotation := "app-sa", ""
		switch m.title {
		case "The annotation is a role's name":
			annotation = rig.RoleAnnotation + ": payment-role"
		case "The annotation has a placeholder":
			annotation = rig.RoleAnnotation + `: "arn:aws:iam::ACCOUNT_ID:role/payment-role"`
		case "The pod runs as ServiceAccount default":
			name = "default"
		}
		manifest := spc + account(name, annotation) + pod(name)
		errs := findings(t, manifest)
		if len(errs) != 1 || errs[0].Severity != check.Error || errs[0].Field != field || errs[0].Object != "ServiceAccount payments/"+name {
			t.Errorf("%s: %v, want one error of the ServiceAccount", m.title, errs)
		}
	}
}

// parametersOfClass returns the parameters of the mistake's SecretProviderClass.
func (m mistake) parametersOfClass() map[string]string {
	parameters := map[string]string{"region": rig.Region, "objects": dbSecret}
	if m.objects != "" {
		parameters["objects"] = m.objects
	}
	maps.Copy(parameters, m.parameters)
	if m.attributes != nil {
		m.attributes(parameters)
	}
	maps.DeleteFunc(parameters, func(_, v string) bool { return v == "" })
	return parameters
}

// manifestOf returns a SecretProviderClass with each parameter as a YAML block, and the line of each parameter's key.
// The empty name has the line of the key parameters.
func manifestOf(parameters map[string]string) (manifest string, line map[string]int) {
	lines := []string{
		"apiVersion: secrets-store.csi.x-k8s.io/v1", "kind: SecretProviderClass", "metadata: {name: payment-secrets, namespace: payments}",
		"spec:", "  provider: aws", "  parameters:",
	}
	line = map[string]int{"": len(lines)}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		lines = append(lines, "    "+name+": |-")
		line[name] = len(lines)
		for l := range strings.SplitSeq(strings.TrimSuffix(parameters[name], "\n"), "\n") {
			lines = append(lines, "      "+l)
		}
	}
	return strings.Join(lines, "\n") + "\n", line
}

// lineOfFault returns the line of a fault in the manifest. A fault after the last line counts as on the last line.
func lineOfFault(f class.Fault, parameters map[string]string, line map[string]int) int {
	key, written := line[f.Parameter()]
	if !written {
		return line[""]
	}
	return key + min(f.Line, strings.Count(strings.TrimSuffix(parameters[f.Parameter()], "\n"), "\n")+1)
}

func findings(t *testing.T, manifest string) []check.Finding {
	t.Helper()
	report, err := check.Manifests([]string{check.Stdin}, strings.NewReader(manifest), check.Options{Region: rig.Region})
	if err != nil {
		t.Fatal(err)
	}
	return report.Findings
}
