package awssim_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"secrets-provider-aws/test/awssim"
)

// slow is a rate that gives no token during a test. slowToken is the time for one
// token.
const (
	slow      = 1.0 / 600
	slowToken = 10 * time.Minute // less than a signature's lifetime
)

func TestQuotaErrorsMatchTheService(t *testing.T) {
	b := start(t)
	b.addRole(t, awssim.Role{Name: "all", TrustPolicy: b.issuer.TrustPolicy("payment", "api"), Policies: []awssim.Document{awssim.AllowPolicy("*", "*")}})
	role := "arn:aws:iam::" + account + ":role/all"
	creds := b.session(t, role)
	for name, tc := range map[string]struct {
		quota awssim.Quota
		call  func() error
		code  string
	}{
		"Secrets Manager": {
			awssim.Quota{Service: "secretsmanager", Operation: "GetSecretValue"},
			func() error { return getDB(t, b.secrets(creds)) }, "ThrottlingException",
		},
		"Systems Manager": {
			awssim.Quota{Service: "ssm", Operation: "GetParameters"},
			func() error {
				_, err := b.ssm(creds).GetParameters(t.Context(), &ssm.GetParametersInput{Names: []string{"/none"}})
				return err
			}, "ThrottlingException",
		},
		"STS": {
			awssim.Quota{Service: "sts", Operation: "AssumeRoleWithWebIdentity"},
			func() error {
				_, err := b.webIdentity(t, role, b.token(t, paymentToken()))
				return err
			}, "Throttling",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.quota.Rate, tc.quota.Burst = slow, 2
			if err := b.SetQuota(tc.quota); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := tc.call(); err != nil {
					t.Fatalf("within the quota: %v", err)
				}
			}
			wantError(t, tc.call(), http.StatusBadRequest, tc.code, "Rate exceeded")
			b.clock.set(slowToken)
			if err := tc.call(); err != nil {
				t.Errorf("a token later: %v", err)
			}
			wantError(t, tc.call(), http.StatusBadRequest, tc.code, "Rate exceeded")
			b.clock.set(0)
		})
	}
}

func TestQuotaLimitsTheAgent(t *testing.T) {
	b := start(t)
	if err := b.SetQuota(awssim.Quota{Service: "pod-identity", Operation: "GetCredentials", Rate: slow, Burst: 1}); err != nil {
		t.Fatal(err)
	}
	token := paymentToken()
	token.Audience = []string{"pods.eks.amazonaws.com"}
	call := func() int {
		r := mustRequest(t, http.MethodGet, b.PodIdentityURL()+"/v1/credentials")
		r.Header.Set("Authorization", b.token(t, token))
		return statusOf(t, r)
	}
	// The first call fails too, because there is no association. But it passes the quota.
	if first := call(); first == http.StatusTooManyRequests {
		t.Errorf("status %d within the quota", first)
	}
	if second := call(); second != http.StatusTooManyRequests {
		t.Errorf("status %d above the quota, want 429", second)
	}
}

func TestQuotaCountsOnlyCallsThatReachTheService(t *testing.T) {
	b := start(t)
	client := b.secrets(b.payment(t))
	err := awssim.Admin{URL: b.URL()}.SetQuota(t.Context(), awssim.Quota{Service: "secretsmanager", Operation: "GetSecretValue", Rate: slow, Burst: 1})
	if err != nil {
		t.Fatal(err)
	}
	remove := b.Inject(awssim.Fault{Status: 503})
	wantError(t, getDB(t, client), 503, "ServiceUnavailable", "")
	remove()
	unsigned := secretsmanager.NewFromConfig(b.config(aws.AnonymousCredentials{}, nil))
	if getDB(t, unsigned) == nil {
		t.Error("a call without a signature succeeds")
	}
	if err := getDB(t, client); err != nil {
		t.Errorf("the refused call took a token: %v", err)
	}
	wantError(t, getDB(t, client), http.StatusBadRequest, "ThrottlingException", "Rate exceeded")
}
