//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/awssim"
)

// diagnosis is the output of doctor: by name of the check, its status; several results of one check have several statuses.
type diagnosis map[string]string

// doctor runs doctor in a provider pod and returns what is not ok.
func (c *tenant) doctor(pod string, flags ...string) diagnosis {
	c.t.Helper()
	arguments := append([]string{"exec", "--namespace", releaseNamespace, pod, "--", "/secrets-provider-aws", "doctor"}, flags...)
	text, _ := c.Kubectl(c.ctx, arguments...) // fails if a check fails
	c.t.Logf("doctor %s in pod %s:\n%s", strings.Join(flags, " "), pod, text)
	out, _ := c.Kubectl(c.ctx, append(arguments, "-o", "json")...) // fails if a check fails
	return c.notOK([]byte(out))
}

// administrator runs the binary of the image on the host, with the kubeconfig of an administrator.
func (c *tenant) administrator() diagnosis {
	c.t.Helper()
	binary := filepath.Join("..", "..", "bin", "linux-"+runtime.GOARCH, "secrets-provider-aws")
	run := func(format string) []byte {
		out, _ := exec.CommandContext(c.ctx, binary, "doctor", "--cluster-only", "--kubeconfig", c.Kubeconfig(), "--node-name", c.nodeName(), "-o", format).Output() // fails if a check fails
		return out
	}
	c.t.Logf("doctor --cluster-only on the host:\n%s", run("text"))
	return c.notOK(run("json"))
}

func (c *tenant) notOK(report []byte) diagnosis {
	c.t.Helper()
	var read struct {
		Checks []struct{ Name, Status string }
	}
	if err := json.Unmarshal(report, &read); err != nil || len(read.Checks) == 0 {
		c.t.Fatalf("no report: %v: %s", err, report)
	}
	found := diagnosis{}
	for _, check := range read.Checks {
		if check.Status != "ok" {
			found[check.Name] = strings.TrimSpace(found[check.Name] + " " + check.Status)
		}
	}
	return found
}

func (c *tenant) nodeName() string {
	c.t.Helper()
	var nodes struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	c.must(c.Get(c.ctx, "/api/v1/nodes", &nodes))
	if len(nodes.Items) != 1 {
		c.t.Fatalf("%d nodes", len(nodes.Items))
	}
	return nodes.Items[0].Metadata.Name
}

func (c *tenant) finds(what string, want, got diagnosis) {
	c.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Errorf("%s: checks that are not ok (-want +got):\n%s", what, diff)
	}
}

// doctor finds nothing on the healthy node, and each fault that the node can have.
func TestDoctor_FindsFaultsOnTheNode(t *testing.T) {
	c := newTenant(t)
	c.must2(c.upgrade(c.ctx, "--set", "rbac.readDriver=true"))
	t.Cleanup(func() { // other cases expect the chart as it was
		if _, err := c.upgrade(context.WithoutCancel(c.ctx)); err != nil {
			t.Error(err)
		}
	})
	pod := func() string { return c.provider().Metadata.Name }
	const list = "not checked" // the provider may not list DaemonSets
	healthy := func(more diagnosis) diagnosis {
		want := diagnosis{"daemonsets": list}
		for name, status := range more {
			want[name] = status
		}
		return want
	}
	patch := func(spec string) {
		c.t.Helper()
		c.kubectl("patch", "csidriver", "secrets-store.csi.k8s.io", "--type=merge", "--patch", `{"spec":`+spec+`}`)
	}
	c.step("healthy", func() {
		c.finds("in the pod", healthy(nil), c.doctor(pod(), "--pod-identity"))
		c.finds("administrator", diagnosis{"rbac": "not checked"}, c.administrator())
	})
	c.step("no tokenRequests", func() {
		defer patch(`{"tokenRequests":[{"audience":"sts.amazonaws.com"},{"audience":"pods.eks.amazonaws.com"}]}`)
		patch(`{"tokenRequests":[]}`)
		c.finds("in the pod", healthy(diagnosis{"token-requests": "failure warning"}), c.doctor(pod()))
	})
	c.step("podInfoOnMount is off", func() {
		defer patch(`{"podInfoOnMount":true}`)
		patch(`{"podInfoOnMount":false}`)
		c.finds("in the pod", healthy(diagnosis{"pod-info": "failure"}), c.doctor(pod()))
	})
	c.step("the region cannot be reached", func() {
		defer c.aws.Inject(awssim.Fault{Region: region, Cut: true})()
		defer c.aws.Inject(awssim.Fault{Service: "sts", Cut: true})()
		want := diagnosis{"sts": "failure", "secretsmanager": "failure", "ssm": "failure", "clock": list}
		c.finds("in the pod", healthy(want), c.doctor(pod()))
	})
	c.step("the clock is ahead", func() { // that of AWS is behind, because the node's clock is the host's
		c.late.Store(int64(7 * time.Minute))
		defer c.late.Store(0)
		c.finds("in the pod", healthy(diagnosis{"clock": "failure"}), c.doctor(pod()))
	})
	c.step("RBAC is missing", func() {
		binding, err := c.Kubectl(c.ctx, "get", "clusterrolebinding", release, "-o", "yaml")
		c.must(err)
		defer c.apply(withoutServerFields(binding))
		c.kubectl("delete", "clusterrolebinding", release)
		want := diagnosis{"rbac": "failure failure", "region": "failure", "aws": list, "driver": list, "csidriver": list, "daemonsets": list}
		c.until(time.Minute, "the API server forgets the binding", func(context.Context) error { return differs(want, c.doctor(pod())) })
	})
	c.step("the driver is away", func() {
		selector := func(value string) {
			c.kubectl("patch", "daemonset", "csi-secrets-store", "--namespace", "kube-system", "--type=merge", "--patch",
				`{"spec":{"template":{"spec":{"nodeSelector":{"doctor.test/away":`+value+`}}}}}`)
		}
		defer func() {
			selector("null")
			c.until(3*time.Minute, "the driver is back", func(context.Context) error { return differs(healthy(nil), c.doctor(pod())) })
		}()
		selector(`"yes"`)
		want := healthy(diagnosis{"driver": "failure"})
		c.until(3*time.Minute, "the driver is away", func(context.Context) error { return differs(want, c.doctor(pod())) })
	})
	c.step("two providers", func() {
		first := pod()
		_, err := c.Helm(c.ctx, "install", "second", c.chart(), "--namespace", c.namespace, "--values", c.world.values(),
			"--set", "priorityClassName=", "--set", "extraVolumes=null", "--set", "extraVolumeMounts=null", "--set", "awsRegion="+region, "--set", "extraEnv=null", "--wait", "--timeout", "3m")
		c.must(err)
		c.finds("in the first pod", healthy(diagnosis{"socket-owner": "warning"}), c.doctor(first))
		c.finds("administrator", diagnosis{"daemonsets": "failure", "rbac": "not checked"}, c.administrator())
		c.must2(c.Helm(c.ctx, "uninstall", "second", "--namespace", c.namespace, "--wait", "--timeout", "3m"))
		c.until(time.Minute, "the first provider has the socket again", func(context.Context) error { return differs(healthy(nil), c.doctor(first)) })
	})
	c.step("the socket is in another folder", func() {
		c.must2(c.upgrade(c.ctx, "--set", "rbac.readDriver=true", "--set", "providerVolume=/var/run/other-providers"))
		c.finds("administrator", diagnosis{"socket-folder": "failure", "rbac": "not checked"}, c.administrator())
		c.finds("in the pod, with the flags of the provider", healthy(nil), c.doctor(pod()))
		c.finds("in the pod, at the driver's folder", healthy(diagnosis{"socket": "failure"}), c.doctor(pod(), "--provider-volume=/var/run/secrets-store-csi-providers"))
	})
}

// must2 stops the case on an error and ignores the output.
func (c *tenant) must2(_ string, err error) {
	c.t.Helper()
	c.must(err)
}

func differs(want, got diagnosis) error {
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("checks that are not ok (-want +got):\n%s", diff)
	}
	return nil
}

// withoutServerFields removes the lines of a manifest that the API server sets.
func withoutServerFields(manifest string) string {
	var kept strings.Builder
	for line := range strings.Lines(manifest) {
		key, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if key != "resourceVersion" && key != "uid" && key != "creationTimestamp" {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
