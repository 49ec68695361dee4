package deployment_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each values file of the examples is accepted by the chart, and has its effect on the provider's pods.
func TestExamples_ValuesHaveTheirEffect(t *testing.T) {
	dir := chart(t)
	effects := map[string][]string{
		"proxy.yaml":             {"name: HTTPS_PROXY", "value: /etc/corporate-ca/ca.crt", "mountPath: /etc/corporate-ca", "name: corporate-ca"},
		"private-endpoints.yaml": {"name: AWS_ENDPOINT_URL_STS", "name: AWS_ENDPOINT_URL_SECRETS_MANAGER", "name: AWS_ENDPOINT_URL_SSM"},
		"china.yaml":             {"image: \"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/secrets-provider-aws:", "value: cn-north-1"},
		"govcloud.yaml":          {"value: us-gov-west-1", "name: AWS_USE_FIPS_ENDPOINT"},
		"bottlerocket.yaml":      {"type: super_t", "privileged: false", "- ALL"},
		"host-network.yaml":      {"hostNetwork: true", "dnsPolicy: ClusterFirstWithHostNet", "maxSurge: 0", "maxUnavailable: 1"},
	}
	files, err := filepath.Glob("examples/values/*.yaml")
	if err != nil || len(files) != len(effects) {
		t.Errorf("%d files and %d effects, %v", len(files), len(effects), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			values, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			rendered, err := render(t, dir, values)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(ours(rendered), "\n")
			wanted := effects[filepath.Base(file)]
			if len(wanted) == 0 {
				t.Error("no effect is known")
			}
			for _, want := range wanted {
				if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, want) }) {
					t.Errorf("no %q in the rendered chart", want)
				}
			}
		})
	}
}
