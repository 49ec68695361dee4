//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"secrets-provider-aws/docs"
)

// checkRunbooks runs the commands and the queries in the runbook of each alert while a region is cut. They show what is wrong.
func (s *story) checkRunbooks() {
	s.t.Helper()
	shows := map[string][]string{
		"SecretsProviderRefreshFailing":     {`refresh_failing_volumes{reason="transient"}`, "namespace=" + s.namespace + " pod=single ", "SecretRefreshFailed"},
		"SecretsProviderFirstMountsFailing": {"pod/stranger-0", "namespace=" + s.namespace + " pod=stranger-"},
		"SecretsProviderAWSThrottling":      {`operation="GetSecretValue"`},
		"SecretsProviderServingStale":       {"pod=late ", "SecretServedStale"},
		"SecretsProviderFailoverActive":     {"pod=double ", `region="` + failoverRegion + `"`},
		"SecretsProviderMemoryNearLimit":    {"process_resident_memory_bytes ", "secrets_provider_aws_in_flight_limit_bytes "},
		"SecretsProviderAbsent":             {"NODE SELECTOR", "secrets-provider-aws", "Events:"},
		"SecretsProviderSocketNotAnswering": {"Running", "msg="},
	}
	printed := s.runbooks()
	for alert, wants := range shows {
		for _, want := range wants {
			if !strings.Contains(printed[alert], want) {
				s.t.Errorf("the commands for %s do not show %q:\n%s", alert, want, printed[alert])
			}
		}
		delete(printed, alert)
	}
	for alert := range printed {
		s.t.Errorf("no test knows what the commands for %s show", alert)
	}
}

var (
	variableNode = regexp.MustCompile(`(?m)^NODE=.*`)
	promQL       = regexp.MustCompile("(?s)```promql\n(.*?)```")
	// problem is what a command prints that is wrong. One that finds nothing is not: grep then exits with 1.
	problem = regexp.MustCompile(`(?mi)^(error|bash|usage|grep): .*|Error from server.*|unknown flag.*`)
)

// runbooks runs the commands and queries of docs/operations.md for this node, and returns what they print, by alert.
func (s *story) runbooks() map[string]string {
	s.t.Helper()
	page, err := os.ReadFile("../../" + docs.Runbooks)
	s.must(err)
	general, rest, _ := strings.Cut(string(page), "\n## Alerts\n")
	runbooks, _, _ := strings.Cut(rest, "\n## ")
	blocks, err := docs.Commands(general)
	s.must(err)
	variables := variableNode.ReplaceAllString(blocks[0].Text, "NODE="+s.nodeName())
	for _, b := range blocks[1:] {
		s.run(variables, b)
	}
	printed := map[string]string{}
	for _, runbook := range strings.Split(runbooks, "\n### ")[1:] {
		alert, text, _ := strings.Cut(runbook, "\n")
		blocks, err := docs.Commands(text)
		s.must(err)
		for _, b := range blocks {
			if b.NotRun == "" {
				printed[alert] += s.run(variables, b)
			}
		}
		for _, query := range promQL.FindAllStringSubmatch(text, -1) {
			result, err := s.query(s.ctx, quick(query[1]))
			s.must(err)
			printed[alert] += result
		}
	}
	return printed
}

// run runs a block of commands in a shell with the variables.
func (s *story) run(variables string, b docs.Block) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.ctx, "bash", "-uc", variables+b.Text)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(s.KubectlPath())+":"+os.Getenv("PATH"), "KUBECONFIG="+s.Kubeconfig())
	out, err := cmd.CombinedOutput()
	if at := problem.FindString(string(out)); at != "" || err != nil && cmd.ProcessState.ExitCode() != 1 {
		s.t.Errorf("%s: %v, %s\n%s", docs.Runbooks, err, at, b.Text)
	}
	return string(out)
}
