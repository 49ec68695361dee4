package awssim_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"secrets-provider-aws/test/awssim"
)

const (
	region  = "ap-south-1"
	account = awssim.DefaultAccount
	// paymentRole trusts payment/api. It may read the secret "db".
	paymentRole = "arn:aws:iam::" + account + ":role/payment-role"
	dbPattern   = "arn:aws:secretsmanager:*:" + account + ":secret:db-??????"
	dbValue     = "the value of db"
)

// bed is a simulator with one issuer, the payment role and the secret "db". Its
// methods give SDK clients.
type bed struct {
	*awssim.Sim
	issuer *awssim.Issuer
	clock  *testClock
}

// testClock is the simulator's clock.
type testClock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *testClock) set(offset time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = offset
}

func start(t *testing.T, change ...func(*awssim.Config)) *bed {
	t.Helper()
	b := &bed{clock: &testClock{}}
	cfg := awssim.Config{Clock: b.clock.now}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if b.Sim, err = awssim.Start(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if b.issuer, err = b.NewIssuer(); err != nil {
		t.Fatal(err)
	}
	b.addRole(t, awssim.Role{
		Name:        "payment-role",
		TrustPolicy: b.issuer.TrustPolicy("payment", "api"),
		Policies:    []awssim.Document{awssim.AllowPolicy(dbPattern, "secretsmanager:GetSecretValue")},
	})
	b.PutSecret(region, "db", dbValue)
	return b
}

func (b *bed) addRole(t *testing.T, r awssim.Role) {
	t.Helper()
	if err := b.AddRole(r); err != nil {
		t.Fatal(err)
	}
}

func (b *bed) removeRole(t *testing.T, arn string) {
	t.Helper()
	if err := b.RemoveRole(arn); err != nil {
		t.Error(err)
	}
}

// paymentToken describes the token of the ServiceAccount payment/api.
func paymentToken() awssim.Token {
	return awssim.Token{Namespace: "payment", ServiceAccount: "api", Pod: "api-0", Node: "node1"}
}

func (b *bed) token(t *testing.T, want awssim.Token) string {
	t.Helper()
	token, err := b.issuer.Token(want)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// config returns an SDK configuration that ignores the environment and does
// not retry.
func (b *bed) config(creds aws.CredentialsProvider, transport http.RoundTripper) aws.Config {
	if transport == nil {
		transport = &http.Transport{DisableKeepAlives: true}
	}
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(b.URL()),
		Credentials:  creds,
		HTTPClient:   wholeRequests(transport),
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// wholeRequests gives net/http the body of a request in memory. The SDK closes its own body as soon as the head of the
// response is there, and net/http, which then still looks for more of it, takes that for an error and closes
// the connection under the response.
func wholeRequests(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			r = r.Clone(r.Context())
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		return transport.RoundTrip(r)
	})}
}

func (b *bed) sts() *sts.Client { return sts.NewFromConfig(b.config(nil, nil)) }

func (b *bed) secrets(creds aws.CredentialsProvider) *secretsmanager.Client {
	return secretsmanager.NewFromConfig(b.config(creds, nil))
}

func (b *bed) ssm(creds aws.CredentialsProvider) *ssm.Client {
	return ssm.NewFromConfig(b.config(creds, nil))
}

func (b *bed) webIdentity(t *testing.T, role, token string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	t.Helper()
	return b.sts().AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &role, RoleSessionName: aws.String("payment-api"), WebIdentityToken: &token,
	})
}

// payment returns a valid session of the payment role.
func (b *bed) payment(t *testing.T) aws.CredentialsProvider {
	t.Helper()
	return b.session(t, paymentRole)
}

// session returns a valid session of a role that trusts payment/api.
func (b *bed) session(t *testing.T, role string) aws.CredentialsProvider {
	t.Helper()
	out, err := b.webIdentity(t, role, b.token(t, paymentToken()))
	if err != nil {
		t.Fatal(err)
	}
	return static(out.Credentials)
}

func static(c *types.Credentials) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

// getDB reads the secret "db" and checks its value.
func getDB(t *testing.T, client *secretsmanager.Client) error {
	t.Helper()
	out, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
	if err == nil && aws.ToString(out.SecretString) != dbValue {
		t.Errorf("the value is %q, want %q", aws.ToString(out.SecretString), dbValue)
	}
	return err
}

// wantError checks code, HTTP status and a part of the message of an AWS error,
// and that it has a request id.
func wantError(t *testing.T, err error, status int, code, part string) {
	t.Helper()
	var api smithy.APIError
	var response *awshttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &response) {
		t.Fatalf("error %v, want %s from the service", err, code)
	}
	if api.ErrorCode() != code || response.HTTPStatusCode() != status || !strings.Contains(api.ErrorMessage(), part) {
		t.Errorf("got %d %s %q, want %d %s with %q", response.HTTPStatusCode(), api.ErrorCode(), api.ErrorMessage(), status, code, part)
	}
	if response.ServiceRequestID() == "" {
		t.Error("the response has no request id")
	}
}

// roundTrip is an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// tamper changes requests after signing.
type tamper func(*http.Request)

func (f tamper) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
}

// sessionBy returns a session of the payment role through a transport.
func (b *bed) sessionBy(t *testing.T, transport http.RoundTripper) (aws.CredentialsProvider, error) {
	t.Helper()
	out, err := sts.NewFromConfig(b.config(nil, transport)).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(paymentRole), RoleSessionName: aws.String("payment-api"),
		WebIdentityToken: aws.String(b.token(t, paymentToken())),
	})
	if err != nil {
		return nil, err
	}
	return static(out.Credentials), nil
}
