package auth_test

import (
	"net/http"
	"strings"
	"testing"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/fault"
)

const roleAnnotation = "eks.amazonaws.com/role-arn"

// identify identifies the pod payment with a valid token and this parameter roleArn.
func (b *testbed) identify(roleParameter string) (auth.Identity, error) {
	b.t.Helper()
	id, _, err := b.Identify(b.t.Context(), payment, tokensOf(b.t, jwt(b.t, paymentClaims(nil))), auth.IdentityOptions{RoleARN: roleParameter})
	return id, err
}

func TestK14_RoleFromAnnotation(t *testing.T) {
	b := start(t, nil)
	b.kube.SetServiceAccount("payments", "payment-sa", map[string]string{roleAnnotation: roleARN, "other": "x"})
	b.kube.SetServiceAccount("payments", "other", map[string]string{roleAnnotation: "arn:aws:iam::123456789012:role/other"})
	b.kube.SetServiceAccount("other", "payment-sa", map[string]string{roleAnnotation: "arn:aws:iam::123456789012:role/other"})
	id, err := b.identify("")
	if err != nil {
		t.Fatal(err)
	}
	if id.RoleARN != roleARN {
		t.Errorf("role %s, want %s", id.RoleARN, roleARN)
	}
	b.wantKube(map[string]int{"GET serviceaccounts": 1})
}

// The parameter roleArn wins, and needs no call and no permission.
func TestF3_ParameterBeforeAnnotation(t *testing.T) {
	b := start(t, nil)
	b.kube.SetServiceAccount("payments", "payment-sa", map[string]string{roleAnnotation: roleARN})
	const other = "arn:aws-cn:iam::123456789012:role/path/other"
	id, err := b.identify(other)
	if err != nil {
		t.Fatal(err)
	}
	if id.RoleARN != other {
		t.Errorf("role %s, want %s", id.RoleARN, other)
	}
	b.wantKube(map[string]int{})
}

// A bad token is refused before any call to the API server.
func TestF2_BadTokenIsRefusedFirst(t *testing.T) {
	b := start(t, nil)
	if _, _, err := b.Identify(t.Context(), payment, tokensOf(t, "x"), auth.IdentityOptions{}); err == nil {
		t.Error("a bad token was accepted")
	}
	b.wantKube(map[string]int{})
}

func TestI1_RealCauseInTheMessage_Role(t *testing.T) {
	const (
		instead = ", or set the parameter roleArn of the SecretProviderClass, which needs no such permission)"
		none    = "no IAM role for ServiceAccount payments/payment-sa: it has no annotation eks.amazonaws.com/role-arn " +
			"(kubectl annotate serviceaccount -n payments payment-sa eks.amazonaws.com/role-arn=ROLE_ARN, or set roleArn in the SecretProviderClass)"
		cannot = "cannot read ServiceAccount payments/payment-sa: "
	)
	notARole := func(quoted string) string {
		return "no usable IAM role for ServiceAccount payments/payment-sa: its annotation eks.amazonaws.com/role-arn is " + quoted +
			", which is not the ARN of an IAM role (set it to an ARN such as arn:aws:iam::123456789012:role/payment-role)"
	}
	annotated := func(role string) func(*testbed) {
		return func(b *testbed) {
			b.kube.SetServiceAccount("payments", "payment-sa", map[string]string{roleAnnotation: role})
		}
	}
	refusing := func(status int) func(*testbed) {
		return func(b *testbed) {
			annotated(roleARN)(b)
			b.kube.Refuse("serviceaccounts", status)
		}
	}
	for _, tt := range []struct {
		name    string
		prepare func(*testbed)
		kind    fault.Kind
		want    string
	}{
		{"no annotation", func(b *testbed) { b.kube.SetServiceAccount("payments", "payment-sa", nil) }, fault.Identity, none},
		{"another annotation", func(b *testbed) {
			b.kube.SetServiceAccount("payments", "payment-sa", map[string]string{"eks.amazonaws.com/role": roleARN})
		}, fault.Identity, none},
		{"empty annotation", annotated(""), fault.Identity, none},
		{"a name", annotated("payment-role"), fault.Identity, notARole(`"payment-role"`)},
		{"a user", annotated("arn:aws:iam::123456789012:user/u"), fault.Identity, notARole(`"arn:aws:iam::123456789012:user/u"`)},
		{"a line break", annotated(roleARN + "\n"), fault.Identity, notARole(`"arn:aws:iam::123456789012:role/payment-role\n"`)},
		{"no such ServiceAccount", func(*testbed) {}, fault.Identity, cannot + "it does not exist"},
		{"forbidden", refusing(http.StatusForbidden), fault.Identity,
			cannot + "the API server does not allow the provider to read it (allow the provider's ServiceAccount to get serviceaccounts" + instead},
		{"API server returns 503", refusing(http.StatusServiceUnavailable), fault.Transient,
			cannot + "the API server does not respond: the server is currently unable to handle the request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, nil)
			tt.prepare(b)
			id, err := b.identify("")
			wantError(t, err, tt.kind, tt.want)
			if id != (auth.Identity{}) {
				t.Errorf("identity %v beside an error", id)
			}
			b.wantKube(map[string]int{"GET serviceaccounts": 1})
		})
	}
}

func TestI1_RealCauseInTheMessage_APIServerUnreachable(t *testing.T) {
	b := start(t, nil)
	b.kube.Close()
	_, err := b.identify("")
	if got := fault.KindOf(err); got != fault.Transient {
		t.Errorf("kind %v, want %v", got, fault.Transient)
	}
	if err == nil || !strings.HasPrefix(err.Error(), "cannot read ServiceAccount payments/payment-sa: the API server does not respond: ") || !strings.HasSuffix(err.Error(), "connection refused") {
		t.Errorf("error %v, want one that says that the API server refuses connections", err)
	}
}

// The names come from a request and from an unverified token.
func TestT34_NamesWithPathsAreNotRequested(t *testing.T) {
	for _, pod := range []auth.Pod{
		{Namespace: "payments", ServiceAccount: "../../kube-system/secrets/token"}, {Namespace: "..", ServiceAccount: "x"},
		{Namespace: "payments", ServiceAccount: "a/token"}, {Namespace: "a%2fb", ServiceAccount: "x"}, {Namespace: "payments", ServiceAccount: "."},
	} {
		b := start(t, nil)
		token := jwt(t, paymentClaims(claims{"sub": "system:serviceaccount:" + pod.Namespace + ":" + pod.ServiceAccount}))
		_, _, err := b.Identify(t.Context(), pod, tokensOf(t, token), auth.IdentityOptions{})
		wantError(t, err, fault.Identity, "cannot read ServiceAccount "+pod.Namespace+"/"+pod.ServiceAccount+": it does not exist")
		b.wantKube(map[string]int{})

		_, err = b.NodeRegion(t.Context(), tokensOf(t, jwt(t, paymentClaims(claims{"kubernetes.io": claims{"node": claims{"name": "../namespaces/" + pod.ServiceAccount}}}))))
		wantError(t, err, fault.Identity, "no AWS region: cannot read node ../namespaces/"+pod.ServiceAccount+": it does not exist")
		b.wantKube(map[string]int{})
	}
}

const regionLabel = "topology.kubernetes.io/region"

func (b *testbed) setNode(name, region string) {
	b.kube.SetNode(name, map[string]string{regionLabel: region, "kubernetes.io/os": "linux"})
}

func goodTokens(t testing.TB) auth.Tokens { return tokensOf(t, jwt(t, paymentClaims(nil))) }

func TestK9_RegionFromNodeLabel(t *testing.T) {
	for _, tt := range []struct{ name, configured, want string }{
		{"node in the token", "", "eu-west-1"},
		{"node in the configuration", "node-2", "eu-west-2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, nil, func(cfg *auth.Config) { cfg.NodeName = tt.configured })
			b.setNode("node-1", "eu-west-1")
			b.setNode("node-2", "eu-west-2")
			for range 3 { // the region is read once
				got, err := b.NodeRegion(t.Context(), goodTokens(t))
				if err != nil || got != tt.want {
					t.Fatalf("region %q and error %v, want %s", got, err, tt.want)
				}
			}
			b.wantKube(map[string]int{"GET nodes": 1})
		})
	}
}

// A failed read is repeated at the next call.
func TestK9_FailureIsNotCached(t *testing.T) {
	b := start(t, nil)
	if _, err := b.NodeRegion(t.Context(), goodTokens(t)); err == nil {
		t.Fatal("a node that does not exist has a region")
	}
	b.setNode("node-1", "")
	if _, err := b.NodeRegion(t.Context(), goodTokens(t)); err == nil {
		t.Fatal("an empty label gave a region")
	}
	b.setNode("node-1", "eu-west-1")
	if got, err := b.NodeRegion(t.Context(), goodTokens(t)); err != nil || got != "eu-west-1" {
		t.Errorf("region %q and error %v, want eu-west-1", got, err)
	}
	b.wantKube(map[string]int{"GET nodes": 3})
}

func TestI1_RealCauseInTheMessage_Region(t *testing.T) {
	const (
		set     = "set the parameter region of the SecretProviderClass, or AWS_REGION of the provider"
		neither = "no AWS region: neither the SecretProviderClass nor the provider sets one, and "
	)
	noNode := tokensOf(t, jwt(t, paymentClaims(claims{"kubernetes.io": nil})))
	for _, tt := range []struct {
		name    string
		tokens  auth.Tokens
		prepare func(*testbed)
		kind    fault.Kind
		want    string
		calls   int
	}{
		{"no node known", noNode, func(*testbed) {}, fault.Class, neither + "the provider does not know its node (" + set + " or its --node-name)", 0},
		{"no tokens", nil, func(*testbed) {}, fault.Class, neither + "the provider does not know its node (" + set + " or its --node-name)", 0},
		{"invalid token", tokensOf(t, "a.b.c"), func(*testbed) {}, fault.Class, neither + "the provider does not know its node (" + set + " or its --node-name)", 0},
		{"no label", goodTokens(t), func(b *testbed) { b.kube.SetNode("node-1", nil) }, fault.Class,
			neither + "node node-1 has no label topology.kubernetes.io/region (" + set + ")", 1},
		{"no such node", goodTokens(t), func(*testbed) {}, fault.Identity, "no AWS region: cannot read node node-1: it does not exist", 1},
		{"forbidden", goodTokens(t), func(b *testbed) { b.kube.Refuse("nodes", http.StatusForbidden) }, fault.Identity,
			"no AWS region: cannot read node node-1: the API server does not allow the provider to read it (allow the provider's ServiceAccount to get nodes, or " + set + ")", 1},
		{"API server returns 503", goodTokens(t), func(b *testbed) { b.kube.Refuse("nodes", http.StatusServiceUnavailable) }, fault.Transient,
			"no AWS region: cannot read node node-1: the API server does not respond: the server is currently unable to handle the request", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, nil)
			tt.prepare(b)
			got, err := b.NodeRegion(t.Context(), tt.tokens)
			wantError(t, err, tt.kind, tt.want)
			if got != "" {
				t.Errorf("region %q beside an error", got)
			}
			if n := b.kube.Calls()["GET nodes"]; n != tt.calls {
				t.Errorf("%d calls for nodes, want %d", n, tt.calls)
			}
		})
	}
}

func TestNew_NamesWhatIsMissing(t *testing.T) {
	if _, err := auth.New(auth.Config{}); err == nil || err.Error() != "auth: no Kubernetes client" {
		t.Errorf("error %v, want one that names the client", err)
	}
}
