package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const goodManifest = `
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: db, namespace: shop}
spec:
  provider: aws
  parameters:
    region: eu-west-1
    objects: "[{objectName: prod/db, objectType: secretsmanager}]"
`

// The step of action.yml checks what its inputs name, and fails if there is an error.
func TestAction(t *testing.T) {
	var action struct {
		Runs struct {
			Steps []struct {
				Run string
				Env map[string]string
			}
		}
	}
	readYAML(t, "../../action.yml", &action)
	step := action.Runs.Steps[len(action.Runs.Steps)-1]
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	testDistribution(t, func(dir, flags, paths string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.Run) // as GitHub's runner does
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GITHUB_ACTION_PATH="+root, "RUNNER_TEMP="+temp)
		inputs := strings.NewReplacer("${{ inputs.flags }}", flags, "${{ inputs.paths }}", paths)
		for name, value := range step.Env {
			cmd.Env = append(cmd.Env, name+"="+inputs.Replace(value))
		}
		return cmd
	})
}

// The hook for pre-commit checks the folders of its arguments in the user's repository.
func TestPreCommitHook(t *testing.T) {
	var hooks []struct {
		Entry, Language string
		PassFilenames   bool `json:"pass_filenames"`
	}
	readYAML(t, "../../.pre-commit-hooks.yaml", &hooks)
	if len(hooks) != 1 || hooks[0].Language != "script" || hooks[0].PassFilenames {
		t.Fatalf("%+v, want one script for folders", hooks)
	}
	entry, err := filepath.Abs("../../" + hooks[0].Entry)
	if err != nil {
		t.Fatal(err)
	}
	testDistribution(t, func(dir, flags, paths string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), entry, append(strings.Fields(flags), strings.Fields(paths)...)...)
		cmd.Dir = dir
		return cmd
	})
}

func testDistribution(t *testing.T, command func(dir, flags, paths string) *exec.Cmd) {
	t.Helper()
	dir := t.TempDir()
	for file, text := range map[string]string{"good/a.yaml": goodManifest, "bad/a.yaml": strings.Replace(goodManifest, "secretsmanager", "ssm", 1)} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		flags, paths, want string
		code               int
	}{
		{"", "good", "db", 0},
		{"--strict --region=eu-west-1", "good", "db", 0},
		{"--strict", "good good", "1 warning", 1}, // every class twice
		{"", "good bad", `"ssm" is not one of`, 1},
		{"--no-such-flag", "good", "unknown flag", 2},
	} {
		cmd := command(dir, test.flags, test.paths)
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(string(out), test.want) {
			t.Errorf("check %s %s: exit code %d (%v), want %d and %q\n%s", test.flags, test.paths, code, err, test.code, test.want, out)
		}
	}
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
