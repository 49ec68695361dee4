package awsclient_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"secrets-provider-aws/internal/awsclient"
)

// account is an AWS in memory: it responds to each request as it is told, after a delay. Without a network the
// time of a test is the one that it says (testing/synctest).
type account struct {
	delay   time.Duration
	respond func(request) response

	mu       sync.Mutex
	requests []request
}

// request is one attempt of a call.
type request struct {
	at      time.Time // when it was sent
	service string    // sts, secretsmanager or ssm
	region  string
	key     string // access key that signed it; empty for none
}

// response is how the account responds. The zero value is a success.
type response struct {
	status int    // 0: 200
	code   string // of AWS's error
	header http.Header
	delay  time.Duration // besides the account's
}

var throttled = response{status: http.StatusBadRequest, code: "ThrottlingException"}

// Do implements aws.HTTPClient.
func (a *account) Do(r *http.Request) (*http.Response, error) {
	host := strings.Split(r.URL.Host, ".")
	req := request{at: time.Now(), service: host[0], region: host[1]}
	if _, credential, signed := strings.Cut(r.Header.Get("Authorization"), "Credential="); signed {
		req.key, _, _ = strings.Cut(credential, "/")
	}
	a.mu.Lock()
	a.requests = append(a.requests, req)
	a.mu.Unlock()
	got := a.respond(req)
	select {
	case <-time.After(a.delay + got.delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	body, header := `{"SecretString":"v"}`, got.header
	switch {
	case got.status == 0 && req.service == "sts":
		got.status, body = http.StatusOK, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult/></AssumeRoleWithWebIdentityResponse>`
	case got.status == 0:
		got.status = http.StatusOK
	case req.service == "sts":
		body = `<ErrorResponse><Error><Code>` + got.code + `</Code></Error></ErrorResponse>`
	default:
		body = `{"__type":"` + got.code + `"}`
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: got.status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// oneCall is a usual delay.
const oneCall = 20 * time.Millisecond

// always responds the same.
func always(r response) func(request) response { return func(request) response { return r } }

// times gives the responses in turn, and then successes.
func times(responses ...response) func(request) response {
	next := make(chan response, len(responses))
	for _, r := range responses {
		next <- r
	}
	return func(request) response {
		select {
		case r := <-next:
			return r
		default:
			return response{}
		}
	}
}

// sent are the times of the requests, from the first one on.
func (a *account) sent() []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	times := make([]time.Duration, len(a.requests))
	for i, r := range a.requests {
		times[i] = r.at.Sub(a.requests[0].at)
	}
	return times
}

// config loads a configuration of calls to a.
func (a *account) config(t testing.TB, o awsclient.Options) aws.Config {
	t.Helper()
	cfg := load(t, o)
	cfg.HTTPClient, cfg.Credentials = a, pod
	return cfg
}

// as gives a context of the tenant's calls, for the first mount of a volume.
func as(ctx context.Context, tenant string) context.Context {
	return awsclient.WithTenant(ctx, awsclient.Tenant{Key: tenant, Queue: tenant, First: true})
}

// signedAs is cfg with the tenant's own credentials.
func signedAs(cfg aws.Config, tenant string) aws.Config {
	cfg.Credentials = credentials.NewStaticCredentialsProvider(tenant, "secret", "")
	return cfg
}

func exchange(ctx context.Context, cfg aws.Config) error {
	_, err := sts.NewFromConfig(cfg).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String("arn:aws:iam::123456789012:role/r"), RoleSessionName: aws.String("pod"), WebIdentityToken: aws.String("a.b.c"),
	})
	return err
}

func readSecret(ctx context.Context, cfg aws.Config) error {
	_, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
	return err
}

func readParameter(ctx context.Context, cfg aws.Config) error {
	_, err := ssm.NewFromConfig(cfg).GetParameters(ctx, &ssm.GetParametersInput{Names: []string{"level"}})
	return err
}
