package awsclient_test

import (
	"context"
	"fmt"
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
	"secrets-provider-aws/test/awssim"
)

const (
	region = "ap-south-1"
	key    = "AKIAIOSFODNN7EXAMPLE"
	keyOf  = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// pod has the credentials of a user in the simulator.
var pod = credentials.NewStaticCredentialsProvider(key, keyOf, "")

// setenv clears all variables that the SDK reads, so that no test depends on the machine, and then sets vars.
func setenv(t testing.TB, vars map[string]string) {
	t.Helper()
	for _, name := range []string{
		"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_SSM", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
		"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_SDK_UA_APP_ID",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	for name, value := range vars {
		t.Setenv(name, value)
	}
}

func load(t testing.TB, o awsclient.Options) aws.Config {
	t.Helper()
	cfg, err := awsclient.Load(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Region == "" {
		cfg.Region = region
	}
	return cfg
}

// simulator starts a simulator with the secret db and the parameter level in each of regions and in region.
func simulator(t testing.TB, cfg awssim.Config, regions ...string) *awssim.Sim {
	t.Helper()
	cfg.State.Users = []awssim.User{{Name: "pod", AccessKeyID: key, SecretAccessKey: keyOf, Policies: []awssim.Document{
		awssim.AllowPolicy("*", "secretsmanager:GetSecretValue", "ssm:GetParameters"),
	}}}
	sim, err := awssim.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	for _, r := range append(regions, region) {
		sim.PutSecret(r, "db", "of "+r)
		sim.PutParameter(r, "level", "of "+r)
	}
	return sim
}

// callAll calls each of the three services once, as the provider does. Its error names the service that failed.
func callAll(ctx context.Context, cfg aws.Config) error {
	_, err := sts.NewFromConfig(cfg).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String("arn:aws:iam::123456789012:role/r"), RoleSessionName: aws.String("pod"), WebIdentityToken: aws.String("a.b.c"),
	})
	if err == nil || !strings.Contains(err.Error(), "InvalidIdentityToken") { // the simulator has no such issuer: this is its response
		return fmt.Errorf("sts: %w", err)
	}
	if _, err := secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.Credentials = pod }).
		GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")}); err != nil {
		return fmt.Errorf("secretsmanager: %w", err)
	}
	if _, err := ssm.NewFromConfig(cfg, func(o *ssm.Options) { o.Credentials = pod }).
		GetParameters(ctx, &ssm.GetParametersInput{Names: []string{"level"}}); err != nil {
		return fmt.Errorf("ssm: %w", err)
	}
	return nil
}

// each counts one call to each service.
var each = map[string]int{"sts:AssumeRoleWithWebIdentity": 1, "secretsmanager:GetSecretValue": 1, "ssm:GetParameters": 1}

func wantCalls(t testing.TB, sim *awssim.Sim, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, sim.Calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestK6_EndpointOfAllServices(t *testing.T) {
	sim := simulator(t, awssim.Config{})
	setenv(t, map[string]string{"AWS_ENDPOINT_URL": sim.URL()})
	if err := callAll(t.Context(), load(t, awsclient.Options{MaxAttempts: 1})); err != nil {
		t.Error(err)
	}
	wantCalls(t, sim, each)
}

// Each service, STS too, can have its own endpoint, which wins over the common endpoint.
func TestK6_EndpointOfOneService(t *testing.T) {
	for service, variable := range map[string]string{
		"sts:AssumeRoleWithWebIdentity": "AWS_ENDPOINT_URL_STS", "secretsmanager:GetSecretValue": "AWS_ENDPOINT_URL_SECRETS_MANAGER", "ssm:GetParameters": "AWS_ENDPOINT_URL_SSM",
	} {
		t.Run(service, func(t *testing.T) {
			all, own := simulator(t, awssim.Config{}), simulator(t, awssim.Config{})
			setenv(t, map[string]string{"AWS_ENDPOINT_URL": all.URL(), variable: own.URL()})
			if err := callAll(t.Context(), load(t, awsclient.Options{MaxAttempts: 1})); err != nil {
				t.Error(err)
			}
			rest := map[string]int{}
			for name, n := range each {
				if name != service {
					rest[name] = n
				}
			}
			wantCalls(t, own, map[string]int{service: 1})
			wantCalls(t, all, rest)
		})
	}
}

func TestK6_CABundle(t *testing.T) {
	sim := simulator(t, awssim.Config{TLS: true})
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := sim.WriteCA(bundle); err != nil {
		t.Fatal(err)
	}
	setenv(t, map[string]string{"AWS_ENDPOINT_URL": sim.URL(), "AWS_CA_BUNDLE": bundle})
	if err := callAll(t.Context(), load(t, awsclient.Options{MaxAttempts: 1})); err != nil {
		t.Error(err)
	}
	setenv(t, map[string]string{"AWS_ENDPOINT_URL": sim.URL()})
	if err := callAll(t.Context(), load(t, awsclient.Options{MaxAttempts: 1})); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("without the bundle: error %v, want an unknown authority", err)
	}
	wantCalls(t, sim, each)

	setenv(t, map[string]string{"AWS_CA_BUNDLE": filepath.Join(t.TempDir(), "missing.pem")})
	_, err := awsclient.Load(context.Background(), awsclient.Options{})
	if err == nil || !strings.Contains(err.Error(), "read the AWS configuration from the environment: ") || !strings.Contains(err.Error(), "missing.pem") {
		t.Errorf("missing bundle: error %v, want one that names it", err)
	}
}

func TestK9_RegionFromEnvironment(t *testing.T) {
	setenv(t, map[string]string{"AWS_REGION": "eu-north-1"})
	cfg, err := awsclient.Load(context.Background(), awsclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Region != "eu-north-1" {
		t.Errorf("region %q, want eu-north-1", cfg.Region)
	}
	setenv(t, nil)
	if cfg, err = awsclient.Load(context.Background(), awsclient.Options{}); err != nil || cfg.Region != "" {
		t.Errorf("without AWS_REGION: region %q and error %v, want neither: the label of the node names the region", cfg.Region, err)
	}
}

func TestUserAgent(t *testing.T) {
	for _, tt := range []struct {
		name     string
		options  awsclient.Options
		want     []string
		unwanted string
	}{
		{"version", awsclient.Options{Version: "1.2.3"}, []string{"secrets-provider-aws/1.2.3"}, "eks-addon"},
		{"no version", awsclient.Options{}, []string{"secrets-provider-aws/0.0.0"}, "eks-addon"},
		{"add-on", awsclient.Options{Version: "1.2.3", EKSAddonVersion: "v1.2.3-eksbuild.1"}, []string{"secrets-provider-aws/1.2.3", "eks-addon/v1.2.3-eksbuild.1"}, "0.0.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sim := simulator(t, awssim.Config{})
			setenv(t, map[string]string{"AWS_ENDPOINT_URL": sim.URL()})
			tt.options.MaxAttempts = 1
			if err := callAll(t.Context(), load(t, tt.options)); err != nil {
				t.Fatal(err)
			}
			for _, call := range sim.CallLog() {
				for _, want := range tt.want {
					if !regexp.MustCompile(`(^| )` + regexp.QuoteMeta(want) + `( |$)`).MatchString(call.UserAgent) {
						t.Errorf("%s: user agent %q, want %s in it", call.Service, call.UserAgent, want)
					}
				}
				if strings.Contains(call.UserAgent, tt.unwanted) {
					t.Errorf("%s: user agent %q, want no %s in it", call.Service, call.UserAgent, tt.unwanted)
				}
			}
		})
	}
}

// Only the credentials of the caller sign a call, never credentials from the provider's environment.
func TestF9_AmbientCredentialsAreNeverUsed(t *testing.T) {
	sim := simulator(t, awssim.Config{})
	setenv(t, map[string]string{"AWS_ENDPOINT_URL": sim.URL(), "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": keyOf})
	cfg := load(t, awsclient.Options{MaxAttempts: 1})
	_, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
	if err == nil || !strings.Contains(err.Error(), "MissingAuthenticationToken") {
		t.Errorf("error %v, want MissingAuthenticationToken: the call must not be signed", err)
	}
	if err := callAll(t.Context(), cfg); err != nil { // credentials in the environment do not disturb other calls
		t.Error(err)
	}
	for _, call := range sim.CallLog() {
		if call.Service == "sts" && call.Principal != "" {
			t.Errorf("STS was called by %s, want an unsigned call", call.Principal)
		}
	}
}

// AWS's provider has 4,800 open sockets after 2,400 mounts.
func TestF24_OneConnectionPool(t *testing.T) {
	sim := simulator(t, awssim.Config{TLS: true}, "eu-west-1")
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := sim.WriteCA(bundle); err != nil {
		t.Fatal(err)
	}
	setenv(t, map[string]string{"AWS_ENDPOINT_URL": sim.URL(), "AWS_CA_BUNDLE": bundle})
	cfg := load(t, awsclient.Options{})
	for i := range 100 {
		cfg.Region = []string{region, "eu-west-1"}[i%2]
		if err := callAll(t.Context(), cfg); err != nil { // callAll makes new clients: the pool belongs to the configuration
			t.Fatal(err)
		}
	}
	if open, total := sim.Connections(); total != 1 || open != 1 {
		t.Errorf("300 sequential calls: %d connections, %d of them open, want one", total, open)
	}
}

func TestOptions_MaxAttempts(t *testing.T) {
	for attempts, want := range map[int]int{1: 1, 2: 2} {
		sim := simulator(t, awssim.Config{})
		setenv(t, map[string]string{"AWS_ENDPOINT_URL": sim.URL()})
		sim.Inject(awssim.Fault{Service: "ssm", Status: 503})
		if err := callAll(t.Context(), load(t, awsclient.Options{MaxAttempts: attempts, AttemptTimeout: time.Minute})); err == nil {
			t.Error("no error")
		}
		if got := sim.Calls()["ssm:GetParameters"]; got != want {
			t.Errorf("%d attempts, want %d", got, want)
		}
	}
}

// The timeout limits each attempt, not the whole call.
func TestOptions_AttemptTimeout(t *testing.T) {
	sim := simulator(t, awssim.Config{})
	setenv(t, map[string]string{"AWS_ENDPOINT_URL": sim.URL()})
	sim.Inject(awssim.Fault{Service: "secretsmanager", Hang: true, Count: 1})
	if err := callAll(t.Context(), load(t, awsclient.Options{MaxAttempts: 2, AttemptTimeout: 2 * time.Second})); err != nil {
		t.Errorf("a first attempt that hangs: %v, want the second to succeed", err)
	}
	if got := sim.Calls()["secretsmanager:GetSecretValue"]; got != 2 {
		t.Errorf("%d attempts, want 2", got)
	}
}
