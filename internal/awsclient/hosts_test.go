package awsclient_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/awssim"
)

// childVar tells the test binary to call each service once and exit. net/http reads the proxy variables once per
// process, so each case needs its own process.
const childVar = "AWSCLIENT_TEST_CALL_ALL"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) == "" {
		os.Exit(m.Run())
	}
	cfg, err := awsclient.Load(context.Background(), awsclient.Options{MaxAttempts: 1})
	if err == nil {
		err = callAll(context.Background(), cfg)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// callAllInChild calls each service once in a process that has only these variables, and returns its output.
func callAllInChild(t *testing.T, vars map[string]string) string {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), executable)
	home := t.TempDir()
	// A binary built for coverage prints a warning if GOCOVERDIR is not set.
	cmd.Env = []string{childVar + "=1", "HOME=" + home, "GOCOVERDIR=" + home, "AWS_REGION=" + region}
	for _, name := range slices.Sorted(maps.Keys(vars)) { // the last of equal names wins
		cmd.Env = append(cmd.Env, name+"="+vars[name])
	}
	out, err := cmd.CombinedOutput()
	if text := strings.TrimSpace(string(out)); text != "" {
		return text
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// proxied returns the variables for a process that reaches the simulator under the host names of AWS.
func proxied(t *testing.T, sim *awssim.Sim, more map[string]string) map[string]string {
	t.Helper()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := sim.WriteCA(bundle); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"HTTPS_PROXY": sim.ProxyURL(), "AWS_CA_BUNDLE": bundle}
	maps.Copy(vars, more)
	return vars
}

// The variables apply to STS too. AWS's provider ignores them for STS.
func TestK7_HostNamesThroughTheProxy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		env  map[string]string
		want []string
	}{
		{"default", nil, []string{
			"secretsmanager.ap-south-1.amazonaws.com", "ssm.ap-south-1.amazonaws.com", "sts.ap-south-1.amazonaws.com",
		}},
		{"FIPS", map[string]string{"AWS_USE_FIPS_ENDPOINT": "true", "AWS_REGION": "us-east-1"}, []string{
			"secretsmanager-fips.us-east-1.amazonaws.com", "ssm-fips.us-east-1.amazonaws.com", "sts-fips.us-east-1.amazonaws.com",
		}},
		// The ordinary host names of Secrets Manager are dual stack.
		{"dual stack", map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "true"}, []string{
			"secretsmanager.ap-south-1.amazonaws.com", "ssm.ap-south-1.api.aws", "sts.ap-south-1.api.aws",
		}},
		{"FIPS and dual stack", map[string]string{"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_REGION": "us-east-1"}, []string{
			"secretsmanager-fips.us-east-1.amazonaws.com", "ssm-fips.us-east-1.api.aws", "sts-fips.us-east-1.api.aws",
		}},
		{"China", map[string]string{"AWS_REGION": "cn-north-1"}, []string{
			"secretsmanager.cn-north-1.amazonaws.com.cn", "ssm.cn-north-1.amazonaws.com.cn", "sts.cn-north-1.amazonaws.com.cn",
		}},
		{"GovCloud", map[string]string{"AWS_REGION": "us-gov-west-1"}, []string{
			"secretsmanager.us-gov-west-1.amazonaws.com", "ssm.us-gov-west-1.amazonaws.com", "sts.us-gov-west-1.amazonaws.com",
		}},
		{"VPC endpoint of one service", map[string]string{"AWS_ENDPOINT_URL_STS": "https://vpce-0a1b-c2d3.sts.ap-south-1.vpce.amazonaws.com"}, []string{
			"secretsmanager.ap-south-1.amazonaws.com", "ssm.ap-south-1.amazonaws.com", "vpce-0a1b-c2d3.sts.ap-south-1.vpce.amazonaws.com",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim := simulator(t, awssim.Config{}, "us-east-1", "cn-north-1", "us-gov-west-1")
			if output := callAllInChild(t, proxied(t, sim, tt.env)); output != "" {
				t.Error(output)
			}
			if diff := cmp.Diff(tt.want, sim.ProxiedHosts()); diff != "" {
				t.Errorf("host names (-want +got):\n%s", diff)
			}
			wantCalls(t, sim, each)
		})
	}
}

// The simulator's proxy refuses hosts that are not in AWS, and the resolver rejects a name with an empty label. The
// error therefore shows whether the call used the proxy.
func TestK8_NoProxy(t *testing.T) {
	t.Parallel()
	const endpoint, byProxy, direct = "https://aws..invalid", "Forbidden", "lookup aws..invalid"
	for noProxy, want := range map[string]string{"": byProxy, "example.com": byProxy, ".invalid": direct, "aws..invalid": direct, "*": direct} {
		t.Run(noProxy, func(t *testing.T) {
			t.Parallel()
			sim := simulator(t, awssim.Config{})
			got := callAllInChild(t, proxied(t, sim, map[string]string{"AWS_ENDPOINT_URL": endpoint, "NO_PROXY": noProxy}))
			if !strings.Contains(got, want) {
				t.Errorf("output %q, want %q in it", got, want)
			}
		})
	}
}
