package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/csidriver"
	"secrets-provider-aws/test/kubesim"
)

const (
	canary  = "canary-hunter2"
	roleARN = "arn:aws:iam::123456789012:role/payment-role"
	objects = "- {objectName: prod/db, objectType: secretsmanager}\n- {objectName: /prod/url, objectType: ssmparameter}\n"
)

// outside is everything around the process: AWS behind a proxy, under its usual host names, and a Kubernetes API.
type outside struct {
	aws        *awssim.Sim
	kube       *kubesim.Sim
	issuer     *awssim.Issuer
	env        []string
	kubeconfig string
}

func newOutside(t *testing.T, region string) *outside {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &outside{kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	var err error
	w.aws, err = awssim.Start(awssim.Config{PodIdentityListen: "-", State: awssim.State{
		Secrets:    []awssim.Secret{{Region: region, Name: "prod/db", Value: canary}},
		Parameters: []awssim.Parameter{{Region: region, Name: "/prod/url", Value: "https://example.com"}},
	}})
	must(err)
	t.Cleanup(w.aws.Close)
	w.issuer, err = w.aws.NewIssuer()
	must(err)
	must(w.aws.AddRole(awssim.Role{
		Name: "payment-role", TrustPolicy: w.issuer.TrustPolicy("payments", "payment-sa"),
		Policies: []awssim.Document{awssim.AllowPolicy("*", "secretsmanager:GetSecretValue", "ssm:GetParameters")},
	}))
	w.kube = kubesim.Start(0)
	t.Cleanup(w.kube.Close)
	w.kube.SetServiceAccount("payments", "payment-sa", map[string]string{"eks.amazonaws.com/role-arn": roleARN})
	w.kube.SetNode("node-1", map[string]string{"topology.kubernetes.io/region": region})
	must(w.kube.WriteKubeconfig(w.kubeconfig))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(w.aws.WriteCA(ca))
	w.env = []string{"HTTPS_PROXY=" + w.aws.ProxyURL(), "AWS_CA_BUNDLE=" + ca}
	return w
}

// volume is a pod's volume. If parameters name no region, it is the node's.
func (w *outside) volume(t *testing.T, parameters map[string]string) csidriver.Volume {
	t.Helper()
	token, err := w.issuer.Token(awssim.Token{Namespace: "payments", ServiceAccount: "payment-sa", Pod: "payment-1", Node: "node-1"})
	if err != nil {
		t.Fatal(err)
	}
	v := csidriver.Volume{
		Namespace: "payments", ServiceAccount: "payment-sa", Pod: "payment-1", PodUID: "uid-1", Class: "payment-secrets",
		Parameters: map[string]string{"objects": objects}, Tokens: map[string]string{"sts.amazonaws.com": token},
	}
	for key, value := range parameters {
		v.Parameters[key] = value
	}
	return v
}

// mount mounts a volume and checks its files.
func (w *outside) mount(t *testing.T, p *process, parameters map[string]string) {
	t.Helper()
	dir := t.TempDir()
	if err := csidriver.Mount(t.Context(), p.conn, w.volume(t, parameters), dir); err != nil {
		t.Fatalf("%v\n%s", err, p.log())
	}
	for file, want := range map[string]string{"prod_db": canary, "_prod_url": "https://example.com"} {
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
			t.Errorf("%s contains %q, %v, want %q", file, got, err, want)
		}
	}
}

// The environment variables of the AWS SDK apply to every client, and unlike in AWS's provider also to STS. Without
// them the provider uses the usual host names.
func TestK7_HostNames(t *testing.T) {
	tests := map[string]struct {
		region     string
		env        []string
		parameters map[string]string
		want       []string
	}{
		"ordinary, region of the class": {"ap-south-1", nil, map[string]string{"region": "ap-south-1"}, []string{
			"secretsmanager.ap-south-1.amazonaws.com", "ssm.ap-south-1.amazonaws.com", "sts.ap-south-1.amazonaws.com",
		}},
		"region of AWS_REGION": {"eu-west-1", []string{"AWS_REGION=eu-west-1"}, nil, []string{
			"secretsmanager.eu-west-1.amazonaws.com", "ssm.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com",
		}},
		"region of the class over AWS_REGION": {"ap-south-1", []string{"AWS_REGION=eu-west-1"}, map[string]string{"region": "ap-south-1"}, []string{
			"secretsmanager.ap-south-1.amazonaws.com", "ssm.ap-south-1.amazonaws.com", "sts.ap-south-1.amazonaws.com",
		}},
		"region of the node": {"us-west-2", nil, nil, []string{
			"secretsmanager.us-west-2.amazonaws.com", "ssm.us-west-2.amazonaws.com", "sts.us-west-2.amazonaws.com",
		}},
		"FIPS": {"us-east-1", []string{"AWS_REGION=us-east-1", "AWS_USE_FIPS_ENDPOINT=true"}, nil, []string{
			"secretsmanager-fips.us-east-1.amazonaws.com", "ssm-fips.us-east-1.amazonaws.com", "sts-fips.us-east-1.amazonaws.com",
		}},
		// In the SDK's endpoint rules, Secrets Manager has one name for IPv4 and IPv6.
		"dual stack": {"us-east-1", []string{"AWS_REGION=us-east-1", "AWS_USE_DUALSTACK_ENDPOINT=true"}, nil, []string{
			"secretsmanager.us-east-1.amazonaws.com", "ssm.us-east-1.api.aws", "sts.us-east-1.api.aws",
		}},
		"FIPS and dual stack": {"us-east-1", []string{"AWS_REGION=us-east-1", "AWS_USE_FIPS_ENDPOINT=true", "AWS_USE_DUALSTACK_ENDPOINT=true"}, nil, []string{
			"secretsmanager-fips.us-east-1.amazonaws.com", "ssm-fips.us-east-1.api.aws", "sts-fips.us-east-1.api.aws",
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newOutside(t, tc.region)
			wantKube := map[string]int{"GET serviceaccounts": 1}
			if len(tc.env) == 0 && tc.parameters == nil {
				wantKube["GET nodes"] = 1
			} else {
				w.kube.SetNode("node-1", map[string]string{"topology.kubernetes.io/region": "sa-east-1"}) // must have no effect
			}
			p := start(t, append(w.env, tc.env...), "--kubeconfig="+w.kubeconfig)
			w.mount(t, p, tc.parameters)
			if diff := cmp.Diff(tc.want, w.aws.ProxiedHosts()); diff != "" {
				t.Errorf("host names (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(wantKube, w.kube.Calls()); diff != "" {
				t.Errorf("Kubernetes calls (-want +got):\n%s", diff)
			}
			want := map[string]int{"sts:AssumeRoleWithWebIdentity": 1, "secretsmanager:GetSecretValue": 1, "ssm:GetParameters": 1}
			if diff := cmp.Diff(want, w.aws.Calls()); diff != "" {
				t.Errorf("AWS calls (-want +got):\n%s", diff)
			}
		})
	}
}

// AWS_ENDPOINT_URL applies to every service. The variable of one service overrides it.
func TestK6_EndpointURLs(t *testing.T) {
	w, other := newOutside(t, "ap-south-1"), newOutside(t, "ap-south-1")
	p := start(t, []string{
		"AWS_ENDPOINT_URL=" + other.aws.URL(), "AWS_ENDPOINT_URL_STS=" + w.aws.URL(),
		"AWS_ENDPOINT_URL_SECRETS_MANAGER=" + w.aws.URL(), "AWS_ENDPOINT_URL_SSM=" + w.aws.URL(),
	}, "--kubeconfig="+w.kubeconfig)
	w.mount(t, p, nil)
	if calls := other.aws.Calls(); len(calls) != 0 {
		t.Errorf("calls in spite of the services' own URLs: %v", calls)
	}

	p = start(t, []string{"AWS_ENDPOINT_URL=" + w.aws.URL()}, "--kubeconfig="+w.kubeconfig)
	w.mount(t, p, nil)

	p = start(t, []string{"AWS_ENDPOINT_URL=" + w.aws.URL(), "AWS_ENDPOINT_URL_STS=" + other.aws.URL()}, "--kubeconfig="+w.kubeconfig)
	if csidriver.Mount(t.Context(), p.conn, w.volume(t, nil), t.TempDir()) == nil {
		t.Error("the other AWS accepted a token of an unknown issuer")
	}
	if diff := cmp.Diff(map[string]int{"sts:AssumeRoleWithWebIdentity": 1}, other.aws.Calls()); diff != "" {
		t.Errorf("calls to the URL of STS (-want +got):\n%s", diff)
	}
}

// The provider connects to a host in NO_PROXY without the proxy. The simulator's proxy forwards nothing and the host
// does not exist, so the error message shows which of the two the provider tried.
func TestK8_NoProxyOfTheProcess(t *testing.T) {
	w := newOutside(t, "ap-south-1")
	w.env = append(w.env, "AWS_ENDPOINT_URL_STS=https://sts.ap-south-1.invalid")
	for noProxy, direct := range map[string]bool{".invalid": true, "": false} {
		p := start(t, append(w.env, "NO_PROXY="+noProxy), "--kubeconfig="+w.kubeconfig)
		err := csidriver.Mount(t.Context(), p.conn, w.volume(t, nil), t.TempDir())
		if err == nil || strings.Contains(err.Error(), "the host name sts.ap-south-1.invalid is not known") != direct {
			t.Errorf("NO_PROXY=%s: %v; looked up the host's address: want %t", noProxy, err, direct)
		}
	}
}

func TestK4_EKSAddonVersionIsInTheUserAgent(t *testing.T) {
	w := newOutside(t, "ap-south-1")
	p := start(t, w.env, "--kubeconfig="+w.kubeconfig, "-eks-addon-version=v1.0.0-eksbuild.1", "-v=2", "--pod-identity-http-timeout", "100ms")
	w.mount(t, p, nil)
	for _, call := range w.aws.CallLog() {
		if !strings.Contains(call.UserAgent, "secrets-provider-aws/"+builtVersion) || !strings.Contains(call.UserAgent, "eks-addon/v1.0.0-eksbuild.1") {
			t.Errorf("%s came from %q", call.Operation, call.UserAgent)
		}
	}
}

func TestD9_ProcessStopsCleanly(t *testing.T) {
	w := newOutside(t, "ap-south-1")
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			p := start(t, w.env, "--kubeconfig="+w.kubeconfig)
			w.mount(t, p, nil)
			if status := p.signal(t, s); status != 0 {
				t.Errorf("exited with status %d, want 0: %s", status, p.log())
			}
			if entries, err := os.ReadDir(p.dir); err != nil || len(entries) != 0 {
				t.Errorf("the provider volume contains %v, %v, want nothing", entries, err)
			}
			if !strings.Contains(p.log(), "msg=stopped") {
				t.Errorf("the log lacks msg=stopped: %s", p.log())
			}
		})
	}
}

// After SIGTERM the process is not ready, but alive while a mount is in progress, and the mount succeeds.
func TestD35_ProcessDrains(t *testing.T) {
	w := newOutside(t, "ap-south-1")
	p := start(t, w.env, "--kubeconfig="+w.kubeconfig, "--admin-address=127.0.0.1:0")
	_, address, _ := strings.Cut(p.log(), `msg="admin port" address=`)
	address, _, _ = strings.Cut(address, "\n")
	status := func(path string) int {
		resp, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	respond := w.aws.Inject(awssim.Fault{Service: "secretsmanager", Hang: true})
	mounted := make(chan error, 1)
	dir := t.TempDir()
	go func() { mounted <- csidriver.Mount(t.Context(), p.conn, w.volume(t, nil), dir) }()
	for w.aws.Calls()["secretsmanager:GetSecretValue"] == 0 {
		runtime.Gosched()
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for status("/readyz") != http.StatusServiceUnavailable {
		runtime.Gosched()
	}
	if got := status("/healthz"); got != http.StatusOK {
		t.Errorf("/healthz gives %d while the provider drains", got)
	}
	respond() // the next attempt succeeds
	if err := <-mounted; err != nil {
		t.Errorf("the mount in progress failed: %v\n%s", err, p.log())
	}
	<-p.ended
	_ = p.cmd.Wait()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exited with status %d: %s", code, p.log())
	}
}

// At the highest verbosity the log has a line for each mount, and contains no secret and no token.
func TestD18_ProcessLogsNothingSecret(t *testing.T) {
	w := newOutside(t, "ap-south-1")
	p := start(t, w.env, "--kubeconfig="+w.kubeconfig, "-v=10", "--log-format=json")
	w.kube.Refuse("serviceaccounts", 503) // so that client-go logs too
	bad := w.volume(t, map[string]string{"region": "ap-south-1"})
	if csidriver.Mount(t.Context(), p.conn, bad, t.TempDir()) == nil {
		t.Error("the mount did not fail")
	}
	w.kube.Refuse("serviceaccounts", 0)
	w.mount(t, p, nil)
	token := bad.Tokens["sts.amazonaws.com"]
	if p.signal(t, syscall.SIGTERM) != 0 {
		t.Error("the provider did not exit with status 0")
	}
	mounts := 0
	for line := range strings.Lines(p.log()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("not a JSON line: %q: %v", line, err)
		}
		if entry["msg"] == "mount" {
			mounts++
			if entry["pod"] != "payment-1" || entry["namespace"] != "payments" || entry["service_account"] != "payment-sa" {
				t.Errorf("the line does not name the pod: %s", line)
			}
		}
	}
	if mounts != 2 {
		t.Errorf("%d lines for 2 mounts", mounts)
	}
	for _, secret := range append(strings.Split(token, ".")[1:], canary, "ASIA") {
		if strings.Contains(p.log(), secret) {
			t.Errorf("the log shows a secret of %d bytes", len(secret))
		}
	}
}

// Two processes share a directory, as in an upgrade with maxSurge. The new one serves, also after the old one stops.
func TestD6_ProcessUpgrade(t *testing.T) {
	w := newOutside(t, "ap-south-1")
	old := start(t, w.env, "--kubeconfig="+w.kubeconfig)
	w.mount(t, old, nil)
	next := start(t, w.env, "--kubeconfig="+w.kubeconfig, "--provider-volume="+old.dir)
	if status := old.signal(t, syscall.SIGTERM); status != 0 {
		t.Errorf("the old one exited with status %d: %s", status, old.log())
	}
	w.mount(t, old, nil) // the old client reaches the new server
	if _, err := v1alpha1.NewCSIDriverProviderClient(old.conn).Version(t.Context(), &v1alpha1.VersionRequest{}); err != nil {
		t.Error(err)
	}
	if status := next.signal(t, syscall.SIGTERM); status != 0 {
		t.Errorf("the new one exited with status %d: %s", status, next.log())
	}
}
