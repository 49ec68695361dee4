//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"secrets-provider-aws/docs"
	"secrets-provider-aws/test/awssim"
)

// The driver hides a failed refresh. The pod's Events and the metrics show it, with the cause, until it works again. While it
// fails, the commands of the runbooks run on the node and name the pod.
func TestEvents_FailedRefreshShowsOnThePod(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-events")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`)
	c.runPod("app", podSpec{classes: []string{"secrets"}})
	cut := time.Now()
	remove := c.aws.Inject(awssim.Fault{Object: name, Status: 503})
	defer remove()
	event, err := c.WaitPodEvent(c.ctx, c.namespace, "app", "SecretRefreshFailed", "ServiceUnavailable")
	c.must(err)
	t.Logf("%.0f s after the cut: %s", time.Since(cut).Seconds(), event)
	for _, want := range []string{"SecretProviderClass " + c.namespace + "/secrets: ", name, "request id"} {
		if !strings.Contains(event.Message, want) {
			t.Errorf("the Event lacks %q", want)
		}
	}
	if n := c.metric("secrets_provider_aws_refresh_failing_volumes", `reason="transient"`); n < 1 {
		t.Errorf("%v volumes fail to refresh, want this one", n)
	}
	printed := c.runbooks()
	for _, want := range []string{
		`secrets_provider_aws_refresh_failing_volumes{reason="transient"}`, `msg=mount namespace=` + c.namespace, "SecretRefreshFailed", "process_resident_memory_bytes",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("the runbooks' commands do not show %q:\n%s", want, printed)
		}
	}
	back := time.Now()
	remove()
	event, err = c.WaitPodEvent(c.ctx, c.namespace, "app", "SecretRefreshRecovered", "the files are refreshed again")
	c.must(err)
	t.Logf("%.0f s after the repair: %s", time.Since(back).Seconds(), event)
}

// runbooks runs the commands of docs/operations.md for this node and returns what they print. A command that finds nothing is no
// error: grep then exits with 1.
func (c *tenant) runbooks() string {
	c.t.Helper()
	text, err := os.ReadFile("../../" + docs.Runbooks)
	c.must(err)
	blocks, err := docs.Commands(string(text))
	c.must(err)
	variables := regexp.MustCompile(`(?m)^NODE=.*`).ReplaceAllString(blocks[0].Text, "NODE=$(kubectl get nodes -o jsonpath='{.items[0].metadata.name}')")
	var printed strings.Builder
	for _, b := range blocks {
		if b.NotRun != "" {
			continue
		}
		cmd := exec.CommandContext(c.ctx, "bash", "-uc", variables+b.Text)
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(c.KubectlPath())+":"+os.Getenv("PATH"), "KUBECONFIG="+c.Kubeconfig())
		out, err := cmd.CombinedOutput()
		if problem := regexp.MustCompile(`(?mi)^(error|bash|usage|grep): .*|Error from server.*|unknown flag.*`).FindString(string(out)); problem != "" || err != nil && cmd.ProcessState.ExitCode() != 1 {
			c.t.Errorf("%s:%d: %v, %s\n%s", docs.Runbooks, b.Line, err, problem, b.Text)
		}
		printed.Write(out)
	}
	return printed.String()
}
