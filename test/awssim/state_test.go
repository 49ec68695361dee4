package awssim_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"secrets-provider-aws/test/awssim"
)

const stateYAML = `
account: 111122223333
users:
  - name: bob
    accessKeyID: AKIABOB
    secretAccessKey: of bob
    policies:
      - Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Action: secretsmanager:GetSecretValue
            Resource: "*"
            Condition: {Bool: {"aws:SecureTransport": false}}
      - '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}}'
roles:
  - name: app
    path: /team/
    maxSessionDuration: 7200
    tags: {team: payment}
oidcProviders:
  - issuer: https://oidc.example.com/id/1
    clientIDs: [sts.amazonaws.com]
podIdentityAssociations:
  - {namespace: payment, serviceAccount: api, roleARN: "arn:aws:iam::111122223333:role/team/app"}
`

func TestLoadState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.yaml")
	writeFile(t, path, []byte(stateYAML))
	state, err := awssim.LoadState(path)
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, func(c *awssim.Config) { c.State = state })
	client := b.secrets(credentials.NewStaticCredentialsProvider("AKIABOB", "of bob", ""))
	if err := getDB(t, client); err != nil {
		t.Error(err)
	}
	if want := "arn:aws:iam::111122223333:oidc-provider/"; !strings.HasPrefix(b.issuer.ProviderARN(), want) {
		t.Errorf("the issuer's provider is %s, want %s…", b.issuer.ProviderARN(), want)
	}
}

func TestLoadStateRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ yaml, part string }{
		"unknown field":        {"account: \"123456789012\"\nroles:\n  - nam: x\n", "line 3"},
		"unknown top field":    {"acount: 1\n", "line 1"},
		"the same field twice": {"account: a\naccount: b\n", "line 2"},
		"a second document":    {"account: a\n---\naccount: b\n", "more than one"},
		"a wrong type":         {"roles: 1\n", "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.yaml")
			writeFile(t, path, []byte(tc.yaml))
			_, err := awssim.LoadState(path)
			if err == nil || !strings.Contains(err.Error(), tc.part) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want the path and %q", err, tc.part)
			}
		})
	}
	if _, err := awssim.LoadState("/does/not/exist"); err == nil {
		t.Error("a missing file is accepted")
	}
}

func TestStartRefuses(t *testing.T) {
	role := awssim.Role{Name: "r"}
	user := awssim.User{Name: "u", AccessKeyID: "AKIA1", SecretAccessKey: "s"}
	for name, tc := range map[string]struct {
		state awssim.State
		part  string
	}{
		"account":            {awssim.State{Account: "12"}, "12 digits"},
		"a role twice":       {awssim.State{Roles: []awssim.Role{role, role}}, "exists already"},
		"a role's ARN":       {awssim.State{Roles: []awssim.Role{{ARN: "arn:aws:iam::1:role/x"}}}, "not the ARN of a role"},
		"a user without key": {awssim.State{Users: []awssim.User{{Name: "u"}}}, "required"},
		"a key twice":        {awssim.State{Users: []awssim.User{user, user}}, "another user's"},
		"a provider":         {awssim.State{OIDCProviders: []awssim.OIDCProvider{{Issuer: "oidc.example.com"}}}, "must be a URL"},
		"a provider's CA":    {awssim.State{OIDCProviders: []awssim.OIDCProvider{{Issuer: "https://x.example.com", CAFile: "/does/not/exist"}}}, "/does/not/exist"},
		"an association":     {awssim.State{PodIdentityAssociations: []awssim.PodIdentityAssociation{{Namespace: "a", ServiceAccount: "b", RoleARN: "r"}}}, "role's ARN"},
	} {
		t.Run(name, func(t *testing.T) {
			sim, err := awssim.Start(awssim.Config{State: tc.state})
			if err == nil {
				sim.Close()
				t.Fatal("it is accepted")
			}
			if !strings.Contains(err.Error(), tc.part) {
				t.Errorf("error %q, want %q in it", err, tc.part)
			}
		})
	}
	sim, err := awssim.Start(awssim.Config{Listen: "256.0.0.1:0"})
	if err == nil {
		sim.Close()
		t.Error("it listens on an address that does not exist")
	}
}
