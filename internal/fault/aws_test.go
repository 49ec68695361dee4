package fault_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/test/awssim"
)

const (
	region = "eu-west-1"
	key    = "AKIAIOSFODNN7EXAMPLE"
	keyOf  = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	token  = "header.claims-of-the-token.signature"
)

// call makes one SDK call with a client of cfg.
type call func(ctx context.Context, cfg aws.Config) error

func getSecret(ctx context.Context, cfg aws.Config) error {
	_, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
	return err
}

func getParameters(ctx context.Context, cfg aws.Config) error {
	_, err := ssm.NewFromConfig(cfg).GetParameters(ctx, &ssm.GetParametersInput{Names: []string{"level"}})
	return err
}

func assumeRole(ctx context.Context, cfg aws.Config) error {
	_, err := sts.NewFromConfig(cfg).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String("arn:aws:iam::123456789012:role/r"), RoleSessionName: aws.String("pod"), WebIdentityToken: aws.String(token),
	})
	return err
}

// config is an SDK configuration for url with one attempt per call.
func config(t *testing.T, url string) aws.Config {
	t.Helper()
	return configWith(t, url, "", awsclient.Options{})
}

// configWith is config with a CA bundle and options.
func configWith(t *testing.T, url, bundle string, options awsclient.Options) aws.Config {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_REGION": region, "AWS_PROFILE": "", "AWS_CA_BUNDLE": bundle,
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		"AWS_USE_FIPS_ENDPOINT": "", "AWS_USE_DUALSTACK_ENDPOINT": "",
	} {
		t.Setenv(name, value)
	}
	options.MaxAttempts = 1
	cfg, err := awsclient.Load(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Credentials = credentials.NewStaticCredentialsProvider(key, keyOf, "")
	return cfg
}

func simulator(t *testing.T, cfg awssim.Config) *awssim.Sim {
	t.Helper()
	cfg.State.Users = []awssim.User{{Name: "pod", AccessKeyID: key, SecretAccessKey: keyOf, Policies: []awssim.Document{
		awssim.AllowPolicy("*", "secretsmanager:GetSecretValue", "ssm:GetParameters"),
	}}}
	sim, err := awssim.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

var ids = regexp.MustCompile(`\[request id [0-9a-f-]{36}\]`)

// wantAWS fails the test unless err becomes an Error of this kind and line. In line, [id] stands for the request id.
func wantAWS(t *testing.T, err error, kind fault.Kind, line string) {
	t.Helper()
	if err == nil {
		t.Fatal("the call did not fail")
	}
	e := fault.FromAWS(err, "cannot do it", region)
	if e.Kind != kind {
		t.Errorf("kind %v, want %v, of %v", e.Kind, kind, err)
	}
	if diff := cmp.Diff(line, ids.ReplaceAllString(e.Error(), "[id]")); diff != "" {
		t.Errorf("message of %v (-want +got):\n%s", err, diff)
	}
	if !errors.Is(e, err) {
		t.Error("the cause is lost")
	}
}

func TestA7_ErrorsOfAWS(t *testing.T) {
	sim := simulator(t, awssim.Config{})
	cfg := config(t, sim.URL())
	const at = "cannot do it in eu-west-1: "
	for _, tt := range []struct {
		call  call
		fault awssim.Fault
		kind  fault.Kind
		want  string
	}{
		{getSecret, awssim.Fault{Code: "ThrottlingException", Message: "Rate exceeded"}, fault.Transient, "ThrottlingException: Rate exceeded [id]"},
		{getSecret, awssim.Fault{Code: "RequestLimitExceeded"}, fault.Transient, "RequestLimitExceeded: fault injected into the simulator [id]"},
		{getSecret, awssim.Fault{Status: 429, Code: "Other"}, fault.Transient, "Other: fault injected into the simulator [id]"},
		{getSecret, awssim.Fault{Status: 500}, fault.Transient, "InternalServiceError: fault injected into the simulator [id]"},
		{getSecret, awssim.Fault{Status: 503}, fault.Transient, "ServiceUnavailable: fault injected into the simulator [id]"},
		{getSecret, awssim.Fault{Status: 400, Code: "InternalServiceError"}, fault.Transient, "InternalServiceError: fault injected into the simulator [id]"},
		{getSecret, awssim.Fault{Code: "AccessDeniedException", Message: "No.\nNever."}, fault.Denied, "AccessDeniedException: No. Never [id]"},
		{getSecret, awssim.Fault{Status: 403, Code: "AccessDenied"}, fault.Denied, "AccessDenied: fault injected into the simulator [id]"},
		{getSecret, awssim.Fault{Code: "ResourceNotFoundException"}, fault.NotFound, "ResourceNotFoundException: fault injected into the simulator [id]"},
		{getSecret, awssim.Fault{Code: "InvalidRequestException"}, fault.Rejected, "InvalidRequestException: fault injected into the simulator [id]"},
		{getSecret, awssim.Fault{Code: "DecryptionFailure"}, fault.Rejected, "DecryptionFailure: fault injected into the simulator [id]"},
		{getSecret, awssim.Fault{Code: "ExpiredTokenException"}, fault.Credentials, "ExpiredTokenException: fault injected into the simulator [id]"},
		{getSecret, awssim.Fault{Code: "UnrecognizedClientException"}, fault.Credentials, "UnrecognizedClientException: fault injected into the simulator [id]"},
		{getParameters, awssim.Fault{Code: "ThrottlingException"}, fault.Transient, "ThrottlingException: fault injected into the simulator [id]"},
		{getParameters, awssim.Fault{Status: 500}, fault.Transient, "InternalServerError: fault injected into the simulator [id]"},
		{getParameters, awssim.Fault{Code: "AccessDeniedException"}, fault.Denied, "AccessDeniedException: fault injected into the simulator [id]"},
		{getParameters, awssim.Fault{Code: "InvalidKeyId"}, fault.Rejected, "InvalidKeyId: fault injected into the simulator [id]"},
		{assumeRole, awssim.Fault{Status: 403, Code: "AccessDenied"}, fault.Denied, "AccessDenied: fault injected into the simulator [id]"},
		{assumeRole, awssim.Fault{Code: "InvalidIdentityToken"}, fault.Rejected, "InvalidIdentityToken: fault injected into the simulator [id]"},
		{assumeRole, awssim.Fault{Code: "IDPCommunicationError"}, fault.Transient, "IDPCommunicationError: fault injected into the simulator [id]"},
		{assumeRole, awssim.Fault{Code: "Throttling"}, fault.Transient, "Throttling: fault injected into the simulator [id]"},
		{assumeRole, awssim.Fault{Status: 500}, fault.Transient, "InternalFailure: fault injected into the simulator [id]"},
		{assumeRole, awssim.Fault{Cut: true}, fault.Transient, "the connection was closed before a response"},
	} {
		t.Run(fmt.Sprint(tt.fault.Status, tt.fault.Code), func(t *testing.T) {
			defer sim.Inject(tt.fault)()
			wantAWS(t, tt.call(t.Context(), cfg), tt.kind, at+tt.want)
		})
	}
}

func TestFromAWS_WrongSignatureIsTheCredentialsFault(t *testing.T) {
	sim := simulator(t, awssim.Config{})
	cfg := config(t, sim.URL())
	cfg.Credentials = credentials.NewStaticCredentialsProvider(key, "another", "")
	for _, c := range []call{getSecret, getParameters} {
		if got := fault.FromAWS(c(t.Context(), cfg), "", region); got.Kind != fault.Credentials {
			t.Errorf("%v is of kind %v, want %v", got, got.Kind, fault.Credentials)
		}
	}
}

// A proxy between the provider and AWS responds without AWS's error format.
func TestFromAWS_ResponsesOfAProxy(t *testing.T) {
	const proxy = " and not in the format of AWS: is a proxy in between?"
	for _, tt := range []struct {
		status int
		body   string
		kind   fault.Kind
		want   string
	}{
		{503, "<html>bad gateway</html>", fault.Transient, "the response is 503 Service Unavailable" + proxy},
		{500, "", fault.Transient, "the response is 500 Internal Server Error" + proxy},
		{403, "<html>forbidden</html>", fault.Rejected, "the response is 403 Forbidden" + proxy},
		{403, "", fault.Rejected, "the response is 403 Forbidden" + proxy},
		{200, "<html>log in</html>", fault.Transient, "the response is 200 OK" + proxy},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		}))
		t.Cleanup(server.Close)
		for name, c := range map[string]call{"secretsmanager": getSecret, "ssm": getParameters, "sts": assumeRole} {
			t.Run(fmt.Sprint(tt.status, " ", tt.body, " to ", name), func(t *testing.T) {
				wantAWS(t, c(t.Context(), config(t, server.URL)), tt.kind, "cannot do it in eu-west-1: "+tt.want)
			})
		}
	}
}

func TestFromAWS_NoResponse(t *testing.T) {
	t.Run("cut", func(t *testing.T) {
		sim := simulator(t, awssim.Config{})
		sim.Inject(awssim.Fault{Cut: true})
		wantAWS(t, getSecret(t.Context(), config(t, sim.URL())), fault.Transient, "cannot do it in eu-west-1: the connection was closed before a response")
	})
	t.Run("cut, over HTTP/2", func(t *testing.T) {
		sim := simulator(t, awssim.Config{TLS: true})
		sim.Inject(awssim.Fault{Cut: true})
		bundle := filepath.Join(t.TempDir(), "ca.pem")
		if err := sim.WriteCA(bundle); err != nil {
			t.Fatal(err)
		}
		wantAWS(t, getSecret(t.Context(), configWith(t, sim.URL(), bundle, awsclient.Options{})), fault.Transient, "cannot do it in eu-west-1: the connection was closed before a response")
	})
	t.Run("hang", func(t *testing.T) {
		sim := simulator(t, awssim.Config{})
		sim.Inject(awssim.Fault{Hang: true})
		cfg := configWith(t, sim.URL(), "", awsclient.Options{AttemptTimeout: 100 * time.Millisecond})
		wantAWS(t, getSecret(t.Context(), cfg), fault.Transient, "cannot do it in eu-west-1: no response in time")
	})
	t.Run("deadline of the caller", func(t *testing.T) {
		sim := simulator(t, awssim.Config{})
		sim.Inject(awssim.Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		wantAWS(t, getSecret(ctx, config(t, sim.URL())), fault.Transient, "cannot do it in eu-west-1: no response in time")
	})
	t.Run("caller cancels", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantAWS(t, getSecret(ctx, config(t, "http://127.0.0.1:9")), fault.Transient, "cannot do it in eu-west-1: the caller gave up")
	})
	t.Run("connection refused", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		wantAWS(t, getSecret(t.Context(), config(t, "http://"+l.Addr().String())), fault.Transient,
			"cannot do it in eu-west-1: no connection: connect: connection refused")
	})
	t.Run("unknown host name", func(t *testing.T) { // a name with an empty part fails without a DNS query
		wantAWS(t, getSecret(t.Context(), config(t, "http://sts..invalid")), fault.Transient,
			"cannot do it in eu-west-1: the host name sts..invalid is not known: is the region right?")
	})
	t.Run("unknown CA", func(t *testing.T) {
		sim := simulator(t, awssim.Config{TLS: true})
		wantAWS(t, getSecret(t.Context(), config(t, sim.URL())), fault.Transient,
			"cannot do it in eu-west-1: the endpoint's TLS certificate is not signed by a known authority: is AWS_CA_BUNDLE right?")
	})
	t.Run("certificate of another host", func(t *testing.T) {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS() // its certificate names example.com and 127.0.0.1, not localhost
		defer server.Close()
		bundle := filepath.Join(t.TempDir(), "ca.pem")
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		if err := os.WriteFile(bundle, ca, 0o600); err != nil {
			t.Fatal(err)
		}
		_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "https://"), ":")
		wantAWS(t, getSecret(t.Context(), configWith(t, "https://localhost:"+port, bundle, awsclient.Options{})), fault.Transient,
			"cannot do it in eu-west-1: the endpoint's TLS certificate is not valid: x509: certificate is valid for example.com, *.example.com, not localhost")
	})
}

// A DNS server fails, unlike a DNS server that does not know the name.
func TestFromAWS_FailingDNSServer(t *testing.T) {
	err := fmt.Errorf("dial: %w", &net.DNSError{Name: "sts.eu-west-1.amazonaws.com", Err: "server misbehaving", IsTemporary: true})
	wantAWS(t, err, fault.Transient, "cannot do it in eu-west-1: the host name sts.eu-west-1.amazonaws.com cannot be looked up: does DNS work on this node?")
}

// Foreign gives one printable line of limited length without tokens.
func TestT35_ForeignText(t *testing.T) {
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
	for text, want := range map[string]string{
		"":                               "",
		" two\r\n\tlines \n":             "two lines",
		"you sent " + token + ", and":    "you sent [redacted], and",
		"\x1b[31mred\x00 and \u202eback": "[31mred and back",
		"bad \xff byte":                  "bad \uFFFD byte",
		strings.Repeat("x", 401):         strings.Repeat("x", 397) + "…",
		strings.Repeat("é", 300):         strings.Repeat("é", 198) + "…",
		strings.Repeat("y", 380) + token: strings.Repeat("y", 380) + "[redacted]",
	} {
		if got := fault.Foreign(text); got != want {
			t.Errorf("of %q: %q, want %q", text, got, want)
		}
	}
}
