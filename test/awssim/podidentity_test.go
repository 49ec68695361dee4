package awssim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/awssim"
)

const podRole = "arn:aws:iam::" + account + ":role/pod-role"

// startPods returns a bed with a role associated to the ServiceAccount payment/api.
func startPods(t *testing.T, trust awssim.Document, policies ...awssim.Document) *bed {
	t.Helper()
	b := start(t)
	b.addRole(t, awssim.Role{Name: "pod-role", TrustPolicy: trust, Policies: policies})
	err := b.AddPodIdentityAssociation(awssim.PodIdentityAssociation{Namespace: "payment", ServiceAccount: "api", RoleARN: podRole, ClusterName: "prod"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func podToken() awssim.Token {
	t := paymentToken()
	t.Audience = []string{"pods.eks.amazonaws.com"}
	return t
}

// fromAgent returns the SDK's client of the agent.
func (b *bed) fromAgent(token string) *endpointcreds.Provider {
	return endpointcreds.New(b.PodIdentityURL()+"/v1/credentials", func(o *endpointcreds.Options) {
		o.AuthorizationToken = token
		o.Retryer = aws.NopRetryer{}
		o.HTTPClient = wholeRequests(&http.Transport{DisableKeepAlives: true})
	})
}

func TestPodIdentitySession(t *testing.T) {
	resource := "arn:aws:secretsmanager:*:*:secret:db-??????"
	tagged := permissionDoc(`{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "` + resource + `", "Condition": {"StringEquals": {
		"aws:PrincipalTag/eks-cluster-name": "prod", "aws:PrincipalTag/kubernetes-namespace": "payment",
		"aws:PrincipalTag/kubernetes-service-account": "api", "aws:PrincipalTag/kubernetes-pod-name": "api-0", "aws:PrincipalTag/kubernetes-pod-uid": "uid-1"}}}`)
	b := startPods(t, awssim.PodIdentityTrustPolicy, tagged)
	want := podToken()
	want.PodUID = "uid-1"
	creds, err := b.fromAgent(b.token(t, want)).Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if creds.AccountID != account || !creds.CanExpire || time.Until(creds.Expires) < 5*time.Hour {
		t.Errorf("account %s, expires %v", creds.AccountID, creds.Expires)
	}
	provider := credentials.StaticCredentialsProvider{Value: creds}
	if err := getDB(t, b.secrets(provider)); err != nil {
		t.Errorf("the session lacks a tag: %v", err)
	}
	if got := b.CallLog()[0]; got.Service != "pod-identity" || got.Operation != "GetCredentials" || got.Object != "payment/api" || got.Status != 200 ||
		!strings.HasPrefix(got.Principal, "arn:aws:sts::123456789012:assumed-role/pod-role/eks-prod-api-0-") {
		t.Errorf("the call log has %+v", got)
	}

	want.PodUID = "uid-2"
	creds, err = b.fromAgent(b.token(t, want)).Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = getDB(t, b.secrets(credentials.StaticCredentialsProvider{Value: creds}))
	wantError(t, err, 400, "AccessDeniedException", "no identity-based policy")
}

func TestPodIdentityRefuses(t *testing.T) {
	noTags := awssim.Document(strings.Replace(string(awssim.PodIdentityTrustPolicy), `, "sts:TagSession"`, "", 1))
	otherSpace := awssim.Document(strings.Replace(string(awssim.PodIdentityTrustPolicy), `"Action"`,
		`"Condition": {"StringEquals": {"aws:RequestTag/kubernetes-namespace": "default"}}, "Action"`, 1))
	for name, tc := range map[string]struct {
		trust  awssim.Document // PodIdentityTrustPolicy when empty
		change func(*awssim.Token)
		raw    string // sent instead of a token, when change is nil and trust empty
		status int
		part   string
	}{
		"no token":       {raw: "", status: 400, part: "Service account token cannot be empty"},
		"not a token":    {raw: "garbage", status: 400, part: "Service account token cannot be parsed"},
		"expired":        {change: func(t *awssim.Token) { t.TTL = -time.Minute }, status: 400, part: "token is expired"},
		"token for STS":  {change: func(t *awssim.Token) { t.Audience = nil }, status: 400, part: "(InvalidTokenException)"},
		"forged":         {change: func(t *awssim.Token) { t.KeyID = "nobody" }, status: 400, part: "(InvalidTokenException)"},
		"other issuer":   {change: func(t *awssim.Token) { t.Claims = map[string]any{"iss": "https://x.example.com"} }, status: 400, part: "(InvalidTokenException)"},
		"no pod":         {change: func(t *awssim.Token) { t.Pod = "" }, status: 400, part: "not bound to a pod"},
		"no association": {change: func(t *awssim.Token) { t.ServiceAccount = "other" }, status: 404, part: "(ResourceNotFoundException): No association found"},
		"trust without tags": {trust: noTags, change: func(*awssim.Token) {}, status: 400,
			part: "(AccessDeniedException): Unauthorized Exception! EKS does not have permissions to assume the associated role., fault: client"},
		"trust for another namespace": {trust: otherSpace, change: func(*awssim.Token) {}, status: 400, part: "(AccessDeniedException)"},
	} {
		t.Run(name, func(t *testing.T) {
			trust := tc.trust
			if trust == "" {
				trust = awssim.PodIdentityTrustPolicy
			}
			b := startPods(t, trust)
			token := tc.raw
			if tc.change != nil {
				want := podToken()
				tc.change(&want)
				token = b.token(t, want)
			}
			status, text := b.callAgent(t, token)
			if status != tc.status || !strings.Contains(text, tc.part) {
				t.Errorf("%d %q, want %d with %q", status, text, tc.status, tc.part)
			}
			if token != "" && strings.Contains(text, token) {
				t.Error("the response repeats the token")
			}
		})
	}
}

// A pod's session tags are transitive: when its role assumes another role, the next session has them too. Both
// policies must allow sts:TagSession.
func TestA12_PodIdentityTagsAreTransitive(t *testing.T) {
	const target = "arn:aws:iam::" + account + ":role/target"
	assume := []string{"sts:AssumeRole"}
	both := []string{"sts:AssumeRole", "sts:TagSession"}
	trust := awssim.TrustOf("", "arn:aws:iam::"+account+":root")
	withoutTags := awssim.Document(strings.Replace(string(trust), `,"sts:TagSession"`, "", 1))
	tagged := permissionDoc(`{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/kubernetes-pod-name": "api-0"}}}`)
	for name, tc := range map[string]struct {
		own   []string
		trust awssim.Document
		tags  []types.Tag
		code  string
	}{
		"both policies":     {own: both, trust: trust},
		"no own permission": {own: assume, trust: trust, code: "AccessDenied"},
		"no trust":          {own: both, trust: withoutTags, code: "AccessDenied"},
		"a tag set twice":   {own: both, trust: trust, tags: []types.Tag{{Key: aws.String("kubernetes-pod-name"), Value: aws.String("x")}}, code: "InvalidParameterValue"},
	} {
		t.Run(name, func(t *testing.T) {
			b := startPods(t, awssim.PodIdentityTrustPolicy, awssim.AllowPolicy(target, tc.own...))
			b.addRole(t, awssim.Role{ARN: target, TrustPolicy: tc.trust, Policies: []awssim.Document{tagged}})
			client := sts.NewFromConfig(b.config(b.fromAgent(b.token(t, podToken())), nil))
			out, err := client.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(target), RoleSessionName: aws.String("chained"), Tags: tc.tags})
			if tc.code != "" {
				status := map[string]int{"AccessDenied": 403, "InvalidParameterValue": 400}[tc.code]
				wantError(t, err, status, tc.code, map[string]string{"AccessDenied": "sts:TagSession"}[tc.code])
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := getDB(t, b.secrets(static(out.Credentials))); err != nil {
				t.Errorf("the chained session lacks the pod's tag: %v", err)
			}
		})
	}
}

func (b *bed) callAgent(t *testing.T, token string) (status int, text string) {
	t.Helper()
	r := mustRequest(t, http.MethodGet, b.PodIdentityURL()+"/v1/credentials")
	r.Header.Set("Authorization", token)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestPodIdentityResponseHasTheAgentsFields(t *testing.T) {
	b := startPods(t, awssim.PodIdentityTrustPolicy)
	status, text := b.callAgent(t, b.token(t, podToken()))
	var fields map[string]string
	if err := json.Unmarshal([]byte(text), &fields); err != nil || status != 200 {
		t.Fatalf("%d %v", status, err)
	}
	for name := range fields {
		fields[name] = "set"
	}
	want := map[string]string{"AccessKeyId": "set", "SecretAccessKey": "set", "Token": "set", "AccountId": "set", "Expiration": "set"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Error(diff)
	}
}

func TestPodIdentityFaults(t *testing.T) {
	b := startPods(t, awssim.PodIdentityTrustPolicy)
	token := b.token(t, podToken())
	b.Inject(awssim.Fault{Service: "pod-identity", Operation: "GetCredentials", Object: "payment/api", Status: 503, Code: "ServiceUnavailableException", Count: 1})
	if status, text := b.callAgent(t, token); status != 503 || !strings.Contains(text, "(ServiceUnavailableException)") || !strings.Contains(text, "fault: server") {
		t.Errorf("%d %q", status, text)
	}
	if status, _ := b.callAgent(t, token); status != 200 {
		t.Errorf("after the fault: %d", status)
	}
	if n := b.Calls()["pod-identity:GetCredentials"]; n != 2 {
		t.Errorf("%d calls counted, want 2", n)
	}
}

func TestNoPodIdentityAgent(t *testing.T) {
	b := start(t, func(c *awssim.Config) { c.PodIdentityListen = "-" })
	if b.PodIdentityURL() != "" {
		t.Errorf("the agent is at %s", b.PodIdentityURL())
	}
}
