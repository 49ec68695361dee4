package deployment_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/deployment"
)

var update = flag.Bool("update", false, "rewrite the golden files and the manifests")

const manifest = "manifests/secrets-provider-aws.yaml"

// helm runs the program in $HELM. Building helm takes minutes, so "make charttest" builds it before the tests.
func helm(t *testing.T, arguments ...string) (stdout, stderr string, err error) {
	t.Helper()
	program := os.Getenv("HELM")
	if program == "" {
		t.Skip("HELM is not set: run make charttest")
	}
	var out, messages bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, arguments...)
	cmd.Stdout, cmd.Stderr = &out, &messages
	// The tests must not read the user's repositories, plugins and cluster.
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG="+filepath.Join(home, "none"))
	err = cmd.Run()
	return out.String(), messages.String(), err
}

// chart writes the complete chart to a temporary folder.
func chart(t *testing.T) string {
	t.Helper()
	if os.Getenv("HELM") == "" {
		t.Skip("HELM is not set: run make charttest")
	}
	dir := filepath.Join(t.TempDir(), "secrets-provider-aws")
	if err := deployment.WriteChart(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// render runs "helm template" for the release of the documentation, with these values (YAML).
func render(t *testing.T, chart string, values []byte, arguments ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, values, 0o600); err != nil {
		t.Fatal(err)
	}
	arguments = append([]string{
		"template", "secrets-provider-aws", chart, "--namespace=kube-system", "--kube-version=1.34.4", "--values=" + file,
	}, arguments...)
	stdout, stderr, err := helm(t, arguments...)
	if err != nil {
		return "", errors.New(stderr)
	}
	return stdout, nil
}

func TestChart_Lint(t *testing.T) {
	dir := chart(t)
	for _, r := range deployment.Renderings() {
		t.Run(r.Name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(file, r.Values, 0o600); err != nil {
				t.Fatal(err)
			}
			if stdout, stderr, err := helm(t, "lint", "--strict", "--kube-version=1.34.4", "--values="+file, dir); err != nil {
				t.Errorf("%v\n%s%s", err, stdout, stderr)
			}
		})
	}
}

// The golden files show in a review how a change of the chart changes a cluster.
func TestChart_Golden(t *testing.T) {
	dir := chart(t)
	kept := map[string]bool{}
	for _, r := range deployment.Renderings() {
		kept[r.Name+".yaml"] = true
		t.Run(r.Name, func(t *testing.T) {
			got, err := render(t, dir, r.Values)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/golden/"+r.Name+".yaml", ours(got))
		})
	}
	entries, err := os.ReadDir("testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !kept[entry.Name()] {
			t.Errorf("testdata/golden/%s has no values in testdata/values", entry.Name())
		}
	}
}

// ours keeps only the documents of this chart, without those of the driver's chart.
func ours(rendered string) string {
	var kept strings.Builder
	for document := range strings.SplitSeq(rendered, "---\n") {
		if strings.Contains(document, "# Source: secrets-provider-aws/templates/") {
			kept.WriteString("---\n" + strings.TrimRight(document, "\n") + "\n")
		}
	}
	return kept.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs from the rendered chart (run make manifests to update it; -want +got):\n%s", file, diff)
	}
}

// The manifests for kubectl equal the rendered chart without helm's labels.
func TestManifests_AreCurrent(t *testing.T) {
	got, err := render(t, chart(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	got = regexp.MustCompile(`(?m)^ +(app\.kubernetes\.io/managed-by|helm\.sh/chart): .*\n|^# Source: .*\n`).ReplaceAllString(ours(got), "")
	golden(t, manifest, "# Made from deployment/chart with its defaults by \"make manifests\": change the chart, not this file.\n"+got)
}

func TestChart_Refuses(t *testing.T) {
	dir := chart(t)
	tests := []struct{ name, values, want string }{
		{"no region", "rbac: {readNodes: false}", "rbac.readNodes is false, so the region cannot be read from the node: set awsRegion"},
		{"AWS's image", "image: {repository: public.ecr.aws/aws-secrets-manager/secrets-store-csi-driver-provider-aws, tag: 2.1.0}", "is AWS's own provider: remove image.repository and image.tag"},
		{"image.registry", "image: {registry: registry.example.com}", "set image.repository to registry.example.com/..."},
		{"provider that writes files", "driverWritesSecrets: false", "driverWritesSecrets=false is not supported: the CSI driver always writes the files, remove the value"},
		{"pod security policy", "rbac: {pspEnabled: true}", "rbac.pspEnabled is obsolete: Kubernetes has no PodSecurityPolicy since 1.25, remove the value"},
		{"value of the driver", "syncSecret: {enabled: true}", "syncSecret is a value of the CSI driver: set it in the driver's own release, or as secrets-store-csi-driver.syncSecret"},
		{"surge and unavailable", "updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}", "Kubernetes accepts maxSurge (1) or maxUnavailable (1), not both: set one of them to 0"},
		{"neither surge nor unavailable", "updateStrategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}", "maxSurge and maxUnavailable are both 0"},
		{"surge in the node's network", "{hostNetwork: true, updateStrategy: {rollingUpdate: {maxSurge: 1}}}", "maxSurge (1) is not possible with hostNetwork, because two pods cannot have one port of the node: set maxUnavailable instead"},
		{"all faults at once", "{driverWritesSecrets: false, rbac: {readNodes: false}}", "set awsRegion\n  - driverWritesSecrets=false"},

		{"unknown value", "imagePullSecret: [{name: x}]", "additional properties 'imagePullSecret' not allowed"},
		{"unknown value inside", "networkPolicy: {enable: true}", "at '/networkPolicy': additional properties 'enable' not allowed"},
		{"port", "port: 80", "at '/port': minimum: got 80, want 1,024"},
		{"digest", "image: {digest: 0123abc}", "at '/image/digest': '0123abc' does not match pattern"},
		{"pull policy", "image: {pullPolicy: Sometimes}", "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'"},
		{"region", "awsRegion: Mumbai", "at '/awsRegion': 'Mumbai' does not match pattern"},
		{"duration", "podIdentityHttpTimeout: 100", "at '/podIdentityHttpTimeout': got number, want string"},
		{"duration without unit", "podIdentityHttpTimeout: '100'", "at '/podIdentityHttpTimeout': '100' does not match pattern"},
		{"rate", "k8sThrottlingParams: {qps: 0}", "at '/k8sThrottlingParams/qps'"},
		{"relative folder", "providerVolume: providers", "at '/providerVolume': 'providers' does not match pattern"},
		{"log format", "logFormat: xml", "at '/logFormat': value must be one of 'text', 'json'"},
		{"environment as a map", "extraEnv: {AWS_REGION: x}", "at '/extraEnv': got object, want array"},
		{"environment without name", "extraEnv: [{value: x}]", "at '/extraEnv/0': missing property 'name'"},
		{"label that is a boolean", "podLabels: {canary: true}", "at '/podLabels/canary': got boolean, want string"},
		{"hardening lost by an empty key", "securityContext:", "missing property 'securityContext'"},
		{"driver's toggle", "secrets-store-csi-driver: {install: 'no'}", "at '/secrets-store-csi-driver/install': got string, want boolean"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := render(t, dir, []byte(test.values))
			if err == nil {
				t.Fatal("the chart accepted the values")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
		})
	}
}

// Every set of values keeps the security of the container. No value may weaken it, except hostNetwork, which says so.
func TestChart_SecurityOfEveryRendering(t *testing.T) {
	dir := chart(t)
	for _, r := range deployment.Renderings() {
		t.Run(r.Name, func(t *testing.T) {
			rendered, err := render(t, dir, r.Values)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range objects(t, ours(rendered)) {
				if o.Kind == "ClusterRole" {
					checkRules(t, o, r.Name)
				}
				if o.Kind == "DaemonSet" {
					checkPod(t, o, r.Name == "host-network")
				}
			}
		})
	}
}

// Only the driver writes files, so the provider mounts the folder of the sockets and no folder of the kubelet.
func TestI12_NoFolderOfTheKubeletIsMounted(t *testing.T) {
	text, err := os.ReadFile("manifests/secrets-provider-aws.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := objects(t, string(text))
	at := slices.IndexFunc(all, func(o object) bool { return o.Kind == "DaemonSet" })
	if at < 0 {
		t.Fatal("the manifests have no DaemonSet")
	}
	var paths []string
	for _, volume := range all[at].Spec.Template.Spec.Volumes {
		if volume.HostPath != nil {
			paths = append(paths, volume.HostPath.Path)
		}
	}
	if want := []string{"/var/run/secrets-store-csi-providers"}; !slices.Equal(paths, want) {
		t.Errorf("folders of the host %q, want %q", paths, want)
	}
}

// object has the fields that the tests read.
type object struct {
	Kind     string
	Metadata struct {
		Name        string
		Annotations map[string]string
	}
	Rules []struct {
		APIGroups        []string `yaml:"apiGroups"`
		Resources, Verbs []string
		ResourceNames    []string `yaml:"resourceNames"`
	}
	Spec struct {
		TokenRequests     []struct{ Audience string }     `yaml:"tokenRequests"`
		RequiresRepublish bool                            `yaml:"requiresRepublish"`
		Template          struct{ Spec podSpec }          `yaml:"template"`
		UpdateStrategy    struct{ RollingUpdate rolling } `yaml:"updateStrategy"`
		Egress            []egressRule
	}
}

// egressRule is one egress rule of a NetworkPolicy.
type egressRule struct {
	To []struct {
		IPBlock struct{ CIDR string } `yaml:"ipBlock"`
	}
	Ports []struct {
		Protocol string
		Port     any
	}
}

type rolling struct {
	MaxSurge       any `yaml:"maxSurge"`
	MaxUnavailable any `yaml:"maxUnavailable"`
}

type podSpec struct {
	HostNetwork bool `yaml:"hostNetwork"`
	HostPID     bool `yaml:"hostPID"`
	Volumes     []struct {
		Name     string
		HostPath *struct{ Path string } `yaml:"hostPath"`
	}
	Containers []struct {
		Args            []string
		Env             []struct{ Name string }
		SecurityContext struct {
			Privileged               bool
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
			RunAsUser                *int  `yaml:"runAsUser"`
			Capabilities             struct{ Add, Drop []string }
			SeccompProfile           struct{ Type string } `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
	}
}

func objects(t *testing.T, text string) []object {
	t.Helper()
	var all []object
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var o object
		switch err := decoder.Decode(&o); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, o)
	}
}

// checkRules compares the permissions with all that the provider ever needs. Only two values add to the first two: doctor reads
// the driver's objects, and events.enabled writes Events.
func checkRules(t *testing.T, o object, rendering string) {
	t.Helper()
	doctor, events := rendering == "doctor", rendering == "events"
	needed := map[string]bool{
		"/serviceaccounts get": true, "/nodes get": true,
		"storage.k8s.io/csinodes get": doctor, "storage.k8s.io/csidrivers get secrets-store.csi.k8s.io": doctor,
		"events.k8s.io/events create": events, "events.k8s.io/events patch": events,
	}
	for _, rule := range o.Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					permission := strings.Join(append([]string{group + "/" + resource, verb}, rule.ResourceNames...), " ")
					if !needed[permission] {
						t.Errorf("permission %s is not needed", permission)
					}
				}
			}
		}
	}
}

func checkPod(t *testing.T, o object, hostNetwork bool) {
	t.Helper()
	pod := o.Spec.Template.Spec
	if pod.HostNetwork != hostNetwork || pod.HostPID {
		t.Error("the pod shares the host's network or processes")
	}
	var hostPaths []string
	for _, volume := range pod.Volumes {
		if volume.HostPath != nil {
			hostPaths = append(hostPaths, volume.Name)
		}
	}
	if !slices.Equal(hostPaths, []string{"providers"}) {
		t.Errorf("hostPath volumes %v: only the folder of the sockets is needed", hostPaths)
	}
	if len(pod.Containers) != 1 {
		t.Fatalf("%d containers", len(pod.Containers))
	}
	c := pod.Containers[0]
	s := c.SecurityContext
	if s.Privileged || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem ||
		!slices.Equal(s.Capabilities.Drop, []string{"ALL"}) || len(s.Capabilities.Add) > 0 || s.SeccompProfile.Type != "RuntimeDefault" {
		t.Errorf("securityContext %+v", s)
	}
	names := map[string]bool{}
	for _, e := range c.Env {
		if names[e.Name] {
			t.Errorf("the environment has %s twice: server-side apply refuses that", e.Name)
		}
		names[e.Name] = true
	}
}

// The addresses are fixed in EKS (User Guide, "Set up the Amazon EKS Pod Identity Agent").
func TestChart_NetworkPolicyAllowsThePodIdentityAgent(t *testing.T) {
	rendered, err := render(t, chart(t), []byte("networkPolicy: {enabled: true}"))
	if err != nil {
		t.Fatal(err)
	}
	reached := map[string]bool{}
	for _, o := range objects(t, ours(rendered)) {
		for _, rule := range o.Spec.Egress {
			for _, port := range rule.Ports {
				for _, to := range rule.To {
					reached[fmt.Sprint(to.IPBlock.CIDR, " ", port.Protocol, " ", port.Port)] = true
				}
			}
		}
	}
	for _, want := range []string{"169.254.170.23/32 TCP 80", "fd00:ec2::23/128 TCP 80"} {
		if !reached[want] {
			t.Errorf("no egress to %s, only to %v", want, reached)
		}
	}
}

func TestChart_DriverIsOffByDefault(t *testing.T) {
	rendered, err := render(t, chart(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(rendered, "CSIDriver") {
		t.Error("the driver was rendered")
	}
}

// "make chart" uses the driver's chart from the Go module, and "helm dependency build" uses the version in Chart.yaml.
// The two must match.
func TestChart_DriverVersionMatchesTheModule(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chart")
	if err := deployment.WriteChart(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	var own struct{ Dependencies []struct{ Version string } }
	var driver struct{ Version string }
	decodeFile(t, filepath.Join(dir, "Chart.yaml"), &own)
	decodeFile(t, filepath.Join(dir, "charts", "secrets-store-csi-driver", "Chart.yaml"), &driver)
	if len(own.Dependencies) != 1 || own.Dependencies[0].Version != driver.Version {
		t.Errorf("Chart.yaml has %+v, but go.mod has the driver %s", own.Dependencies, driver.Version)
	}
}

func TestChart_GoMemoryLimit(t *testing.T) {
	dir := chart(t)
	for limit, want := range map[string]string{
		"128Mi": "80MiB", "1Gi": "640MiB", "100M": "59MiB", "0.5Gi": "320MiB", "134217728": "80MiB", `"134217728"`: "80MiB",
		"65536Ki": "40MiB", "1k": "", "128m": "", "null": "",
	} {
		rendered, err := render(t, dir, []byte("resources: {limits: {memory: "+limit+"}}"))
		if err != nil {
			t.Fatalf("%s: %v", limit, err)
		}
		got := ""
		if m := regexp.MustCompile(`name: GOMEMLIMIT\n +value: (\S+)`).FindStringSubmatch(rendered); m != nil {
			got = m[1]
		}
		if got != want {
			t.Errorf("limit %s: GOMEMLIMIT %q, want %q", limit, got, want)
		}
	}
}

func decodeFile(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
