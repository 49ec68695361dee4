package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// checked runs check in this process and returns its output and exit code.
func checked(t *testing.T, stdin string, args ...string) (output string, code int) {
	t.Helper()
	root := newCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetIn(strings.NewReader(stdin))
	root.SetArgs(withDoubleDashes(append([]string{"check"}, args...), root.Flags()))
	err := root.ExecuteContext(t.Context())
	if err == nil {
		return out.String(), 0
	}
	var exit exitError
	if !errors.As(err, &exit) {
		t.Fatalf("%v has no exit code", err)
	}
	if exit.cause != nil {
		return exit.Error(), exit.code
	}
	return out.String(), exit.code
}

const (
	validManifest = `apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: db}
spec:
  provider: aws
  parameters:
    objects: |
      - objectName: prod/db
        objectType: secretsmanager
`
	warningManifest = validManifest + "        OBJECTALIAS: db\n"       // a warning
	errorManifest   = validManifest + "        filePermission: \"9\"\n" // an error
)

func TestCheckExitCodes(t *testing.T) {
	for name, tc := range map[string]struct {
		stdin string
		args  []string
		want  int
		text  string
	}{
		"valid":                  {validManifest, []string{"-"}, 0, "0 errors, 0 warnings"},
		"a warning":              {warningManifest, []string{"-"}, 0, "0 errors, 1 warning,"},
		"a warning, strict":      {warningManifest, []string{"--strict", "-"}, 1, "<stdin>:10:9: warning: "},
		"an error":               {errorManifest, []string{"-"}, 1, "<stdin>:10:25: error: "},
		"an error, as JSON":      {errorManifest, []string{"-o", "json", "-"}, 1, `"line": 10`},
		"no file":                {"", nil, 2, "check: name the files"},
		"a file that is missing": {"", []string{"nowhere.yaml"}, 2, "nowhere.yaml"},
		"an unknown flag":        {"", []string{"--regoin=x", "-"}, 2, "unknown flag: --regoin"},
		"an unknown output":      {validManifest, []string{"-o", "xml", "-"}, 2, `--output "xml" is neither`},
		"a wrong region":         {validManifest, []string{"--region", "Mumbai", "-"}, 2, "--region"},
		"a wrong account":        {validManifest, []string{"--account", "1", "-"}, 2, "--account"},
		"a negative number":      {validManifest, []string{"--nodes", "-1", "-"}, 2, "--nodes -1"},
		"an interval of zero":    {validManifest, []string{"--nodes", "1", "--refresh-interval", "0s", "-"}, 2, "--refresh-interval 0s is less than 1s"},
		"the price of rotation":  {validManifest, []string{"--nodes", "10", "--refresh-interval", "1h", "-"}, 0, "In all 240 reads per day, 0.04 USD per month"},
		"a wrong issuer":         {validManifest, []string{"--oidc-issuer", "a b", "-"}, 2, "--oidc-issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			if output, code := checked(t, tc.stdin, tc.args...); code != tc.want || !strings.Contains(output, tc.text) {
				t.Errorf("exit code %d, want %d, and %q in: %s", code, tc.want, tc.text, output)
			}
		})
	}
}

func TestCheckFlagsReachThePolicies(t *testing.T) {
	output, code := checked(t, validManifest, "--region=eu-west-1", "--account=210987654321", "--oidc-issuer=https://oidc.example.com/id/1", "-")
	if code != 0 {
		t.Fatal(output)
	}
	for _, want := range []string{"arn:aws:secretsmanager:eu-west-1:210987654321:secret:prod/db-??????", `"arn:aws:iam::210987654321:oidc-provider/oidc.example.com/id/1"`, `"oidc.example.com/id/1:aud": "sts.amazonaws.com"`} {
		if !strings.Contains(output, want) {
			t.Errorf("%s is not in: %s", want, output)
		}
	}
}

// The built binary reads standard input and writes standard output.
func TestCheckOfTheBinary(t *testing.T) {
	for stdin, want := range map[string]int{validManifest: 0, errorManifest: 1} {
		cmd := exec.Command(binary(t), "check", "-o", "json", "-")
		cmd.Stdin = strings.NewReader(stdin)
		output, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if code := cmd.ProcessState.ExitCode(); code != want || !json.Valid(output) || exit != nil && len(exit.Stderr) > 0 {
			t.Errorf("exit code %d, want %d, JSON and nothing on standard error: %s", code, want, output)
		}
	}
	cmd := exec.Command(binary(t), "check")
	if output, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 2 || strings.Count(string(output), "\n") != 1 {
		t.Errorf("without a file: exit code %d, want 2 and one line: %s", cmd.ProcessState.ExitCode(), output)
	}
}

// docs/check.md lists each flag, each field of the JSON and each exit code.
func TestCheckIsDocumented(t *testing.T) {
	docs, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	command, _, err := newCommand().Find([]string{"check"})
	if err != nil {
		t.Fatal(err)
	}
	command.Flags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(string(docs), "| `--"+f.Name) {
			t.Errorf("docs/check.md does not list --%s", f.Name)
		}
	})
	for _, name := range []string{"payments", "rotation"} {
		golden, err := os.ReadFile("check/testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^ +"([a-z][A-Za-z]*)": `).FindAllStringSubmatch(string(golden), -1) {
			if !strings.Contains(string(docs), "`"+m[1]+"`") {
				t.Errorf("docs/check.md does not name the field %s", m[1])
			}
		}
	}
	for code := range 3 {
		if !regexp.MustCompile(`(?m)^\| ` + string(rune('0'+code)) + ` \|`).Match(docs) {
			t.Errorf("docs/check.md does not list the exit code %d", code)
		}
	}
}
