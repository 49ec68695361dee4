package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/cmd/secrets-provider-aws/doctor"
)

// The binary examines the provider that runs beside it, through the proxy and with the certificates of its environment.
func TestDoctor_Process(t *testing.T) {
	w := newOutside(t, "ap-south-1")
	p := start(t, w.env, "--kubeconfig="+w.kubeconfig)
	w.kube.SetObject("version", "/version", map[string]any{"gitVersion": "v1.36.1"})
	cmd := exec.CommandContext(t.Context(), binary(t), "doctor", "-o", "json", "--provider-volume="+p.dir, "--node-name=node-1", "--kubeconfig="+w.kubeconfig, "--kubelet-dir=")
	cmd.Env = p.cmd.Env
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	var report doctor.Report
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := map[string]doctor.Status{}
	for _, c := range report.Checks {
		got[c.Name] = c.Status
	}
	want := map[string]doctor.Status{
		"kubernetes": doctor.OK, "driver": doctor.NotChecked, "csidriver": doctor.NotChecked, "daemonsets": doctor.NotChecked, "rbac": doctor.NotChecked,
		"socket": doctor.OK, "socket-owner": doctor.OK,
		"region": doctor.OK, "sts": doctor.OK, "secretsmanager": doctor.OK, "ssm": doctor.OK, "clock": doctor.OK,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checks (-want +got):\n%s\n%s", diff, out)
	}
	hosts := []string{"secretsmanager.ap-south-1.amazonaws.com", "ssm.ap-south-1.amazonaws.com", "sts.ap-south-1.amazonaws.com"}
	if diff := cmp.Diff(hosts, w.aws.ProxiedHosts()); diff != "" {
		t.Errorf("host names (-want +got):\n%s", diff)
	}
}

// doctored runs doctor in this process and returns its output and exit code.
func doctored(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	root := newCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append([]string{"doctor"}, args...))
	err := root.ExecuteContext(t.Context())
	var exit exitError
	switch {
	case err == nil:
		return out.String(), 0
	case !errors.As(err, &exit):
		t.Fatalf("%v has no exit code", err)
	case exit.cause != nil:
		return exit.Error(), exit.code
	}
	return out.String(), exit.code
}

func TestDoctor_ExitCodes(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for name, tc := range map[string]struct {
		args []string
		want int
		text string
	}{
		"a failure":          {[]string{"--provider-volume=" + none, "--kubelet-dir=" + none}, exitFaults, "failure      socket: there is no " + none},
		"no such kubeconfig": {[]string{"--kubeconfig=" + none}, exitUsage, "doctor: read --kubeconfig"},
		"no such output":     {[]string{"-o", "xml"}, exitUsage, `--output "xml" is neither text nor json`},
		"no such flag":       {[]string{"--fix"}, exitUsage, "doctor: unknown flag"},
		"an argument":        {[]string{"node-1"}, exitUsage, "takes no argument"},
		"nothing to ask":     {[]string{"--cluster-only"}, exitUsage, "outside a cluster, set --kubeconfig"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_REGION", "")
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			if out, code := doctored(t, tc.args...); code != tc.want || !strings.Contains(out, tc.text) {
				t.Errorf("exit code %d, want %d, with %q in:\n%s", code, tc.want, tc.text, out)
			}
		})
	}
}

// In the provider's pod, process 1 is the provider. doctor looks where the provider serves, unless a flag says otherwise.
func TestDoctor_AdoptsTheProvidersFlags(t *testing.T) {
	for name, tc := range map[string]struct {
		cmdline []string
		args    []string
		want    string
	}{
		"of the provider":              {[]string{"/secrets-provider-aws", "--provider-volume=/run/other", "-v", "4"}, nil, "/run/other"},
		"in the form of AWS":           {[]string{"/secrets-provider-aws", "-provider-volume", "/run/other"}, nil, "/run/other"},
		"own flag first":               {[]string{"/secrets-provider-aws", "--provider-volume=/run/other"}, []string{"--provider-volume=/run/own"}, "/run/own"},
		"the provider has none":        {[]string{"/secrets-provider-aws"}, nil, "/var/run/secrets-store-csi-providers"},
		"process 1 is another program": {[]string{"/sbin/init", "--provider-volume=/run/other"}, nil, "/var/run/secrets-store-csi-providers"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cmdline")
			if err := os.WriteFile(file, []byte(strings.Join(tc.cmdline, "\x00")+"\x00"), 0o600); err != nil {
				t.Fatal(err)
			}
			flags := newDoctorCommand().Flags()
			if err := flags.Parse(tc.args); err != nil {
				t.Fatal(err)
			}
			if err := adoptFlags(file, flags); err != nil {
				t.Fatal(err)
			}
			if got := flags.Lookup("provider-volume").Value.String(); got != tc.want {
				t.Errorf("looks in %s, want %s", got, tc.want)
			}
		})
	}
}
