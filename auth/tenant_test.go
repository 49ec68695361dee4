package auth_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/awsclient"
)

// busySTS is an STS in memory that throttles so many calls, and all of those for a role named noisy.
type busySTS struct{ throttles, calls atomic.Int64 }

// Do answers a call after 20 ms.
func (s *busySTS) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	time.Sleep(20 * time.Millisecond)
	status, answer := http.StatusOK, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
		<AccessKeyId>AKIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration>
		</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`
	noisy := strings.Contains(string(body), "noisy")
	if !noisy {
		s.calls.Add(1)
	}
	if noisy || s.throttles.Add(-1) >= 0 {
		status, answer = http.StatusBadRequest, `<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>`
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

// startWith starts a testbed with that STS, and the usual attempts.
func startWith(t *testing.T, sts *busySTS) *testbed {
	return start(t, nil, func(c *auth.Config) {
		var err error
		if c.AWS, err = awsclient.Load(context.Background(), awsclient.Options{}); err != nil {
			t.Fatal(err)
		}
		c.AWS.HTTPClient = sts
	})
}

// A pod may wait for the credentials: the exchange goes on while STS throttles it.
func TestT3_AnExchangeOutlastsThrottling(t *testing.T) {
	sts := &busySTS{}
	sts.throttles.Store(10)
	b := startWith(t, sts)
	id, token, err := b.Identify(t.Context(), payment, tokensOf(t, jwt(t, paymentClaims(nil))), auth.IdentityOptions{RoleARN: roleARN})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		if _, err := b.Session(id, token, auth.CredentialOptions{Regions: []string{region}}).Retrieve(t.Context()); err != nil {
			t.Error(err)
		}
		if n := sts.calls.Load(); n != 11 {
			t.Errorf("%d calls, want 11", n)
		}
	})
}

// One identity is throttled without end. The others get their credentials as fast as if they were alone.
func TestT2_AThrottledExchangeSlowsNoOther(t *testing.T) {
	b := startWith(t, &busySTS{})
	tokens := tokensOf(t, jwt(t, paymentClaims(nil)))
	noisy, token, err := b.Identify(t.Context(), payment, tokens, auth.IdentityOptions{RoleARN: roleARN + "-noisy"})
	if err != nil {
		t.Fatal(err)
	}
	var quiet []auth.Identity
	for i := range 20 {
		id, _, err := b.Identify(t.Context(), payment, tokens, auth.IdentityOptions{RoleARN: fmt.Sprint(roleARN, i)})
		if err != nil {
			t.Fatal(err)
		}
		quiet = append(quiet, id)
	}
	options := auth.CredentialOptions{Regions: []string{region}}
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 1)
		go func() {
			_, err := b.Session(noisy, token, options).Retrieve(t.Context())
			failed <- err
		}()
		for _, id := range quiet {
			time.Sleep(time.Second)
			started := time.Now()
			if _, err := b.Session(id, token, options).Retrieve(t.Context()); err != nil {
				t.Error(err)
			}
			if took := time.Since(started); took != 20*time.Millisecond {
				t.Errorf("%s: took %v, want 20 ms", id, took)
			}
		}
		if err := <-failed; err == nil || !strings.Contains(err.Error(), "Throttling: Rate exceeded") {
			t.Errorf("the throttled one: %v, want what STS said", err)
		}
	})
}
