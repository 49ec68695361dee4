package auth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/test/awssim"
)

const (
	vaultRole    = "arn:aws:iam::210987654321:role/vault-role" // of another account
	secondRegion = "eu-west-1"
)

// startChain starts an account like startPods. In it payment-role and pod-role may assume vault-role, which
// trusts both with the external id "of-payments".
func startChain(t testing.TB, change ...func(*auth.Config)) *account {
	t.Helper()
	a := startAccount(t, awssim.Config{}, change...)
	mayAssume := awssim.AllowPolicy(vaultRole, "sts:AssumeRole", "sts:TagSession")
	a.setRole(awssim.Role{Name: "payment-role", TrustPolicy: a.issuer.TrustPolicy("payments", "payment-sa"), Policies: []awssim.Document{mayAssume}})
	a.associate("payment-sa", "pod-role", awssim.PodIdentityTrustPolicy, mayAssume)
	a.setRole(awssim.Role{ARN: vaultRole, TrustPolicy: trustBoth("of-payments")})
	return a
}

// trustBoth is a trust policy for payment-role and pod-role. An empty externalID means no condition.
func trustBoth(externalID string) awssim.Document {
	return awssim.TrustOf(externalID, roleARN, podRole)
}

func (a *account) setRole(r awssim.Role) {
	a.t.Helper()
	if err := a.aws.SetRole(r); err != nil {
		a.t.Fatal(err)
	}
}

// chained returns a session of pod, with web identity or Pod Identity, that then assumes vault-role.
func (a *account) chained(pod auth.Pod, options auth.IdentityOptions, credOptions auth.CredentialOptions) *auth.Session {
	a.t.Helper()
	tokens := map[string]string{
		audience:    a.token(pod, awssim.Token{}),
		audienceEKS: a.token(pod, awssim.Token{Audience: []string{audienceEKS}}),
	}
	if options.AssumeRoleARN == "" {
		options.AssumeRoleARN = vaultRole
	}
	return a.session(pod, tokens, options, credOptions)
}

var chainModes = map[string]auth.IdentityOptions{"web identity": {RoleARN: roleARN}, "Pod Identity": {PodIdentity: true}}

// The credentials of the first role assume the second. The workload's name is the session name.
func TestF8_AssumeRoleAfterBothModes(t *testing.T) {
	for mode, options := range chainModes {
		t.Run(mode, func(t *testing.T) {
			a := startChain(t)
			options.ExternalID = "of-payments"
			session := a.chained(payment, options, auth.CredentialOptions{})
			client := secretsmanager.NewFromConfig(a.cfg, func(o *secretsmanager.Options) { o.Credentials, o.Region = session, region })
			if _, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")}); err == nil {
				t.Error("vault-role has read a secret without permission")
			}
			log := a.aws.CallLog()
			if got, want := log[len(log)-1].Principal, "arn:aws:sts::210987654321:assumed-role/vault-role/payments-payment-sa"; got != want {
				t.Errorf("principal %s, want %s", got, want)
			}
			first := "sts:AssumeRoleWithWebIdentity"
			if options.PodIdentity {
				first = "pod-identity:GetCredentials"
			}
			a.wantAWS(map[string]int{first: 1, "sts:AssumeRole": 1, "secretsmanager:GetSecretValue": 1})
		})
	}
}

// Each identity makes one exchange for all its concurrent callers. Identities share nothing, not even the
// credentials of the first role.
func TestF8_OneExchangePerIdentity(t *testing.T) {
	a := startChain(t)
	a.setRole(awssim.Role{ARN: vaultRole, TrustPolicy: trustBoth("")}) // accepts any external id, so that shared credentials would work
	choices := []auth.IdentityOptions{
		{RoleARN: roleARN, AssumeRoleARN: vaultRole},
		{RoleARN: roleARN, AssumeRoleARN: vaultRole, ExternalID: "one"},
		{RoleARN: roleARN, AssumeRoleARN: vaultRole, ExternalID: "two"},
	}
	keys := map[string]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	retrieve := func(s *auth.Session) {
		all.Go(func() {
			c, err := s.Retrieve(t.Context())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			keys[c.AccessKeyID] = true
		})
	}
	for range 5 {
		for _, options := range choices {
			retrieve(a.chained(payment, options, auth.CredentialOptions{}))
		}
		retrieve(a.session(payment, map[string]string{audience: a.token(payment, awssim.Token{})}, auth.IdentityOptions{RoleARN: roleARN}, auth.CredentialOptions{}))
	}
	all.Wait()
	if len(keys) != len(choices)+1 {
		t.Errorf("%d identities have %d credentials", len(choices)+1, len(keys))
	}
	a.wantAWS(map[string]int{"sts:AssumeRoleWithWebIdentity": len(choices) + 1, "sts:AssumeRole": len(choices)})
}

func TestF7_ForgetDropsBothRoles(t *testing.T) {
	a := startChain(t)
	session := a.chained(payment, auth.IdentityOptions{RoleARN: roleARN, ExternalID: "of-payments"}, auth.CredentialOptions{})
	for range 2 {
		if _, err := session.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		session.Forget()
	}
	a.wantAWS(map[string]int{"sts:AssumeRoleWithWebIdentity": 2, "sts:AssumeRole": 2})
}

func TestI1_RealCauseInTheMessage_AssumeRole(t *testing.T) {
	const (
		fromPayment = "ServiceAccount payments/payment-sa cannot assume role " + vaultRole + " from role " + roleARN + " in ap-south-1: "
		fromPod     = "ServiceAccount payments/payment-sa cannot assume role " + vaultRole + " from the role of its Pod Identity association in ap-south-1: "
		denied      = "AccessDenied: User: arn:aws:sts::123456789012:assumed-role/"
		assume      = " is not authorized to perform: sts:AssumeRole on resource: " + vaultRole + " [id]"
		tag         = " is not authorized to perform: sts:TagSession on resource: " + vaultRole + " [id]"
		check       = " (check that vault-role exists, that a policy of payment-role allows sts:AssumeRole on it, and that the trust policy of vault-role allows the same to payment-role"
		checkPod    = " (check that vault-role exists, that a policy of the associated role allows sts:AssumeRole and sts:TagSession on it, and that the trust policy of vault-role allows the same to the associated role"
		byPayment   = fromPayment + denied + "payment-role/payments-payment-sa"
		byPod       = fromPod + denied + "pod-role/eks-prod-POD"
		withID      = ` with sts:ExternalId = "of-payments")`
	)
	set := func(roles ...awssim.Role) func(*account) {
		return func(a *account) {
			for _, r := range roles {
				if r.Name == "payment-role" {
					r.TrustPolicy = a.issuer.TrustPolicy("payments", "payment-sa")
				}
				a.setRole(r)
			}
		}
	}
	inject := func(f awssim.Fault) func(*account) {
		f.Service, f.Operation = "sts", "AssumeRole"
		return func(a *account) { a.aws.Inject(f) }
	}
	onlyAssume := []awssim.Document{awssim.AllowPolicy(vaultRole, "sts:AssumeRole")}
	for _, tt := range []struct {
		name       string
		pod        bool
		externalID string
		prepare    func(*account)
		kind       fault.Kind
		want       string
	}{
		{"the first role has no policy for it", false, "of-payments", set(awssim.Role{Name: "payment-role"}), fault.Credentials,
			byPayment + assume + check + withID},
		{"the second role trusts another account", false, "of-payments", set(awssim.Role{ARN: vaultRole, TrustPolicy: awssim.TrustOf("", "arn:aws:iam::999999999999:root")}), fault.Credentials,
			byPayment + assume + check + withID},
		{"another external id", false, "of-somebody", nil, fault.Credentials,
			byPayment + assume + check + ` with sts:ExternalId = "of-somebody")`},
		{"no external id", false, "", nil, fault.Credentials, byPayment + assume + check + "; if that policy requires sts:ExternalId, set externalId)"},
		{"Pod Identity without sts:TagSession in the first role", true, "of-payments",
			set(awssim.Role{Name: "pod-role", TrustPolicy: awssim.PodIdentityTrustPolicy, Policies: onlyAssume}), fault.Credentials,
			byPod + tag + checkPod + withID},
		{"Pod Identity without sts:TagSession in the trust", true, "of-payments",
			set(awssim.Role{ARN: vaultRole, TrustPolicy: awssim.Document(strings.Replace(string(trustBoth("of-payments")), `,"sts:TagSession"`, "", 1))}), fault.Credentials,
			byPod + tag + checkPod + withID},
		{"too many tags", true, "of-payments", inject(awssim.Fault{Code: "PackedPolicyTooLarge", Message: "Packed size of session tags consumes 112% of allotted space."}), fault.Credentials,
			fromPod + "PackedPolicyTooLarge: Packed size of session tags consumes 112% of allotted space [id] (the session tags of EKS Pod Identity count towards the size: disable them in the association)"},
		{"STS not active", false, "of-payments", inject(awssim.Fault{Code: "RegionDisabledException", Status: 403, Message: "Not active"}), fault.Credentials,
			fromPayment + "RegionDisabledException: Not active [id] (activate STS in this region in the role's account)"},
		{"STS returns 503", false, "of-payments", inject(awssim.Fault{Status: 503, Message: "Away"}), fault.Transient,
			fromPayment + "ServiceUnavailable: Away [id] (the kubelet retries automatically)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := startChain(t)
			if tt.prepare != nil {
				tt.prepare(a)
			}
			options := auth.IdentityOptions{RoleARN: roleARN, ExternalID: tt.externalID}
			if tt.pod {
				options.PodIdentity = true
			}
			c, err := a.chained(payment, options, auth.CredentialOptions{}).Retrieve(t.Context())
			if err == nil || c.HasKeys() {
				t.Fatalf("keys %t and error %v, want an error alone", c.HasKeys(), err)
			}
			wantError(t, podSessions.ReplaceAllError(err), tt.kind, tt.want)
		})
	}
}

// podSessions replaces the parts of an error that differ from run to run.
var podSessions = replacer{{agentIDs, "[id]"}, {regexp.MustCompile(`eks-prod-[0-9a-z-]+`), "eks-prod-POD"}}

type replacer []struct {
	pattern *regexp.Regexp
	by      string
}

// ReplaceAllError returns an error of the same kind as err, with the replaced text.
func (r replacer) ReplaceAllError(err error) error {
	text := err.Error()
	for _, p := range r {
		text = p.pattern.ReplaceAllString(text, p.by)
	}
	return &fault.Error{Kind: fault.KindOf(err), What: text}
}

// byHost sends calls to the simulator under the host names of AWS. A call of AssumeRoleWithWebIdentity names its
// region only in the host name.
type byHost struct{ aws string }

func (b byHost) Do(r *http.Request) (*http.Response, error) {
	target, err := url.Parse(b.aws)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Host = r.URL.Host // the signature covers it
	r.URL.Scheme, r.URL.Host = target.Scheme, target.Host
	return http.DefaultClient.Do(r)
}

// startRegions starts an account like startChain, with one STS per region.
func startRegions(t *testing.T) *account {
	t.Helper()
	t.Setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return startChain(t, func(c *auth.Config) { c.AWS.HTTPClient = byHost{os.Getenv("AWS_ENDPOINT_URL")} })
}

// STS in the second region stands in for the first at each step of the chain. The region that responded to
// one step is called first for the next.
func TestR12_STSInTheSecondRegion(t *testing.T) {
	both := auth.CredentialOptions{Regions: []string{region, secondRegion}}
	chain := auth.IdentityOptions{RoleARN: roleARN, AssumeRoleARN: vaultRole, ExternalID: "of-payments"}
	for _, tt := range []struct {
		name    string
		options auth.IdentityOptions
		fault   awssim.Fault // injected into STS of the first region
		calls   []string     // operation and region
		err     string       // empty: success
	}{
		{name: "healthy", options: chain, fault: awssim.Fault{Operation: "None"},
			calls: []string{"AssumeRoleWithWebIdentity ap-south-1", "AssumeRole ap-south-1"}},
		{name: "5xx", options: chain, fault: awssim.Fault{Status: 500},
			calls: []string{"AssumeRoleWithWebIdentity ap-south-1", "AssumeRoleWithWebIdentity eu-west-1", "AssumeRole eu-west-1"}},
		{name: "connection closed", options: chain, fault: awssim.Fault{Cut: true},
			calls: []string{"AssumeRoleWithWebIdentity ap-south-1", "AssumeRoleWithWebIdentity eu-west-1", "AssumeRole eu-west-1"}},
		{name: "hangs", options: chain, fault: awssim.Fault{Hang: true},
			calls: []string{"AssumeRoleWithWebIdentity ap-south-1", "AssumeRoleWithWebIdentity eu-west-1", "AssumeRole eu-west-1"}},
		{name: "fails in the second step", options: chain, fault: awssim.Fault{Operation: "AssumeRole", Status: 503},
			calls: []string{"AssumeRoleWithWebIdentity ap-south-1", "AssumeRole ap-south-1", "AssumeRole eu-west-1"}},
		{name: "refuses", options: chain, fault: awssim.Fault{Code: "AccessDenied", Status: 403},
			calls: []string{"AssumeRoleWithWebIdentity ap-south-1"}, err: "cannot assume role " + roleARN + " in ap-south-1: AccessDenied"},
		{name: "refuses the second step", options: chain, fault: awssim.Fault{Operation: "AssumeRole", Code: "AccessDenied", Status: 403},
			calls: []string{"AssumeRoleWithWebIdentity ap-south-1", "AssumeRole ap-south-1"}, err: "cannot assume role " + vaultRole + " from role " + roleARN + " in ap-south-1: AccessDenied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := startRegions(t)
			tt.fault.Service, tt.fault.Region = "sts", region
			a.aws.Inject(tt.fault)
			_, err := a.chained(payment, tt.options, both).Retrieve(t.Context())
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			var calls []string
			for _, call := range a.aws.CallLog() {
				calls = append(calls, call.Operation+" "+call.Region)
			}
			if !reflect.DeepEqual(calls, tt.calls) {
				t.Errorf("calls %q, want %q", calls, tt.calls)
			}
		})
	}
	t.Run("both unavailable", func(t *testing.T) {
		a := startRegions(t)
		a.aws.Inject(awssim.Fault{Service: "sts", Region: region, Status: 503, Message: "Away"})
		a.aws.Inject(awssim.Fault{Service: "sts", Region: secondRegion, Cut: true})
		_, err := a.chained(payment, chain, both).Retrieve(t.Context())
		if fault.KindOf(err) != fault.Transient {
			t.Errorf("error %v of kind %v", err, fault.KindOf(err))
		}
		for _, cause := range []string{"in ap-south-1: ServiceUnavailable: Away", "in eu-west-1: the connection was closed before a response"} {
			if !strings.Contains(fmt.Sprint(err), cause) {
				t.Errorf("error %v does not name the cause %q", err, cause)
			}
		}
	})
}

// Identities that differ in any field have different keys. A value of one field cannot imitate another field.
func TestF1_IdentityKeyHasEveryField(t *testing.T) {
	base := auth.Identity{Namespace: "n", ServiceAccount: "s", ServiceAccountUID: "u", RoleARN: "r"}
	seen := map[string]auth.Identity{base.Key(): base}
	fields := reflect.TypeFor[auth.Identity]()
	for i := range fields.NumField() {
		for _, text := range []string{"x", `x" "y`, " "} {
			id := base
			switch f := reflect.ValueOf(&id).Elem().Field(i); f.Kind() {
			case reflect.String:
				f.SetString(text)
			case reflect.Int:
				f.SetInt(int64(len(text)))
			default:
				t.Fatalf("field %s has a kind that this test does not support", fields.Field(i).Name)
			}
			if twin, taken := seen[id.Key()]; taken && twin != id {
				t.Errorf("%+v and %+v have the same key %s", twin, id, id.Key())
			}
			seen[id.Key()] = id
		}
	}
}
