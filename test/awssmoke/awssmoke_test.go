package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"secrets-provider-aws/test/awssim"
)

const region, role = "eu-west-1", "arn:aws:iam::123456789012:role/smoke"

// account of the simulator, with a user that may do what the documentation says, and with the role and its printed policy.
func newSim(t *testing.T, trust awssim.Document, policies ...awssim.Document) *awssim.Sim {
	t.Helper()
	sim, err := awssim.Start(awssim.Config{State: awssim.State{Users: []awssim.User{{
		Name: "admin", AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYxx",
		Policies: []awssim.Document{awssim.AllowPolicy("*", "secretsmanager:CreateSecret", "secretsmanager:PutSecretValue", "secretsmanager:DeleteSecret",
			"ssm:PutParameter", "ssm:DeleteParameter", "sts:AssumeRole")},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	if trust != "" {
		addRole(t, sim, trust, policies...)
	}
	for _, name := range os.Environ() {
		if key, _, _ := strings.Cut(name, "="); strings.HasPrefix(key, "AWS_") || strings.HasSuffix(strings.ToUpper(key), "_PROXY") {
			t.Setenv(key, "")
		}
	}
	for key, value := range map[string]string{
		"AWS_ENDPOINT_URL": sim.URL(), "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYxx",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(key, value)
	}
	return sim
}

func addRole(t *testing.T, sim *awssim.Sim, trust awssim.Document, policies ...awssim.Document) {
	t.Helper()
	if policies == nil {
		policies = []awssim.Document{awssim.Document(policy(options{region: region, prefix: "secrets-provider-aws-smoke"}, "aws", "123456789012"))}
	}
	if err := sim.AddRole(awssim.Role{Name: "smoke", TrustPolicy: trust, Policies: policies}); err != nil {
		t.Fatal(err)
	}
}

// trustUser lets the user assume the role.
const trustUser = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/admin"},"Action":"sts:AssumeRole"}]}`

var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "secrets-provider-aws")
	out, err := exec.Command("make", "-C", "../..", "build", "BINARY="+path, "VERSION=1.2.3-smoke").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	return path, nil
})

var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "smoke-build")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// smoke runs the command and returns its output.
func smoke(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = run(t.Context(), append([]string{"--region", region, "--role", role, "--provider", binary}, arguments...), &out)
	return out.String(), err
}

// wantNothingLeft checks that everything that was created is deleted.
func wantNothingLeft(t *testing.T, sim *awssim.Sim, created, deleted int) {
	t.Helper()
	made, gone := 0, 0
	for _, call := range sim.CallLog() {
		switch {
		case call.Code != "":
		case call.Operation == "CreateSecret", call.Operation == "PutParameter":
			made++
		case call.Operation == "DeleteSecret", call.Operation == "DeleteParameter":
			gone++
		}
	}
	if made != created || gone != deleted {
		t.Errorf("created %d and deleted %d, want %d and %d", made, gone, created, deleted)
	}
}

func TestSmoke_GivenRole(t *testing.T) {
	sim := newSim(t, trustUser)
	out, err := smoke(t, "--yes")
	if err != nil || strings.Count(out, "\nok  ") != 7 {
		t.Errorf("%v\n%s", err, out)
	}
	wantNothingLeft(t, sim, 4, 4)
}

func TestSmoke_TokenFile(t *testing.T) {
	sim := newSim(t, "")
	issuer, err := sim.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	addRole(t, sim, issuer.TrustPolicy("payments", "payment-sa"))
	token, err := issuer.Token(awssim.Token{Namespace: "payments", ServiceAccount: "payment-sa"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := smoke(t, "--yes", "--token-file", file)
	if err != nil || strings.Count(out, "\nok  ") != 8 {
		t.Errorf("%v\n%s", err, out)
	}
	wantNothingLeft(t, sim, 4, 4)
	if sim.Calls()["sts:AssumeRoleWithWebIdentity"] == 0 || sim.Calls()["sts:AssumeRole"] != 0 {
		t.Errorf("calls %v: the provider did not exchange the token itself", sim.Calls())
	}
}

// A role that may read too much or too little is a failure, and everything is deleted all the same.
func TestSmoke_FindsFaultsAndCleansUp(t *testing.T) {
	for name, tc := range map[string]struct {
		policy awssim.Document
		want   []string
	}{
		"reads what it must not": {awssim.AllowPolicy("*", "secretsmanager:GetSecretValue", "ssm:GetParameters"), []string{"FAILED  a secret that the role may not read: the mount succeeded"}},
		"reads no parameters": {awssim.Document(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`), []string{
			"FAILED  a secret, a key of it, and parameters", "AccessDeniedException",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			sim := newSim(t, trustUser, tc.policy)
			out, err := smoke(t, "--yes")
			if err == nil {
				t.Error("it succeeded")
			}
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("the output lacks %q:\n%s", want, out)
				}
			}
			wantNothingLeft(t, sim, 4, 4)
		})
	}
}

// After a failure to create, what was created is deleted.
func TestSmoke_CleansUpAfterHalfASetup(t *testing.T) {
	sim := newSim(t, trustUser)
	sim.Inject(awssim.Fault{Service: "ssm", Operation: "PutParameter", Status: 400, Code: "ParameterLimitExceeded"})
	out, err := smoke(t, "--yes")
	if err == nil || !strings.Contains(err.Error(), "ParameterLimitExceeded") {
		t.Errorf("%v\n%s", err, out)
	}
	wantNothingLeft(t, sim, 2, 2)
}

// After Ctrl-C in the middle of a mount, everything is deleted.
func TestSmoke_CleansUpAfterAnInterrupt(t *testing.T) {
	sim := newSim(t, trustUser)
	sim.Inject(awssim.Fault{Service: "secretsmanager", Operation: "GetSecretValue", Hang: true})
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--region", region, "--role", role, "--provider", binary, "--yes"}, new(bytes.Buffer))
	}()
	for sim.Calls()["secretsmanager:GetSecretValue"] == 0 {
		select {
		case err := <-ended:
			t.Fatalf("it ended before the mount: %v", err)
		default:
			runtime.Gosched()
		}
	}
	interrupt()
	if err := <-ended; err == nil {
		t.Error("it reports success")
	}
	wantNothingLeft(t, sim, 4, 4)
}

// Without --yes nothing is called, and the plan says what would be.
func TestSmoke_DryRun(t *testing.T) {
	sim := newSim(t, trustUser)
	out, err := smoke(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"secret     secrets-provider-aws-smoke/allowed/", "secret     secrets-provider-aws-smoke/denied/", "less than 0.01 USD", `"secretsmanager:GetSecretValue"`, "nothing was called"} {
		if !strings.Contains(out, want) {
			t.Errorf("the plan lacks %q:\n%s", want, out)
		}
	}
	if calls := sim.Calls(); len(calls) != 0 {
		t.Errorf("calls: %v", calls)
	}
}

func TestSmoke_RefusesFlags(t *testing.T) {
	for name, tc := range map[string]struct {
		arguments []string
		want      string
	}{
		"nothing":         {nil, "set --region; set --role to the ARN of an IAM role"},
		"not a role":      {[]string{"--region=x", "--role=arn:aws:iam::123456789012:user/admin"}, "set --role"},
		"a wide prefix":   {[]string{"--region=x", "--role=" + role, "--prefix=*"}, "--prefix is empty or has"},
		"no such token":   {[]string{"--region=x", "--role=" + role, "--yes", "--token-file=none"}, "read --token-file"},
		"not a token":     {[]string{"--region=x", "--role=" + role, "--yes", "--token-file=main.go"}, "contains no token"},
		"an extra letter": {[]string{"--region=x", "--role=" + role, "yes"}, "takes no argument"},
	} {
		t.Run(name, func(t *testing.T) {
			newSim(t, "")
			if err := run(t.Context(), tc.arguments, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
