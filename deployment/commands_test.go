package deployment_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"secrets-provider-aws/deployment"
)

// helmCommand is a helm command in a text, with the lines after a backslash.
var helmCommand = regexp.MustCompile(`(?m)^ *(helm (?:install|upgrade|template) (?:.*\\\n)*.*)$`)

// helmInstead is a program that renders what "helm install" or "helm upgrade" would install, without a cluster.
const helmInstead = `#!/bin/sh
set -e
case $1 in install|upgrade|template) shift ;; *) echo "no such stand-in: helm $1" >&2; exit 2 ;; esac
exec "$HELM" template --kube-version=1.34.4 "$@"
`

// kubectlInstead is a program that prints what "kubectl apply" would apply.
const kubectlInstead = `#!/bin/sh
set -e
case $1 in apply) exec cat ;; *) echo "no such stand-in: kubectl $1" >&2; exit 2 ;; esac
`

// Every helm command of the README and the guides works as it is written, in a checkout after "make push chart": its
// chart exists, has its sub-chart, and names the image that was pushed. Only names that the reader must replace are replaced here.
func TestCommands_HelmFindsTheChart(t *testing.T) {
	if os.Getenv("HELM") == "" {
		t.Skip("HELM is not set: run make charttest")
	}
	checkout := t.TempDir()
	run(t, "..", "make", "chart", "IMAGE=registry.example.com/secrets-provider-aws", "VERSION=1.2.3", "DIST="+filepath.Join(checkout, "dist"), "CHART="+filepath.Join(checkout, "chart"), "HELM="+os.Getenv("HELM"))
	bin := filepath.Join(checkout, "bin")
	values, err := os.ReadFile("testdata/values/aws-chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(bin, "helm"), []byte(helmInstead), 0o755)
	write(t, filepath.Join(bin, "kubectl"), []byte(kubectlInstead), 0o755)
	write(t, filepath.Join(checkout, "values.yaml"), values, 0o600)
	write(t, filepath.Join(checkout, "here.yaml"), deployment.NodeByNode().Values, 0o600)

	for file, want := range map[string]int{
		"../README.md": 1, "chart/README.md": 2, "../docs/migrate-from-aws-provider.md": 7, "../docs/migrate-from-init-containers.md": 1,
	} {
		t.Run(filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found := helmCommand.FindAllSubmatchIndex(text, -1)
			if len(found) < want {
				t.Errorf("%d helm commands, want at least %d", len(found), want)
			}
			for _, at := range found {
				command := string(text[at[2]:at[3]])
				if !regexp.MustCompile(`(?m)^ *make push chart IMAGE=registry\.example\.com/secrets-provider-aws$`).Match(text[:at[0]]) {
					t.Errorf("no make push chart before %q", command)
				}
				command = strings.NewReplacer("FOLDER", "/var/run/secrets-store-csi-providers", "RELEASE", "secrets").Replace(command)
				cmd := bash(t.Context(), checkout, bin, command)
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.Contains(string(out), "image: \"registry.example.com/secrets-provider-aws:1.2.3\"") {
					t.Errorf("%s\n%v\n%s", command, err, out)
				}
			}
		})
	}
}

// bash is a command line in the folder dir. Programs in the folder bin come first.
func bash(ctx context.Context, dir, bin, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HELM_CACHE_HOME="+bin, "HELM_CONFIG_HOME="+bin, "HELM_DATA_HOME="+bin)
	return cmd
}

func run(t *testing.T, dir, program string, arguments ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, arguments...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

func write(t *testing.T, file string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, mode); err != nil {
		t.Fatal(err)
	}
}
