package awssim_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/awssim"
)

func TestAdmin(t *testing.T) {
	b := start(t, withTLS)
	admin := awssim.Admin{URL: b.URL(), CA: b.CAPEM()}
	ctx := t.Context()
	transport := &http.Transport{TLSClientConfig: b.trusting(t), DisableKeepAlives: true}
	user := awssim.Role{Name: "payment-role", TrustPolicy: b.issuer.TrustPolicy("payment", "api"), Policies: []awssim.Document{awssim.AllowPolicy("*", "*")}}
	if err := admin.SetRole(ctx, user); err != nil {
		t.Fatal(err)
	}
	if err := admin.SetRole(ctx, awssim.Role{Name: "x", TrustPolicy: "{"}); err == nil {
		t.Error("a role that is not valid is accepted")
	}
	if err := admin.PutSecret(ctx, region, "new", "value"); err != nil {
		t.Fatal(err)
	}
	if err := admin.PutParameter(ctx, region, "/new", "value"); err != nil {
		t.Fatal(err)
	}

	creds, err := b.sessionBy(t, transport)
	if err != nil {
		t.Fatal(err)
	}
	client := secretsmanager.NewFromConfig(b.config(creds, transport))
	get := func() (string, error) {
		out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("new")})
		if err != nil {
			return "", err
		}
		return *out.SecretString, nil
	}
	if value, err := get(); err != nil || value != "value" {
		t.Errorf("the new secret is %q, %v", value, err)
	}

	remove, err := admin.Inject(ctx, awssim.Fault{Service: "secretsmanager", Status: 503, Latency: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = get()
	wantError(t, err, 503, "ServiceUnavailable", "")
	if err := remove(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := get(); err != nil {
		t.Errorf("the fault is not removed: %v", err)
	}

	calls, err := admin.Calls(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"sts:AssumeRoleWithWebIdentity": 1, "secretsmanager:GetSecretValue": 3}
	if diff := cmp.Diff(want, calls.Counts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(b.CallLog(), calls.Log); diff != "" {
		t.Error(diff)
	}
	if err := admin.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	if n := len(b.CallLog()); n != 0 {
		t.Errorf("%d calls left after the reset", n)
	}
	if open, total, err := admin.Connections(ctx); err != nil || open < 1 || total < 9 {
		t.Errorf("connections %d of %d, %v", open, total, err)
	}
	if _, err := (awssim.Admin{URL: b.URL(), CA: []byte("x")}).Calls(ctx); err == nil {
		t.Error("an invalid CA is accepted")
	}
}

func TestAdminRefuses(t *testing.T) {
	b := start(t)
	for name, tc := range map[string]struct{ method, path, body string }{
		"unknown path":        {"GET", "nothing", ""},
		"wrong method":        {"GET", "reset", ""},
		"unknown fault field": {"POST", "faults", `{"sevice": "ssm"}`},
		"unknown role field":  {"PUT", "role", `{"nam": "x"}`},
		"unknown quota field": {"PUT", "quota", `{"service": "ssm", "operation": "GetParameters", "rat": 1}`},
		"quota, no operation": {"PUT", "quota", `{"service": "ssm", "rate": 1}`},
		"fault id":            {"DELETE", "faults/x", ""},
		"secret, not there":   {"DELETE", "secret", `{"region": "ap-south-1", "name": "none"}`},
		"unknown name field":  {"DELETE", "parameter", `{"region": "ap-south-1", "nam": "db"}`},
		"unknown tags field":  {"PUT", "tags", `{"region": "ap-south-1", "name": "db", "tag": {}}`},
		"tag, not valid":      {"PUT", "tags", `{"region": "ap-south-1", "name": "db", "tags": {"": "x"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tc.method, b.URL()+"/_awssim/"+tc.path, bytes.NewReader([]byte(tc.body)))
			if err != nil {
				t.Fatal(err)
			}
			if status := statusOf(t, r); status != http.StatusBadRequest {
				t.Errorf("status %d, want 400", status)
			}
		})
	}
	b.Inject(awssim.Fault{Service: "sts", Status: 503})
	if status := statusOf(t, mustRequest(t, http.MethodDelete, b.URL()+"/_awssim/faults")); status != 200 {
		t.Errorf("status %d", status)
	}
	_ = b.payment(t) // the simulator still works without faults
}
