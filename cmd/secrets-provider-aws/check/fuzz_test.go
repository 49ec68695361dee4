package check_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"secrets-provider-aws/cmd/secrets-provider-aws/check"
)

// FuzzManifests checks that every text gives a report, with findings inside the text and policies that are JSON.
func FuzzManifests(f *testing.F) {
	// The head is short because the fuzzer minimises every new input, which is slow for long ones.
	const head = "{apiVersion: secrets-store.csi.x-k8s.io/v1, kind: SecretProviderClass, metadata: {name: c}, spec: {provider: aws, parameters: {objects: "
	for _, text := range []string{
		"", head + "\"[{objectName: a, objectType: ssm}]\"}}}",
		head + "'[{objectName: ''a'',\n\n objectType: secretsmanager}]', usePodIdentity: 'true'}}}",
		head + "\"[{\\x6fbjectName: a, \\\n objectType: b}]\", regoin: no}, secretObjects: [{data: [{}]}]}}",
		"kind: SecretProviderClass\nspec:\n provider: aws\n parameters:\n  objects: >-\n   - objectName: a\n\n     objectType: b\n",
		"kind: SecretProviderClass\nspec:\n provider: aws\n parameters: &p\n  <<: [*p, {region: x}]\n  objects: |2\n    - {}\n",
		"kind: List\nitems: [{kind: Pod, spec: {volumes: [{csi: {driver: secrets-store.csi.k8s.io, volumeAttributes: {secretProviderClass: c, region: X}}}]}}]\n",
		head + "\"[{objectName: a, objectType: ssmparameter, filePermission: '0400'}]\"}, secretObjects: [{secretName: s, data: [{objectName: a, key: k}]}]}}\n---\n" +
			"kind: Pod\nspec: {securityContext: {runAsUser: 7}, containers: [{name: a, env: [{valueFrom: {secretKeyRef: {name: s, key: l}}}], volumeMounts: [{name: v}]}], volumes: [{name: v, csi: {driver: secrets-store.csi.k8s.io, volumeAttributes: {secretProviderClass: c}}}]}\n",
		"kind: ServiceAccount\napiVersion: v1\nmetadata: {name: a, annotations: {eks.amazonaws.com/role-arn: b}}\n---\nkind: [\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		report, err := check.Manifests([]string{check.Stdin}, strings.NewReader(text), check.Options{Region: "eu-west-1", Strict: true})
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + strings.Count(text, "\u0085") + strings.Count(text, "\u2028") + strings.Count(text, "\u2029") + 1
		for _, finding := range report.Findings {
			if finding.File != "" && (finding.Line < 1 || finding.Line > lines+1 || finding.Column < 1) {
				t.Errorf("a position outside the text: %s", finding)
			}
			if strings.ContainsAny(finding.String(), "\n\r\x1b") {
				t.Errorf("not one line: %q", finding.String())
			}
		}
		for _, role := range report.Roles {
			if !json.Valid([]byte(role.PermissionPolicy.String())) || !json.Valid([]byte(role.TrustPolicy.String())) {
				t.Errorf("a policy is not JSON: %s %s", role.PermissionPolicy, role.TrustPolicy)
			}
		}
		if err := report.WriteText(io.Discard); err != nil {
			t.Error(err)
		}
		if err := report.WriteJSON(io.Discard); err != nil {
			t.Error(err)
		}
	})
}
