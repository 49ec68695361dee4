package doctor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http/httpproxy"
	"google.golang.org/grpc"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/cmd/secrets-provider-aws/doctor"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

var update = flag.Bool("update", false, "rewrite testdata/doctor.golden with the current output")

const goldenFile = "testdata/doctor.golden"

const preface = `# The output of doctor on a healthy node, and with each fault

The provider serves on a real socket, AWS and the Kubernetes API are simulators. Paths and ports are replaced.
Written by: go test ./cmd/secrets-provider-aws/doctor -run TestFaults -update
`

// patient is a node with everything that doctor looks at.
type patient struct {
	*rig.Rig
	t       *testing.T
	options doctor.Options
}

const (
	csiDriverPath  = "/apis/storage.k8s.io/v1/csidrivers/secrets-store.csi.k8s.io"
	csiNodePath    = "/apis/storage.k8s.io/v1/csinodes/" + rig.Node
	daemonSetsPath = "/apis/apps/v1/daemonsets"
)

func newPatient(t *testing.T, o rig.Options) *patient {
	t.Helper()
	p := &patient{Rig: rig.New(t, o), t: t}
	p.Kube.SetObject("version", "/version", map[string]any{"gitVersion": "v1.36.1"})
	p.csiDriver(true, "sts.amazonaws.com", "pods.eks.amazonaws.com")
	p.Kube.SetObject("csinodes", csiNodePath, map[string]any{"spec": map[string]any{"drivers": []any{
		map[string]any{"name": "ebs.csi.aws.com"}, map[string]any{"name": "secrets-store.csi.k8s.io"},
	}}})
	p.daemonSets(driverSet("/var/run/secrets-store-csi-providers"), providerSet("secrets-provider-aws", "ghcr.io/secrets-provider-aws/secrets-provider-aws:1.2.3"))
	p.Kube.Forbid("get secrets", true)
	p.Kube.Forbid("create serviceaccounts/token", true)
	cfg, err := awsclient.Load(t.Context(), awsclient.Options{MaxAttempts: 1, AttemptTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	p.options = doctor.Options{
		Version: rig.Version, ProviderVolume: p.Dir, NodeName: rig.Node, OwnPermissions: true,
		Kubernetes: &rest.Config{Host: p.Kube.URL()}, AWS: cfg, Agents: []string{p.AWS.PodIdentityURL()},
	}
	return p
}

func (p *patient) csiDriver(podInfo bool, audiences ...string) {
	requests := []any{}
	for _, audience := range audiences {
		requests = append(requests, map[string]any{"audience": audience})
	}
	p.Kube.SetObject("csidrivers", csiDriverPath, map[string]any{"spec": map[string]any{"podInfoOnMount": podInfo, "requiresRepublish": true, "tokenRequests": requests}})
}

func (p *patient) daemonSets(sets ...any) {
	p.Kube.SetObject("daemonsets", daemonSetsPath, map[string]any{"items": sets})
}

// driverSet is the DaemonSet of the driver's chart, as far as doctor looks at it.
func driverSet(folder string) any {
	return set("csi-secrets-store", map[string]any{
		"name": "secrets-store", "image": "registry.k8s.io/csi-secrets-store/driver:v1.6.0",
		"args":         []string{"--endpoint=$(CSI_ENDPOINT)", "--provider-volume=/etc/providers"},
		"volumeMounts": []any{map[string]any{"name": "providers-dir", "mountPath": "/etc/providers"}},
	}, folder)
}

func providerSet(name, image string) any {
	return set(name, map[string]any{
		"name": "provider", "image": image, "args": []string{"--provider-volume=/var/run/secrets-store-csi-providers"},
		"volumeMounts": []any{map[string]any{"name": "providers-dir", "mountPath": "/var/run/secrets-store-csi-providers"}},
	}, "/var/run/secrets-store-csi-providers")
}

func set(name string, container map[string]any, folder string) any {
	return map[string]any{
		"metadata": map[string]any{"namespace": "kube-system", "name": name},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
			"containers": []any{container},
			"volumes":    []any{map[string]any{"name": "providers-dir", "hostPath": map[string]any{"path": folder}}},
		}}},
	}
}

// foreign serves Version as another provider does.
type foreign struct {
	v1alpha1.UnimplementedCSIDriverProviderServer
}

func (foreign) Version(context.Context, *v1alpha1.VersionRequest) (*v1alpha1.VersionResponse, error) {
	return &v1alpha1.VersionResponse{Version: "v1alpha1", RuntimeName: "secrets-store-csi-driver-provider-aws", RuntimeVersion: "3.1.1"}, nil
}

// otherProvider is a folder in which AWS's provider serves the socket.
func otherProvider(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "other") // t.TempDir can be too long for a Unix socket
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "aws.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	v1alpha1.RegisterCSIDriverProviderServer(server, foreign{})
	go func() { _ = server.Serve(listener) }() // until Stop
	t.Cleanup(func() {
		server.Stop()
		_ = os.RemoveAll(dir)
	})
	return dir
}

// Each fault changes the lines that it should change, and its line has the cause and the cure. The golden file has the
// whole output of the healthy node, and of each fault the lines that differ from it.
func TestFaults(t *testing.T) {
	tests := []struct {
		title   string
		rig     rig.Options
		given   func(*patient)
		failing string // the checks that fail
		warning string // the checks that warn
	}{
		{title: "healthy"},
		{title: "healthy, with Pod Identity", given: func(p *patient) { p.options.PodIdentity = true }},
		{title: "no tokenRequests", given: func(p *patient) { p.csiDriver(true) }, failing: "token-requests", warning: "token-requests"},
		{title: "no tokenRequests for Pod Identity, which pods use", given: func(p *patient) {
			p.csiDriver(true, "sts.amazonaws.com")
			p.options.PodIdentity = true
		}, failing: "token-requests"},
		{title: "podInfoOnMount is off", given: func(p *patient) { p.csiDriver(false, "sts.amazonaws.com", "pods.eks.amazonaws.com") }, failing: "pod-info"},
		{title: "the driver is not on the node", given: func(p *patient) {
			p.Kube.SetObject("csinodes", csiNodePath, map[string]any{"spec": map[string]any{"drivers": []any{}}})
		}, failing: "driver"},
		{title: "the driver is not in the cluster", given: func(p *patient) {
			p.Kube.SetObject("csinodes", csiNodePath, nil)
			p.Kube.SetObject("csidrivers", csiDriverPath, nil)
			p.daemonSets(providerSet("secrets-provider-aws", "secrets-provider-aws:1.2.3"))
		}, failing: "driver csidriver", warning: "driver-daemonset"},
		{title: "the provider's socket is in another folder", given: func(p *patient) {
			p.options.ProviderVolume = p.t.TempDir()
			p.daemonSets(driverSet("/etc/kubernetes/secrets-store-csi-providers"), providerSet("secrets-provider-aws", "secrets-provider-aws:1.2.3"))
		}, failing: "socket socket-folder"},
		{title: "the provider is dead and left its socket", given: func(p *patient) { p.options.ProviderVolume = deadSocket(p.t) }, failing: "socket"},
		{title: "the provider hangs", given: func(p *patient) {
			p.options.ProviderVolume, p.options.Timeout = hangingSocket(p.t), 2*time.Second
		}, failing: "socket"},
		{title: "the clock is ahead", given: func(p *patient) { p.options.Now = func() time.Time { return time.Now().Add(7 * time.Minute) } }, failing: "clock"},
		{title: "the clock is a little behind", given: func(p *patient) { p.options.Now = func() time.Time { return time.Now().Add(-time.Minute) } }, warning: "clock"},
		{title: "the region cannot be reached", rig: rig.Options{Endpoint: "http://127.0.0.1:1"}, failing: "sts secretsmanager ssm"},
		{title: "the region does not exist", rig: rig.Options{Endpoint: "https://sts.moon-north-1.invalid"}, failing: "sts secretsmanager ssm"},
		{title: "the proxy cannot be reached", rig: rig.Options{Endpoint: "https://sts.ap-south-1.invalid"}, given: func(p *patient) {
			p.t.Setenv("HTTPS_PROXY", "http://user:hunter2@127.0.0.1:1")
			cfg, err := awsclient.Load(p.t.Context(), awsclient.Options{MaxAttempts: 1})
			if err != nil {
				p.t.Fatal(err)
			}
			cfg.HTTPClient = throughProxy()
			p.options.AWS = cfg
		}, failing: "sts secretsmanager ssm"},
		{title: "the certificates are not known", rig: rig.Options{TLS: true, NoCABundle: true}, failing: "sts secretsmanager ssm"},
		{title: "Secrets Manager responds with errors", given: func(p *patient) {
			p.AWS.Inject(awssim.Fault{Service: "secretsmanager", Status: 503, Code: "ServiceUnavailable"})
		}, failing: "secretsmanager"},
		{title: "the chart's ClusterRoleBinding is missing", given: func(p *patient) {
			p.Kube.Forbid("get serviceaccounts", true)
			p.Kube.Forbid("get nodes", true)
			p.Kube.Refuse("nodes", 403)
		}, failing: "rbac rbac region"},
		{title: "more permissions than the provider needs", given: func(p *patient) {
			p.Kube.Forbid("get secrets", false)
			p.Kube.Forbid("create serviceaccounts/token", false)
		}, warning: "rbac rbac"},
		{title: "two providers, and the other one has the socket", given: func(p *patient) {
			p.options.ProviderVolume = otherProvider(p.t)
			p.daemonSets(driverSet("/run/secrets-store-csi-providers/"), providerSet("secrets-provider-aws", "secrets-provider-aws:1.2.3"),
				providerSet("provider-aws", "public.ecr.aws/aws-secrets-manager/secrets-store-csi-driver-provider-aws:3.1.1"))
		}, failing: "socket-owner daemonsets"},
		{title: "an upgrade is in progress", given: func(p *patient) { p.options.Version = "1.3.0" }, warning: "socket-owner"},
		{title: "the provider's permissions in Kubernetes, without rbac.readDriver", given: func(p *patient) {
			for _, resource := range []string{"csinodes", "csidrivers", "daemonsets"} {
				p.Kube.Refuse(resource, 403)
			}
		}},
		{title: "the API server is down", given: func(p *patient) {
			for _, resource := range []string{"version", "csinodes", "csidrivers", "daemonsets", "nodes"} {
				p.Kube.Refuse(resource, 503)
			}
		}, failing: "kubernetes region"},
		{title: "on a node without a kubeconfig", given: func(p *patient) {
			p.options.Kubernetes, p.options.Regions = nil, []string{"ap-south-1", "eu-west-1"}
			p.options.KubeletDir = p.t.TempDir()
			registration := filepath.Join(p.options.KubeletDir, "plugins_registry", "secrets-store.csi.k8s.io-reg.sock")
			if err := os.MkdirAll(filepath.Dir(registration), 0o755); err != nil {
				p.t.Fatal(err)
			}
			if err := os.WriteFile(registration, nil, 0o600); err != nil {
				p.t.Fatal(err)
			}
		}},
		{title: "on a node without the driver", given: func(p *patient) {
			p.options.Kubernetes, p.options.Regions, p.options.KubeletDir, p.options.NodeName = nil, []string{"ap-south-1"}, p.t.TempDir(), ""
		}, failing: "driver"},
		{title: "as an administrator, away from the node", given: func(p *patient) { p.options.ProviderVolume, p.options.OwnPermissions = "", false }},
		{title: "the Pod Identity agent is missing", given: func(p *patient) {
			p.options.PodIdentity, p.options.Agents = true, []string{"http://127.0.0.1:1"}
		}, failing: "pod-identity"},
	}
	var got strings.Builder
	got.WriteString(preface)
	var healthy []string
	ran := 0
	for _, tc := range tests {
		t.Run(tc.title, func(t *testing.T) {
			ran++
			p := newPatient(t, tc.rig)
			if tc.given != nil {
				tc.given(p)
			}
			report := doctor.Run(t.Context(), p.options)
			var failing, warning []string
			for _, c := range report.Checks {
				switch c.Status {
				case doctor.Failure:
					failing = append(failing, c.Name)
				case doctor.Warning:
					warning = append(warning, c.Name)
				case doctor.OK, doctor.NotChecked:
				}
				if (c.Status == doctor.Failure || c.Status == doctor.Warning) && c.Cure == "" {
					t.Errorf("%s has no cure: %s", c.Name, c.Message)
				}
			}
			if diff := cmp.Diff(tc.failing, strings.Join(failing, " ")); diff != "" {
				t.Errorf("failures (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.warning, strings.Join(warning, " ")); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if report.Failed() != (tc.failing != "") {
				t.Errorf("Failed is %t", report.Failed())
			}
			var text bytes.Buffer
			if err := report.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(normalise(text.String(), p)), "\n")
			if healthy == nil {
				healthy = lines
				fmt.Fprintf(&got, "\n## %s\n\n%s\n", tc.title, strings.Join(lines, "\n"))
				return
			}
			fmt.Fprintf(&got, "\n## %s\n\n", tc.title)
			for _, line := range lines {
				if !contains(healthy, line) && line != "" {
					got.WriteString(line + "\n")
				}
			}
		})
	}
	if ran < len(tests) {
		t.Skip("only a part ran, so the golden file is not compared")
	}
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(goldenFile, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("differs from %s (if the new output is better: -update); -file +now:\n%s", goldenFile, diff)
	}
}

// deadSocket is a folder with a socket that nobody listens on.
func deadSocket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dead")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "aws.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	_ = listener.Close()
	return dir
}

// throughProxy is a client that reads the proxy of the environment now: net/http does so once for the process.
func throughProxy() *http.Client {
	return &http.Client{Transport: &http.Transport{Proxy: func(r *http.Request) (*url.URL, error) { return httpproxy.FromEnvironment().ProxyFunc()(r.URL) }}}
}

// hangingSocket is a folder with a socket whose listener accepts nothing.
func hangingSocket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hanging")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "aws.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = listener.Close()
		_ = os.RemoveAll(dir)
	})
	return dir
}

func contains(lines []string, line string) bool {
	for _, l := range lines {
		if l == line {
			return true
		}
	}
	return false
}

func normalise(text string, p *patient) string {
	for _, dir := range []string{p.options.ProviderVolume, p.options.KubeletDir} {
		if dir != "" {
			text = strings.ReplaceAll(text, dir, "DIR")
		}
	}
	text = regexp.MustCompile(`clock is [0-9ms]+ `).ReplaceAllString(text, "clock is MINUTES ")
	text = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(text, "127.0.0.1:PORT")
	return regexp.MustCompile(`\[request id [^\]]+\]`).ReplaceAllString(text, "[request id REQUEST-ID]")
}

// The JSON has the same checks as the text.
func TestReport_JSON(t *testing.T) {
	p := newPatient(t, rig.Options{})
	p.csiDriver(true)
	report := doctor.Run(t.Context(), p.options)
	var out bytes.Buffer
	if err := report.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var read doctor.Report
	decoder := json.NewDecoder(&out)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(report, read); diff != "" {
		t.Errorf("JSON (-written +read):\n%s", diff)
	}
	if read.Summary.Failures != 1 || read.Node != rig.Node || read.Provider != rig.Version {
		t.Errorf("summary %+v of node %s and version %s", read.Summary, read.Node, read.Provider)
	}
}

// doctor calls AWS without credentials, and makes only calls that AWS refuses.
func TestAWSCallsHaveNoCredentials(t *testing.T) {
	p := newPatient(t, rig.Options{})
	doctor.Run(t.Context(), p.options)
	calls := p.AWS.CallLog()
	if len(calls) != 3 {
		t.Errorf("%d calls, want one to each service", len(calls))
	}
	for _, call := range calls {
		if call.Principal != "" || call.Code == "" {
			t.Errorf("%s of %q gave the error %q, want a refusal of an unsigned request", call.Operation, call.Principal, call.Code)
		}
	}
}
