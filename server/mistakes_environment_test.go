package server_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// account creates a ServiceAccount and a role for this mount only.
func account(name string, trust func(*rig.Rig) awssim.Document, policies ...awssim.Document) func(*testing.T, *rig.Rig, *rig.Mount) {
	return func(t *testing.T, r *rig.Rig, m *rig.Mount) {
		t.Helper()
		m.ServiceAccount = name
		r.Kube.SetServiceAccount(rig.Namespace, name, map[string]string{rig.RoleAnnotation: "arn:aws:iam::123456789012:role/" + name})
		if trust == nil {
			trust = func(r *rig.Rig) awssim.Document { return r.Issuer.TrustPolicy(rig.Namespace, name) }
		}
		if err := r.AWS.AddRole(awssim.Role{Name: name, TrustPolicy: trust(r), Policies: policies}); err != nil {
			t.Fatal(err)
		}
	}
}

// inject makes AWS fail for this mount.
func inject(f awssim.Fault) func(*testing.T, *rig.Rig, *rig.Mount) {
	return func(t *testing.T, r *rig.Rig, _ *rig.Mount) {
		t.Helper()
		t.Cleanup(r.AWS.Inject(f))
	}
}

const keyParameter = "- {objectName: /prod/key, objectType: ssmparameter}"

func permissionMistakes() chapter {
	const secretARN = "arn:aws:secretsmanager:ap-south-1:123456789012:secret:"
	return chapter{"The role's permission policy", []mistake{
		{title: "The role has no policy", given: account("no-policy", nil)},
		{title: "The policy allows another secret", given: account("other-secret", nil, awssim.AllowPolicy(secretARN+"prod/other-??????", "secretsmanager:GetSecretValue"))},
		{title: "The policy's ARN lacks the six characters at the end", given: account("no-suffix", nil, awssim.AllowPolicy(secretARN+"prod/db", "secretsmanager:GetSecretValue"))},
		{title: "The policy allows only describing", given: account("describe-only", nil, awssim.AllowPolicy("*", "secretsmanager:DescribeSecret", "secretsmanager:ListSecrets"))},
		{title: "The policy denies the secret", given: account("denied", nil, awssim.AllowPolicy("*", "secretsmanager:*"), awssim.DenyPolicy(secretARN+"prod/*", "secretsmanager:GetSecretValue"))},
		{title: "The policy allows only the secret of the primary region", parameters: withFailover, given: account("one-region", nil, awssim.AllowPolicy(secretARN+"*", "secretsmanager:GetSecretValue"))},
		{title: "The policy allows only the secret of the failover region", parameters: withFailover, given: account("other-region", nil, awssim.AllowPolicy("arn:aws:secretsmanager:eu-west-1:123456789012:secret:*", "secretsmanager:GetSecretValue"))},
		{title: "The policy allows secrets, and a parameter is mounted", objects: keyParameter, given: account("secrets-only", nil, rig.ReadSecrets)},
		{title: "The policy allows ssm:GetParameter, not ssm:GetParameters", objects: keyParameter, given: account("get-parameter", nil, awssim.AllowPolicy("*", "ssm:GetParameter"))},
		{title: "The policy allows another path of parameters", objects: keyParameter, given: account("other-path", nil, awssim.AllowPolicy("arn:aws:ssm:ap-south-1:123456789012:parameter/stage/*", "ssm:GetParameters"))},
		{title: "The role may not use the secret's KMS key", given: inject(awssim.Fault{Service: "secretsmanager", Code: "AccessDeniedException", Message: "Access to KMS is not allowed"})},
		{title: "The secret's KMS key is disabled", given: inject(awssim.Fault{Service: "secretsmanager", Code: "DecryptionFailure", Message: "Secrets Manager can't decrypt the protected secret text using the provided KMS key."})},
		{title: "The role may not use the parameter's KMS key", objects: keyParameter, given: inject(awssim.Fault{
			Service: "ssm", Code: "AccessDeniedException",
			Message: "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.",
		})},
	}}
}

func trustMistakes() chapter {
	replaced := func(name, old, by string) func(*rig.Rig) awssim.Document {
		return func(r *rig.Rig) awssim.Document {
			return awssim.Document(strings.ReplaceAll(string(r.Issuer.TrustPolicy(rig.Namespace, name)), old, by))
		}
	}
	return chapter{"The role's trust policy", []mistake{
		{title: "The role trusts another ServiceAccount", given: account("untrusted", func(r *rig.Rig) awssim.Document { return r.Issuer.TrustPolicy(rig.Namespace, "somebody-else") })},
		{title: "The role trusts the ServiceAccount of another namespace", given: account("other-namespace", func(r *rig.Rig) awssim.Document { return r.Issuer.TrustPolicy("staging", "other-namespace") })},
		{title: "The role trusts another audience", given: account("other-audience", replaced("other-audience", `:aud":"sts.amazonaws.com"`, `:aud":"kubernetes.default.svc"`))},
		{title: "The role's trust policy allows sts:AssumeRole, not sts:AssumeRoleWithWebIdentity", given: account("assume-role", replaced("assume-role", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRole"))},
		{title: "The role trusts another cluster's issuer", given: account("other-cluster", replaced("other-cluster", "/issuer/1", "/issuer/2"))},
		{title: "The role trusts EKS Pod Identity", given: account("pod-identity", func(*rig.Rig) awssim.Document { return awssim.PodIdentityTrustPolicy })},
		{title: "The role's name is misspelt in roleArn", parameters: map[string]string{"roleArn": "arn:aws:iam::123456789012:role/payment-rolle"}},
		{title: "The role is in an account without the cluster's OIDC provider", parameters: map[string]string{"roleArn": "arn:aws:iam::210987654321:role/payment-role"}},
		{title: "STS is not activated in the region", given: inject(awssim.Fault{
			Service: "sts", Code: "RegionDisabledException", Status: 403,
			Message: "STS is not activated in this region for account:123456789012. Your account administrator can activate STS in this region using the IAM Console.",
		})},
		{title: "The OIDC provider has another audience", ownRig: &rig.Options{}, given: func(t *testing.T, r *rig.Rig, _ *rig.Mount) {
			t.Helper()
			if err := r.AWS.AddOIDCProvider(awssim.OIDCProvider{Issuer: r.Issuer.URL(), ClientIDs: []string{"kubernetes.default.svc"}}); err != nil {
				t.Fatal(err)
			}
		}},
		{title: "The cluster signs with a key that its issuer does not publish", given: func(t *testing.T, r *rig.Rig, m *rig.Mount) {
			t.Helper()
			other, err := r.AWS.NewIssuer() // another key with the cluster's issuer name
			if err != nil {
				t.Fatal(err)
			}
			token, err := other.Token(awssim.Token{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, Claims: map[string]any{"iss": r.Issuer.URL()}})
			if err != nil {
				t.Fatal(err)
			}
			m.Tokens = map[string]string{"sts.amazonaws.com": token}
		}},
		{title: "AWS cannot reach the issuer's keys", given: inject(awssim.Fault{Service: "sts", Code: "IDPCommunicationError", Message: "Couldn't retrieve verification key from your identity provider"})},
		{title: "The clock of the cluster is behind", given: inject(awssim.Fault{Service: "sts", Code: "ExpiredTokenException", Message: "Token expired: current date/time 1 must be before the expiration date/time 0"})},
	}}
}

func accountMistakes() chapter {
	annotated := func(name, role string) func(*testing.T, *rig.Rig, *rig.Mount) {
		return func(_ *testing.T, r *rig.Rig, m *rig.Mount) {
			m.ServiceAccount = name
			annotations := map[string]string{}
			if role != "" {
				annotations[rig.RoleAnnotation] = role
			}
			r.Kube.SetServiceAccount(rig.Namespace, name, annotations)
		}
	}
	return chapter{"The ServiceAccount", []mistake{
		{title: "The ServiceAccount has no annotation", given: annotated("plain", "")},
		{title: "The annotation is a role's name", given: annotated("name-only", "payment-role")},
		{title: "The annotation has a placeholder", given: annotated("placeholder", "arn:aws:iam::ACCOUNT_ID:role/payment-role")},
		{title: "The ServiceAccount was deleted", mount: rig.Mount{ServiceAccount: "deleted"}},
		{title: "The pod runs as ServiceAccount default", given: annotated("default", "")},
	}}
}

func clusterMistakes() chapter {
	token := func(change func(*awssim.Token)) func(*testing.T, *rig.Rig, *rig.Mount) {
		return func(_ *testing.T, r *rig.Rig, m *rig.Mount) {
			token := awssim.Token{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, Node: rig.Node}
			change(&token)
			m.Tokens = map[string]string{"sts.amazonaws.com": r.Token(token)}
		}
	}
	tokens := func(m map[string]string) rig.Mount { return rig.Mount{Tokens: m} }
	refused := func(resource string, status int) func(*testing.T, *rig.Rig, *rig.Mount) {
		return func(t *testing.T, r *rig.Rig, m *rig.Mount) {
			if resource == "serviceaccounts" {
				m.ServiceAccount = "new-sa" // the provider caches the role of a known ServiceAccount
			}
			r.Kube.Refuse(resource, status)
			t.Cleanup(func() { r.Kube.Refuse(resource, 0) })
		}
	}
	nowhere := map[string]string{"region": ""}
	return chapter{"The CSIDriver object and the cluster", []mistake{
		{title: "podInfoOnMount is not set", attributes: func(a map[string]string) {
			maps.DeleteFunc(a, func(key, _ string) bool {
				return strings.Contains(key, "/pod.") || strings.HasSuffix(key, "/serviceAccount.name")
			})
		}},
		{title: "tokenRequests is not set", mount: tokens(map[string]string{})},
		{title: "tokenRequests has only another audience", mount: tokens(map[string]string{"vault": "a.b.c"}), same: "tokenRequests is not set"},
		{title: "tokenRequests has only the audience of Pod Identity", mount: tokens(map[string]string{"pods.eks.amazonaws.com": "a.b.c", "vault": "a.b.c"}), same: "tokenRequests is not set"},
		{title: "The token is not a JWT", mount: tokens(map[string]string{"sts.amazonaws.com": "opaque"})},
		{title: "The token belongs to another ServiceAccount", given: token(func(t *awssim.Token) { t.ServiceAccount = "other-sa" })},
		{title: "The token has expired: the node's clock is ahead", given: token(func(t *awssim.Token) { t.TTL = -time.Minute })},
		{title: "The provider may not read ServiceAccounts", given: refused("serviceaccounts", 403)},
		{title: "The API server is down", given: refused("serviceaccounts", 503)},
		{title: "No region anywhere: the node has no label", parameters: nowhere, given: func(t *testing.T, r *rig.Rig, m *rig.Mount) {
			t.Helper()
			r.Kube.SetNode("bare-metal-7", map[string]string{})
			token(func(t *awssim.Token) { t.Node = "bare-metal-7" })(t, r, m)
		}},
		{title: "No region anywhere: the provider may not read nodes", parameters: nowhere, given: refused("nodes", 403)},
		{title: "No region anywhere: the token names no node (Kubernetes before 1.29)", parameters: nowhere, given: token(func(t *awssim.Token) { t.Node = "" })},
		{title: "No region anywhere: the node is gone", parameters: nowhere, given: token(func(t *awssim.Token) { t.Node = "node-9" })},
		{title: "Another program calls the socket", mount: rig.Mount{Permission: "rw-r--r--"}},
	}}
}

func networkMistakes() chapter {
	var large strings.Builder
	for i := range 3 {
		fmt.Fprintf(&large, "- {objectName: prod/db, objectType: secretsmanager, objectAlias: copy-%d}\n", i)
	}
	return chapter{"The network, AWS, and the provider's own settings", []mistake{
		{title: "The endpoint does not respond", given: inject(awssim.Fault{Service: "secretsmanager", Hang: true})},
		{title: "The connection is cut", given: inject(awssim.Fault{Service: "secretsmanager", Cut: true})},
		{title: "The endpoint refuses connections", ownRig: &rig.Options{Endpoint: "http://127.0.0.1:1"}},
		{title: "The endpoint's host name is unknown", ownRig: &rig.Options{Endpoint: "http://sts.invalid"}},
		{title: "A proxy breaks TLS, and AWS_CA_BUNDLE does not know it", ownRig: &rig.Options{NoCABundle: true}},
		{title: "AWS has an outage", given: inject(awssim.Fault{Service: "secretsmanager", Status: 500, Message: "An internal error occurred"})},
		{title: "AWS has an outage in both regions", parameters: withFailover, given: inject(awssim.Fault{Service: "secretsmanager", Status: 500, Message: "An internal error occurred"})},
		{title: "AWS has an outage in the primary region, and the failover region lacks the secret", objects: secretNamed("prod/text"), parameters: withFailover, given: inject(awssim.Fault{Region: rig.Region, Status: 503, Message: "Service is unavailable"})},
		{title: "STS has an outage", given: inject(awssim.Fault{Service: "sts", Status: 503, Message: "Service is unavailable"})},
		{title: "AWS throttles", ownRig: &rig.Options{}, given: inject(awssim.Fault{Service: "secretsmanager", Code: "ThrottlingException", Message: "Rate exceeded"})},
		{title: "The volume is too large", objects: large.String(), ownRig: &rig.Options{MaxResponse: 100}},
	}}
}
