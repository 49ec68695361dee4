package awssim_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"secrets-provider-aws/test/awssim"
)

// administrator may call IAM.
var administrator = awssim.User{
	Name: "administrator", AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	Policies: []awssim.Document{awssim.AllowPolicy("*", "iam:*")},
}

// iam calls IAM as the user and returns the status and the body.
func (b *bed) iam(t *testing.T, user awssim.User, action string, parameters ...string) (int, string) {
	t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
	for i := 0; i+1 < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	body := form.Encode()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sum := sha256.Sum256([]byte(body))
	creds := aws.Credentials{AccessKeyID: user.AccessKeyID, SecretAccessKey: user.SecretAccessKey}
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, req, hex.EncodeToString(sum[:]), "iam", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// A role that is made with the API works like one of the state, and its inline policy decides.
func TestIAM_CreatedRoleReadsWithItsPolicy(t *testing.T) {
	b := start(t, func(c *awssim.Config) { c.State.Users = []awssim.User{administrator} })
	const role = "arn:aws:iam::" + account + ":role/created"
	status, body := b.iam(t, administrator, "CreateRole", "RoleName", "created", "AssumeRolePolicyDocument", string(b.issuer.TrustPolicy("payment", "api")))
	if status != http.StatusOK || !strings.Contains(body, "<Arn>"+role+"</Arn>") || !strings.Contains(body, `xmlns="https://iam.amazonaws.com/doc/2010-05-08/"`) {
		t.Fatalf("CreateRole: %d %s", status, body)
	}
	token, err := b.issuer.Token(paymentToken())
	if err != nil {
		t.Fatal(err)
	}
	out, err := b.webIdentity(t, role, token)
	if err != nil {
		t.Fatal(err)
	}
	client := b.secrets(static(out.Credentials))
	if err := getDB(t, client); err == nil {
		t.Error("a role without a policy reads the secret")
	}
	for _, action := range []string{"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"} { // the second replaces the first
		status, body := b.iam(t, administrator, "PutRolePolicy", "RoleName", "created", "PolicyName", "read", "PolicyDocument", string(awssim.AllowPolicy(dbPattern, action)))
		if status != http.StatusOK {
			t.Fatalf("PutRolePolicy: %d %s", status, body)
		}
		if err := getDB(t, client); (err == nil) != (action == "secretsmanager:GetSecretValue") {
			t.Errorf("with the policy for %s: %v", action, err)
		}
	}
}

func TestIAM_CreatedProviderIsTrusted(t *testing.T) {
	b := start(t, func(c *awssim.Config) { c.State.Users = []awssim.User{administrator} })
	status, body := b.iam(t, administrator, "CreateOpenIDConnectProvider", "Url", "https://oidc.example.com/id/1", "ClientIDList.member.1", "sts.amazonaws.com")
	if want := "arn:aws:iam::" + account + ":oidc-provider/oidc.example.com/id/1"; status != http.StatusOK || !strings.Contains(body, want) {
		t.Errorf("CreateOpenIDConnectProvider: %d %s", status, body)
	}
	if status, body := b.iam(t, administrator, "CreateOpenIDConnectProvider", "Url", "https://oidc.example.com/id/1"); status != http.StatusConflict || !strings.Contains(body, "EntityAlreadyExists") {
		t.Errorf("the second time: %d %s", status, body)
	}
}

func TestIAM_Refuses(t *testing.T) {
	reader := awssim.User{Name: "reader", AccessKeyID: "AKIAI44QH8DHBEXAMPLE", SecretAccessKey: "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"}
	b := start(t, func(c *awssim.Config) { c.State.Users = []awssim.User{administrator, reader} })
	trust := string(b.issuer.TrustPolicy("payment", "api"))
	for name, test := range map[string]struct {
		user       awssim.User
		action     string
		parameters []string
		status     int
		code       string
	}{
		"no permission":         {reader, "CreateRole", []string{"RoleName", "r", "AssumeRolePolicyDocument", trust}, http.StatusForbidden, "AccessDenied"},
		"role exists":           {administrator, "CreateRole", []string{"RoleName", "payment-role", "AssumeRolePolicyDocument", trust}, http.StatusConflict, "EntityAlreadyExists"},
		"no trust policy":       {administrator, "CreateRole", []string{"RoleName", "r"}, http.StatusBadRequest, "MalformedPolicyDocument"},
		"wrong trust policy":    {administrator, "CreateRole", []string{"RoleName", "r", "AssumeRolePolicyDocument", "{}"}, http.StatusBadRequest, "MalformedPolicyDocument"},
		"wrong policy":          {administrator, "PutRolePolicy", []string{"RoleName", "payment-role", "PolicyName", "p", "PolicyDocument", "{"}, http.StatusBadRequest, "MalformedPolicyDocument"},
		"no such role":          {administrator, "PutRolePolicy", []string{"RoleName", "none", "PolicyName", "p", "PolicyDocument", string(awssim.AllowPolicy("*", "s3:*"))}, http.StatusNotFound, "NoSuchEntity"},
		"unknown operation":     {administrator, "DeleteRole", nil, http.StatusBadRequest, "InvalidAction"},
		"unsupported parameter": {administrator, "CreateRole", []string{"RoleName", "r", "PermissionsBoundary", "x"}, http.StatusNotImplemented, "NotImplemented"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := b.iam(t, test.user, test.action, test.parameters...); status != test.status || !strings.Contains(body, "<Code>"+test.code+"</Code>") {
				t.Errorf("got %d %s, want %d %s", status, body, test.status, test.code)
			}
		})
	}
}
