package auth_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/test/awssim"
)

// account is an AWS account with an issuer and an Authenticator that uses the real clock. payment-role of the
// account trusts payments/payment-sa and may read every secret.
type account struct {
	*testbed
	issuer *awssim.Issuer
	cfg    aws.Config
}

func startAccount(t testing.TB, cfg awssim.Config, change ...func(*auth.Config)) *account {
	t.Helper()
	sim := simulator(t, cfg)
	a := &account{}
	var err error
	if a.issuer, err = sim.NewIssuer(); err != nil {
		t.Fatal(err)
	}
	a.addRole(t, sim, "payment-role", payment)
	a.testbed = start(t, sim, append([]func(*auth.Config){func(c *auth.Config) {
		c.Now = time.Now
		c.Agent.IPv4, c.Agent.IPv6 = sim.PodIdentityURL(), sim.PodIdentityURL()
		a.cfg = c.AWS
	}}, change...)...)
	return a
}

func (a *account) addRole(t testing.TB, sim *awssim.Sim, name string, pod auth.Pod) {
	t.Helper()
	if err := sim.AddRole(awssim.Role{
		Name: name, TrustPolicy: a.issuer.TrustPolicy(pod.Namespace, pod.ServiceAccount),
		Policies: []awssim.Document{awssim.AllowPolicy("*", "secretsmanager:GetSecretValue")},
	}); err != nil {
		t.Fatal(err)
	}
}

// token signs a token for pod.
func (a *account) token(pod auth.Pod, change awssim.Token) string {
	a.t.Helper()
	return signed(a.t, a.issuer, pod, change)
}

func signed(t testing.TB, issuer *awssim.Issuer, pod auth.Pod, change awssim.Token) string {
	t.Helper()
	change.Namespace, change.ServiceAccount, change.Pod, change.PodUID = pod.Namespace, pod.ServiceAccount, pod.Name, pod.UID
	token, err := issuer.Token(change)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// credentials identifies pod with this token and role and returns its credentials.
func (a *account) credentials(pod auth.Pod, token, role string) (aws.CredentialsProvider, error) {
	a.t.Helper()
	c, err := a.session(pod, map[string]string{audience: token}, auth.IdentityOptions{RoleARN: role}, auth.CredentialOptions{}).Retrieve(a.t.Context())
	if err != nil {
		return nil, err
	}
	return credentials.StaticCredentialsProvider{Value: c}, nil
}

// session returns a session of pod. tokens is audience → token. The default of credOptions.Regions is region.
func (a *account) session(pod auth.Pod, tokens map[string]string, options auth.IdentityOptions, credOptions auth.CredentialOptions) *auth.Session {
	a.t.Helper()
	id, t, err := a.Identify(a.t.Context(), pod, tokensFor(a.t, tokens), options)
	if err != nil {
		a.t.Fatalf("Identify: %v", err)
	}
	if credOptions.Regions == nil {
		credOptions.Regions = []string{region}
	}
	return a.Session(id, t, credOptions)
}

func TestA8_WebIdentityGetsCredentialsOfRole(t *testing.T) {
	a := startAccount(t, awssim.Config{})
	a.aws.PutSecret(region, "db", "v")
	credentials, err := a.credentials(payment, a.token(payment, awssim.Token{}), roleARN)
	if err != nil {
		t.Fatal(err)
	}
	client := secretsmanager.NewFromConfig(a.cfg, func(o *secretsmanager.Options) { o.Credentials, o.Region = credentials, region })
	out, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
	if err != nil || aws.ToString(out.SecretString) != "v" {
		t.Fatalf("secret %v and error %v, want v", out, err)
	}
	log := a.aws.CallLog()
	if len(log) != 2 || log[0].Operation != "AssumeRoleWithWebIdentity" || log[1].Operation != "GetSecretValue" {
		t.Fatalf("calls %+v, want AssumeRoleWithWebIdentity and GetSecretValue", log)
	}
	const want = "arn:aws:sts::123456789012:assumed-role/payment-role/payments-payment-sa"
	if log[1].Principal != want {
		t.Errorf("principal %s, want %s", log[1].Principal, want)
	}
}

var (
	ids     = regexp.MustCompile(`\[request id [0-9a-f-]{36}\]`)
	issuers = regexp.MustCompile(`(http://)?127\.0\.0\.1:[0-9]+/issuer/1`)
	times   = regexp.MustCompile(`date/time [0-9]+`)
)

func TestI1_RealCauseInTheMessage_STS(t *testing.T) {
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other := auth.Pod{Namespace: "payments", ServiceAccount: "other-sa"}
	good := func(a *account) string { return a.token(payment, awssim.Token{}) }
	with := func(f awssim.Fault) func(*account) string {
		return func(a *account) string {
			a.aws.Inject(f)
			return good(a)
		}
	}
	const (
		cannot   = "ServiceAccount payments/payment-sa cannot assume role " + roleARN + " in ap-south-1: "
		trust    = " (check that the role exists and that its trust policy allows sts:AssumeRoleWithWebIdentity to the OIDC provider ISSUER with sub = system:serviceaccount:payments:payment-sa and aud = sts.amazonaws.com)"
		register = " (register the cluster's issuer ISSUER as an IAM OIDC provider in the role's account, with audience sts.amazonaws.com)"
		again    = " (the kubelet retries automatically)"
	)
	for _, tt := range []struct {
		name  string
		cfg   awssim.Config
		pod   auth.Pod
		role  string
		token func(*account) string
		kind  fault.Kind
		want  string
	}{
		{"role trusts another ServiceAccount", awssim.Config{}, other, roleARN, func(a *account) string { return a.token(other, awssim.Token{}) }, fault.Credentials,
			strings.ReplaceAll(cannot+"AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity [id]"+trust, "payment-sa", "other-sa")},
		{"no such role", awssim.Config{}, payment, "arn:aws:iam::123456789012:role/paymnet-role", good, fault.Credentials,
			strings.ReplaceAll(cannot, "payment-role", "paymnet-role") + "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity [id]" + trust},
		{"role of another account", awssim.Config{}, payment, "arn:aws:iam::210987654321:role/payment-role", good, fault.Credentials,
			strings.ReplaceAll(cannot, "123456789012", "210987654321") + "InvalidIdentityToken: No OpenIDConnect provider found in your account for ISSUER [id]" + register},
		{"issuer not registered", awssim.Config{}, payment, roleARN, func(a *account) string {
			elsewhere, err := simulator(a.t, awssim.Config{}).NewIssuer()
			if err != nil {
				a.t.Fatal(err)
			}
			return signed(a.t, elsewhere, payment, awssim.Token{})
		}, fault.Credentials, cannot + "InvalidIdentityToken: No OpenIDConnect provider found in your account for ISSUER [id]" + register},
		{"wrong audience", awssim.Config{}, payment, roleARN, func(a *account) string { return a.token(payment, awssim.Token{Audience: []string{"vault"}}) }, fault.Credentials,
			cannot + "InvalidIdentityToken: Incorrect token audience [id]" + register},
		{"signed with another key", awssim.Config{}, payment, roleARN, func(a *account) string { return a.token(payment, awssim.Token{SignWith: foreign}) }, fault.Credentials,
			cannot + "InvalidIdentityToken: Invalid token signature [id]" + register},
		{"expired by the clock of AWS", awssim.Config{Clock: func() time.Time { return time.Now().Add(2 * time.Hour) }}, payment, roleARN, func(a *account) string {
			return a.token(payment, awssim.Token{IssuedAt: time.Now()})
		}, fault.Credentials, cannot + "ExpiredTokenException: Token expired: current date/time N must be before the expiration date/time N [id] (compare the node's clock with the clock of AWS)"},
		{"STS not active in the region", awssim.Config{State: awssim.State{STSDisabledRegions: []string{""}}}, payment, roleARN, good, fault.Credentials,
			cannot + "RegionDisabledException: STS is not activated in this region for account:123456789012. Your account administrator can activate STS in this region using the IAM Console [id] (activate STS in this region in the role's account)"},
		{"issuer unreachable", awssim.Config{}, payment, roleARN, with(awssim.Fault{Code: "IDPCommunicationError", Message: "Couldn't communicate"}), fault.Transient,
			cannot + "IDPCommunicationError: Couldn't communicate [id] (check that AWS can reach the JWKS of the cluster's issuer ISSUER)"},
		{"throttled", awssim.Config{}, payment, roleARN, with(awssim.Fault{Code: "Throttling", Message: "Rate exceeded"}), fault.Transient,
			cannot + "Throttling: Rate exceeded [id]" + again},
		{"STS returns 503", awssim.Config{}, payment, roleARN, with(awssim.Fault{Status: http.StatusServiceUnavailable}), fault.Transient,
			cannot + "ServiceUnavailable: fault injected into the simulator [id]" + again},
		{"connection closed", awssim.Config{}, payment, roleARN, with(awssim.Fault{Cut: true}), fault.Transient,
			cannot + "the connection was closed before a response" + again},
		{"unknown error code", awssim.Config{}, payment, roleARN, with(awssim.Fault{Code: "PackedPolicyTooLarge", Message: "Too large"}), fault.Credentials,
			cannot + "PackedPolicyTooLarge: Too large [id]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := startAccount(t, tt.cfg)
			token := tt.token(a)
			credentials, err := a.credentials(tt.pod, token, tt.role)
			if credentials != nil || err == nil {
				t.Fatalf("credentials %v and error %v, want an error alone", credentials, err)
			}
			if got := fault.KindOf(err); got != tt.kind {
				t.Errorf("kind %v, want %v", got, tt.kind)
			}
			line := times.ReplaceAllString(issuers.ReplaceAllString(ids.ReplaceAllString(err.Error(), "[id]"), "ISSUER"), "date/time N")
			if line != tt.want {
				t.Errorf("got  %s\nwant %s", line, tt.want)
			}
			for _, part := range strings.Split(token, ".") {
				if strings.Contains(err.Error(), part[:min(16, len(part))]) {
					t.Errorf("the error contains a part of the token: %v", err)
				}
			}
		})
	}
}

func TestSession_RetrieveStopsWithContext(t *testing.T) {
	a := startAccount(t, awssim.Config{})
	a.aws.Inject(awssim.Fault{Hang: true})
	id, token, err := a.Identify(t.Context(), payment, tokensOf(t, a.token(payment, awssim.Token{})), auth.IdentityOptions{RoleARN: roleARN})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = a.Session(id, token, auth.CredentialOptions{Regions: []string{region}}).Retrieve(ctx)
	wantError(t, err, fault.Transient, "ServiceAccount payments/payment-sa cannot assume role "+roleARN+" in ap-south-1: no response in time (the kubelet retries automatically)")
}

// CloudTrail shows the session name. STS accepts [\w+=,.@-]{2,64}.
func TestA9_SessionNameIdentifiesWorkload(t *testing.T) {
	a := startAccount(t, awssim.Config{})
	valid := regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	n63 := strings.Repeat("n", 63)
	seen := map[string]auth.Pod{}
	for i, tt := range []struct {
		pod  auth.Pod
		want string // empty: a cut name that ends in a hash
	}{
		{auth.Pod{Namespace: "payments", ServiceAccount: "payment-sa"}, "payments-payment-sa"},
		{auth.Pod{Namespace: "n", ServiceAccount: "s"}, "n-s"},
		{auth.Pod{Namespace: "a", ServiceAccount: "b.c.d"}, "a-b.c.d"},
		{auth.Pod{Namespace: strings.Repeat("n", 31), ServiceAccount: strings.Repeat("s", 32)}, strings.Repeat("n", 31) + "-" + strings.Repeat("s", 32)}, // 64
		{auth.Pod{Namespace: strings.Repeat("n", 31), ServiceAccount: strings.Repeat("s", 33)}, ""},                                                      // 65
		{auth.Pod{Namespace: n63, ServiceAccount: strings.Repeat("s", 253)}, ""},
		{auth.Pod{Namespace: n63, ServiceAccount: strings.Repeat("s", 252) + "t"}, ""},
		{auth.Pod{Namespace: n63, ServiceAccount: "a"}, ""},
		{auth.Pod{Namespace: n63, ServiceAccount: "b"}, ""},
		{auth.Pod{Namespace: n63, ServiceAccount: strings.Repeat("s", 200) + ".t"}, ""},
	} {
		role := "role-" + string(rune('a'+i))
		a.addRole(t, a.aws, role, tt.pod)
		if _, err := a.credentials(tt.pod, a.token(tt.pod, awssim.Token{}), "arn:aws:iam::123456789012:role/"+role); err != nil {
			t.Fatalf("%+v: %v", tt.pod, err)
		}
		log := a.aws.CallLog()
		_, session, _ := strings.Cut(log[len(log)-1].Principal, role+"/")
		if !valid.MatchString(session) {
			t.Errorf("%+v: session name %q is not valid", tt.pod, session)
		}
		if tt.want != "" && session != tt.want {
			t.Errorf("%+v: session name %q, want %q", tt.pod, session, tt.want)
		}
		whole := tt.pod.Namespace + "-" + tt.pod.ServiceAccount
		if tt.want == "" && (len(session) != 64 || !strings.HasPrefix(whole, session[:55]) || session[55] != '-') {
			t.Errorf("%+v: session name %q, want 55 characters of it, a dash and a hash", tt.pod, session)
		}
		if first, taken := seen[session]; taken {
			t.Errorf("%+v and %+v have the same session name %q", first, tt.pod, session)
		}
		seen[session] = tt.pod
	}
}
