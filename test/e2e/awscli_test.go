//go:build e2e

package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"secrets-provider-aws/deployment"
)

// awsProgram is a script that runs the AWS CLI as the administrator. It calls the regular host names, through the proxy of the node.
// Without the programs that the documentation's commands call it skips the test.
func (w *world) awsProgram(t *testing.T) (string, error) {
	t.Helper()
	cli, err := exec.LookPath("aws")
	if _, errJQ := exec.LookPath("jq"); err != nil || errJQ != nil {
		t.Skip("the commands of the documentation need aws and jq (Debian: apt-get install awscli jq)")
	}
	ca := filepath.Join(w.folder, "aws-cli-ca.crt")
	if err := w.aws.WriteCA(ca); err != nil {
		return "", err
	}
	return fmt.Sprintf("#!/bin/sh\nHTTPS_PROXY=%s AWS_CA_BUNDLE=%s AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s AWS_PAGER= exec %q \"$@\"\n",
		w.aws.ProxyURL(), ca, administrator.AccessKeyID, administrator.SecretAccessKey, cli), nil
}

var (
	namedFile = regexp.MustCompile(`--name (\S+) .*(fileb?://|\$\(base64 )([^\s)]+)`)
	replica   = regexp.MustCompile(` *\\\n *--add-replica-regions Region=(\S+)`)
)

// runCommands pastes the commands for an administrator at the top of an example. Replicas and EKS are not simulated: the test makes
// the copy itself, and the association.
func (c *tenant) runCommands(e deployment.Example) {
	c.t.Helper()
	head, _, _ := strings.Cut(string(e.YAML()), "\napiVersion:")
	var commands strings.Builder
	continued := false
	for line := range strings.Lines(head) {
		text, shown := strings.CutPrefix(line, "#   ")
		if shown && (continued || strings.HasPrefix(text, "aws ")) {
			commands.WriteString(text)
			continued = strings.HasSuffix(text, "\\\n")
		}
	}
	script := replica.ReplaceAllString(commands.String(), "")
	script = regexp.MustCompile(`(?m)^aws eks (.*\\\n)*.*\n`).ReplaceAllString(script, "")
	dir := c.t.TempDir()
	for _, named := range namedFile.FindAllStringSubmatch(script, -1) {
		for _, s := range e.Secrets {
			if v := s.Versions[0]; s.Name == named[1] {
				content := append([]byte(v.Text), v.Binary...)
				if named[2] == "$(base64 " { // the command encodes the file
					var err error
					content, err = base64.StdEncoding.DecodeString(v.Text)
					c.must(err)
				}
				c.must(os.WriteFile(filepath.Join(dir, named[3]), content, 0o600))
			}
		}
	}
	program, err := c.awsProgram(c.t)
	c.must(err)
	c.must(os.WriteFile(filepath.Join(dir, "aws"), []byte(program), 0o755))
	cmd := exec.CommandContext(c.ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("the commands of %s: %v\n%s\n%s", e.Name, err, script, out)
	}
	for _, region := range replica.FindAllStringSubmatch(commands.String(), -1) {
		for _, s := range e.Secrets {
			if s.Region == region[1] && strings.Contains(script, "--name "+s.Name+" ") && !strings.Contains(script, "--region "+s.Region+" --name "+s.Name+" ") {
				c.aws.PutSecret(s.Region, s.Name, s.Versions[0].Text)
			}
		}
	}
}
