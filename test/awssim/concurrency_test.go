package awssim_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"secrets-provider-aws/test/awssim"
)

// TestConcurrentUse is for the race detector. It does everything that a test may
// do concurrently while calls run.
func TestConcurrentUse(t *testing.T) {
	b := start(t)
	role := awssim.Role{
		Name: "payment-role", TrustPolicy: b.issuer.TrustPolicy("payment", "api"),
		Policies: []awssim.Document{awssim.AllowPolicy("*", "*")},
	}
	if err := b.SetRole(role); err != nil { // the role of start may not list
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			token, err := b.issuer.Token(paymentToken())
			if err != nil {
				t.Error(err)
				return
			}
			out, err := b.webIdentity(t, paymentRole, token)
			if err != nil {
				t.Error(err)
				return
			}
			creds := static(out.Credentials)
			for range 5 {
				if err := getDB(t, b.secrets(creds)); err != nil {
					t.Error(err)
				}
				if _, _, err := secretsBelow(t, b.secrets(creds), "d"); err != nil {
					t.Error(err)
				}
				if _, err := parametersBelow(t, b.ssm(creds), "/"); err != nil {
					t.Error(err)
				}
				if _, err := b.secrets(creds).ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for n := range 5 {
				name := strconv.Itoa(i) + "-" + strconv.Itoa(n)
				if err := b.SetRole(role); err != nil {
					t.Error(err)
				}
				if err := b.AddRole(awssim.Role{Name: name}); err != nil {
					t.Error(err)
				}
				if err := b.RemoveRole(name); err != nil {
					t.Error(err)
				}
				b.Inject(awssim.Fault{Object: name, Status: 500})()
				b.PutSecret(region, name, "x")
				b.PutParameter(region, name, "x")
				if err := errors.Join(b.TagSecret(region, name, map[string]string{"n": name}), b.RemoveSecret(region, name), b.RemoveParameter(region, name)); err != nil {
					t.Error(err)
				}
				_, _, _ = b.Calls(), b.CallLog(), b.ProxiedHosts()
				_, _ = b.Connections()
			}
		})
	}
	wg.Wait()
	if n := b.Calls()["secretsmanager:GetSecretValue"]; n != 20 {
		t.Errorf("%d calls counted, want 20", n)
	}
}
