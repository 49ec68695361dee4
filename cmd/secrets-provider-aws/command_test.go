package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// The flags of AWS's provider work in every form that Go's flag package accepts, and so do the new flags.
// Users keep the arguments of their existing DaemonSets.
func TestK1_FlagsAreAccepted(t *testing.T) {
	tests := map[string]struct {
		args []string
		want map[string]string // flag → value
	}{
		"none": {nil, map[string]string{
			"provider-volume": "/var/run/secrets-store-csi-providers", "driver-writes-secrets": "true", "qps": "50", "burst": "100",
			"pod-identity-http-timeout": "", "eks-addon-version": "", "mount-timeout": "1m0s", "max-response-bytes": "4194304", "v": "0",
		}},
		"two dashes": {
			[]string{
				"--provider-volume=/p", "--driver-writes-secrets=true", "--qps=5", "--burst=10",
				"--pod-identity-http-timeout=100ms", "--eks-addon-version=v1.0.0-eksbuild.1",
			},
			map[string]string{
				"provider-volume": "/p", "driver-writes-secrets": "true", "qps": "5", "burst": "10",
				"pod-identity-http-timeout": "100ms", "eks-addon-version": "v1.0.0-eksbuild.1",
			},
		},
		"one dash": {
			[]string{
				"-provider-volume=/p", "-driver-writes-secrets", "-qps=5", "-burst=10",
				"-pod-identity-http-timeout=100ms", "-eks-addon-version=v1.0.0-eksbuild.1",
			},
			map[string]string{
				"provider-volume": "/p", "driver-writes-secrets": "true", "qps": "5", "burst": "10",
				"pod-identity-http-timeout": "100ms", "eks-addon-version": "v1.0.0-eksbuild.1",
			},
		},
		"separate value, two dashes": {[]string{"--provider-volume", "/p", "--qps", "5"}, map[string]string{"provider-volume": "/p", "qps": "5"}},
		"separate value, one dash":   {[]string{"-provider-volume", "/p", "-qps", "5"}, map[string]string{"provider-volume": "/p", "qps": "5"}},
		"-v=2":                       {[]string{"-v=2"}, map[string]string{"v": "2"}},
		"--v=2":                      {[]string{"--v=2"}, map[string]string{"v": "2"}},
		"-v 2":                       {[]string{"-v", "2"}, map[string]string{"v": "2"}},
		"new flags": {
			[]string{"--kubeconfig=/k", "--node-name=n", "--mount-timeout=30s", "--max-response-bytes=1048576", "--log-format=json"},
			map[string]string{"kubeconfig": "/k", "node-name": "n", "mount-timeout": "30s", "max-response-bytes": "1048576", "log-format": "json"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			root := newCommand()
			if err := root.ParseFlags(withDoubleDashes(tc.args, root.Flags())); err != nil {
				t.Fatal(err)
			}
			if rest := root.Flags().Args(); len(rest) != 0 {
				t.Errorf("%q were not read as flags", rest)
			}
			for flag, want := range tc.want {
				if got := root.Flags().Lookup(flag).Value.String(); got != want {
					t.Errorf("--%s is %q, want %q", flag, got, want)
				}
			}
		})
	}
}

func TestNodeNameComesFromTheEnvironment(t *testing.T) {
	t.Setenv("NODE_NAME", "node-7")
	if got := newCommand().Flags().Lookup("node-name").Value.String(); got != "node-7" {
		t.Errorf("--node-name is %q, want $NODE_NAME", got)
	}
}

func TestOtherArgumentsKeepTheirDashes(t *testing.T) {
	args := []string{"-v=2", "-v", "--qps=5", "-x", "-unknown", "version", "-", "--", "-burst=1", "/p-qps"}
	want := slices.Clone(args)
	want[8] = "--burst=1"
	if got := withDoubleDashes(args, newCommand().Flags()); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// run runs the command in this process. No test here reaches serve.
func run(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	root := newCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(withDoubleDashes(args, root.Flags()))
	err = root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestK2_DriverWritesSecretsFalseIsRefused(t *testing.T) {
	for _, arg := range []string{"--driver-writes-secrets=false", "-driver-writes-secrets=false", "--driver-writes-secrets=0"} {
		_, err := run(t, arg)
		if err == nil || err.Error() != "--driver-writes-secrets=false is not supported: the CSI driver always writes the files, remove the flag" {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

func TestEachFlagFaultIsNamed(t *testing.T) {
	faults := map[string]string{
		"--provider-volume=":                 "--provider-volume is empty",
		"--driver-writes-secrets=false":      "--driver-writes-secrets=false is not supported",
		"--qps=0":                            "--qps and --burst must be above 0",
		"--burst=-1":                         "--qps and --burst must be above 0",
		"--pod-identity-http-timeout=soon":   `--pod-identity-http-timeout "soon" is not a positive duration`,
		"--pod-identity-http-timeout=-100ms": `--pod-identity-http-timeout "-100ms" is not a positive duration`,
		"--mount-timeout=0s":                 "--mount-timeout 0s is not between 0 and 2m",
		"--mount-timeout=2m":                 "--mount-timeout 2m0s is not between 0 and 2m",
		"--max-response-bytes=0":             "--max-response-bytes must be above 0",
		"--log-format=xml":                   `--log-format "xml" is neither text nor json`,
		"--qps=many":                         `invalid argument "many" for "--qps" flag`,
		"--qsp=5":                            "unknown flag: --qsp",
		"serv":                               `unknown command "serv"`,
	}
	for arg, want := range faults {
		if _, err := run(t, arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", arg, err, want)
		}
	}
}

// The flag of AWS's provider sets the timeout of requests to the agent. 0 means the default.
func TestK3_PodIdentityHTTPTimeout(t *testing.T) {
	for arg, want := range map[string]time.Duration{
		"": 0, "--pod-identity-http-timeout=": 0, "--pod-identity-http-timeout=100ms": 100 * time.Millisecond, "--pod-identity-http-timeout=2s": 2 * time.Second,
	} {
		var o options
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		o.register(f)
		if err := f.Parse(strings.Fields(arg)); err != nil {
			t.Fatal(err)
		}
		if err := o.check(); err != nil || o.agentTimeout != want {
			t.Errorf("%q: timeout %v and error %v, want %v", arg, o.agentTimeout, err, want)
		}
	}
}

func TestAllFlagFaultsAtOnce(t *testing.T) {
	_, err := run(t, "--provider-volume=", "--driver-writes-secrets=false", "--qps=0", "--pod-identity-http-timeout=x",
		"--mount-timeout=1h", "--max-response-bytes=-1", "--log-format=xml")
	if err == nil {
		t.Fatal("accepted")
	}
	for _, flag := range []string{
		"--provider-volume", "--driver-writes-secrets", "--qps", "--pod-identity-http-timeout", "--mount-timeout", "--max-response-bytes", "--log-format",
	} {
		if !strings.Contains(err.Error(), flag) {
			t.Errorf("%s is not named: %v", flag, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("not one line: %q", err)
	}
}

func TestK5_NoSubcommandServes(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	missing := filepath.Join(t.TempDir(), "kubeconfig")
	if _, err := run(t, "--kubeconfig="+missing); err == nil || !strings.Contains(err.Error(), "read --kubeconfig: ") {
		t.Errorf("with a missing kubeconfig: %v", err)
	}
	if _, err := run(t); err == nil || !strings.Contains(err.Error(), "outside a cluster, set --kubeconfig") {
		t.Errorf("outside a cluster: %v", err)
	}
	if err := os.WriteFile(missing, []byte("apiVersion: v1\nkind: Config\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "--kubeconfig="+missing); err == nil || !strings.Contains(err.Error(), "read --kubeconfig: ") {
		t.Errorf("with an empty kubeconfig: %v", err)
	}
}

func TestVersionIsSemver(t *testing.T) {
	output, err := run(t, "version")
	if err != nil || output != version+"\n" {
		t.Errorf("got %q, %v, want %q", output, err, version)
	}
	if _, err := run(t, "version", "more"); err == nil {
		t.Error("version accepted an argument")
	}
}
