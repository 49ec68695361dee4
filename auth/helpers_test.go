package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/kubesim"
)

const (
	region   = "ap-south-1"
	audience = "sts.amazonaws.com"
	roleARN  = "arn:aws:iam::123456789012:role/payment-role"
)

// payment is the pod that most tests identify.
var payment = auth.Pod{Namespace: "payments", ServiceAccount: "payment-sa", Name: "payment-7d4b9", UID: "uid-of-the-pod"}

// now is the time in tests that do not call STS.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// testbed is an Authenticator in front of the simulators of AWS and Kubernetes.
type testbed struct {
	*auth.Authenticator
	t    testing.TB
	aws  *awssim.Sim
	kube *kubesim.Sim
}

// start starts a testbed in front of sim. A nil sim is for tests that must not call AWS.
func start(t testing.TB, sim *awssim.Sim, change ...func(*auth.Config)) *testbed {
	t.Helper()
	url := "http://127.0.0.1:9" // the port of the discard service: it refuses connections
	if sim != nil {
		url = sim.URL()
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "", "AWS_CA_BUNDLE": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		"AWS_USE_FIPS_ENDPOINT": "", "AWS_USE_DUALSTACK_ENDPOINT": "", "HTTP_PROXY": "", "NO_PROXY": "127.0.0.1",
	} {
		t.Setenv(name, value)
	}
	cfg := auth.Config{Now: func() time.Time { return now }}
	var err error
	if cfg.AWS, err = awsclient.Load(context.Background(), awsclient.Options{MaxAttempts: 1}); err != nil {
		t.Fatal(err)
	}
	b := &testbed{t: t, aws: sim, kube: kubesim.Start(0)}
	t.Cleanup(b.kube.Close)
	if cfg.Kubernetes, err = metadata.NewForConfig(&rest.Config{Host: b.kube.URL(), QPS: 1000, Burst: 1000}); err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(&cfg)
	}
	if b.Authenticator, err = auth.New(cfg); err != nil {
		t.Fatal(err)
	}
	return b
}

// simulator starts the simulator of AWS.
func simulator(t testing.TB, cfg awssim.Config) *awssim.Sim {
	t.Helper()
	sim, err := awssim.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

// tokensOf returns the tokens of a mount request that has one token, for STS.
func tokensOf(t testing.TB, token string) auth.Tokens {
	t.Helper()
	return tokensFor(t, map[string]string{audience: token})
}

// tokensFor returns the tokens of a mount request: audience → token.
func tokensFor(t testing.TB, byAudience map[string]string) auth.Tokens {
	t.Helper()
	type entry struct {
		Token   string `json:"token"`
		Expires string `json:"expirationTimestamp"`
	}
	entries := map[string]entry{}
	for a, token := range byAudience {
		entries[a] = entry{token, "2026-03-01T13:00:00Z"}
	}
	text, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := auth.ParseTokens(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// claims are the claims of a token.
type claims map[string]any

// paymentClaims returns the claims of a valid token of the pod, changed by change. A nil value removes a claim.
func paymentClaims(change claims) claims {
	c := claims{
		"iss": "https://oidc.example/id/1", "aud": []string{audience}, "sub": "system:serviceaccount:payments:payment-sa",
		"exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "nbf": now.Unix(),
		"kubernetes.io": claims{"namespace": "payments", "serviceaccount": claims{"name": "payment-sa", "uid": "uid-of-the-account"}, "node": claims{"name": "node-1"}},
	}
	for name, value := range change {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

// jwt returns a token with these claims and a dummy signature.
func jwt(t testing.TB, c claims) string {
	t.Helper()
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return jwtOf(string(payload))
}

func jwtOf(payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + encode([]byte(payload)) + "." + encode([]byte(strings.Repeat("signature", 20)))
}

// wantError fails the test unless err is a *fault.Error of this kind and text.
func wantError(t testing.TB, err error, kind fault.Kind, text string) {
	t.Helper()
	var e *fault.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v of type %T, want a *fault.Error: %s", err, err, text)
	}
	if e.Kind != kind {
		t.Errorf("kind %v, want %v", e.Kind, kind)
	}
	if diff := cmp.Diff(text, err.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

// wantKube fails the test unless the API server received exactly these calls.
func (b *testbed) wantKube(want map[string]int) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.kube.Calls()); diff != "" {
		b.t.Errorf("Kubernetes calls (-want +got):\n%s", diff)
	}
}
