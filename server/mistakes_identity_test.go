package server_test

import (
	"strings"
	"testing"
	"time"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

const (
	vaultARN = "arn:aws:iam::210987654321:role/vault-role" // of another account
	noAgent  = "http://127.0.0.1:1"                        // refuses connections
)

// allowVault allows assuming vault-role with the session tags of Pod Identity.
var allowVault = awssim.AllowPolicy(vaultARN, "sts:AssumeRole", "sts:TagSession")

// setRole creates or replaces a role.
func setRole(t *testing.T, r *rig.Rig, role awssim.Role) {
	t.Helper()
	if err := r.AWS.SetRole(role); err != nil {
		t.Fatal(err)
	}
}

// all combines several preparations.
func all(givens ...func(*testing.T, *rig.Rig, *rig.Mount)) func(*testing.T, *rig.Rig, *rig.Mount) {
	return func(t *testing.T, r *rig.Rig, m *rig.Mount) {
		t.Helper()
		for _, given := range givens {
			given(t, r, m)
		}
	}
}

// associated creates a ServiceAccount with a Pod Identity association for this mount only.
func associated(name string, policies ...awssim.Document) func(*testing.T, *rig.Rig, *rig.Mount) {
	return func(_ *testing.T, r *rig.Rig, m *rig.Mount) {
		m.ServiceAccount = name
		r.Associate(name, policies...)
	}
}

// vault replaces vault-role by a role that may read nothing.
func vault(trust awssim.Document) func(*testing.T, *rig.Rig, *rig.Mount) {
	return func(t *testing.T, r *rig.Rig, _ *rig.Mount) {
		t.Helper()
		setRole(t, r, awssim.Role{ARN: vaultARN, TrustPolicy: trust})
	}
}

func withoutTagSession(trust awssim.Document) awssim.Document {
	return awssim.Document(strings.NewReplacer(`,"sts:TagSession"`, "", `, "sts:TagSession"`, "").Replace(string(trust)))
}

func podIdentityMistakes() chapter {
	on := map[string]string{"usePodIdentity": "true"}
	trusting := func(name string, trust func(*rig.Rig) awssim.Document) func(*testing.T, *rig.Rig, *rig.Mount) {
		return all(associated(name), func(t *testing.T, r *rig.Rig, _ *rig.Mount) {
			t.Helper()
			setRole(t, r, awssim.Role{Name: name, TrustPolicy: trust(r)})
		})
	}
	return chapter{"EKS Pod Identity", []mistake{
		{title: "Pod Identity: the ServiceAccount has no association", parameters: on},
		{title: "Pod Identity: tokenRequests has only the audience of STS", parameters: on, mount: rig.Mount{Tokens: map[string]string{"sts.amazonaws.com": "a.b.c"}}},
		{title: "Pod Identity: the token has expired", parameters: on, same: "The token has expired: the node's clock is ahead", given: func(_ *testing.T, r *rig.Rig, m *rig.Mount) {
			m.Tokens = map[string]string{"pods.eks.amazonaws.com": r.Token(awssim.Token{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, Pod: "payment-7d4b9", PodUID: "uid-of-payment-7d4b9", TTL: -time.Minute})}
		}},
		{title: "Pod Identity: the token belongs to another pod", parameters: on, given: func(_ *testing.T, r *rig.Rig, m *rig.Mount) {
			m.Tokens = map[string]string{"pods.eks.amazonaws.com": r.Token(awssim.Token{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, Pod: "other", PodUID: "uid-of-other"})}
		}, ownRig: &rig.Options{Now: time.Now}}, // with a clock the pod's uid is the same in each run
		{title: "Pod Identity: the token has the audience of STS", parameters: on, given: func(_ *testing.T, r *rig.Rig, m *rig.Mount) {
			m.Tokens = map[string]string{"pods.eks.amazonaws.com": r.Token(awssim.Token{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, Pod: "payment-7d4b9", PodUID: "uid-of-payment-7d4b9"})}
		}, ownRig: &rig.Options{Now: time.Now}},
		{title: "Pod Identity: the token of the secrets-store-sync-controller belongs to no pod", parameters: on, given: func(_ *testing.T, r *rig.Rig, m *rig.Mount) {
			m.Tokens = map[string]string{"pods.eks.amazonaws.com": r.Token(awssim.Token{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, Audience: []string{"pods.eks.amazonaws.com"}})}
		}},
		{title: "Pod Identity: the pod has no uid", parameters: on, attributes: func(a map[string]string) { delete(a, "csi.storage.k8s.io/pod.uid") }},
		{title: "Pod Identity: the role trusts the cluster's issuer", parameters: on, given: trusting("issuer-role", func(r *rig.Rig) awssim.Document { return r.Issuer.TrustPolicy(rig.Namespace, "issuer-role") })},
		{title: "Pod Identity: the trust policy lacks sts:TagSession", parameters: on, given: trusting("untagged", func(*rig.Rig) awssim.Document { return withoutTagSession(awssim.PodIdentityTrustPolicy) })},
		{title: "Pod Identity: the role has no policy", parameters: on, given: associated("pod-no-policy")},
		{title: "Pod Identity: the agent is not installed", parameters: on, ownRig: &rig.Options{Agent: auth.Agent{IPv4: noAgent, IPv6: noAgent}}},
		{title: "Pod Identity: preferredAddressType is ipv6 on a node without IPv6", parameters: map[string]string{"usePodIdentity": "true", "preferredAddressType": "ipv6"}, ownRig: &rig.Options{Agent: auth.Agent{IPv6: noAgent}}},
		{title: "Pod Identity: a NetworkPolicy blocks the agent", parameters: on, ownRig: &rig.Options{Agent: auth.Agent{Timeout: 300 * time.Millisecond}}, given: inject(awssim.Fault{Service: "pod-identity", Hang: true})},
		{title: "Pod Identity: EKS throttles", parameters: on, given: inject(awssim.Fault{Service: "pod-identity", Status: 429, Message: "Rate exceeded"})},
		{title: "Pod Identity: EKS has an outage", parameters: on, given: inject(awssim.Fault{Service: "pod-identity", Status: 500, Code: "InternalServerException", Message: "Internal error"})},
	}}
}

func secondRoleMistakes() chapter {
	vaulted := map[string]string{"assumeRoleArn": vaultARN, "externalId": "of-payments"}
	podVaulted := map[string]string{"assumeRoleArn": vaultARN, "externalId": "of-payments", "usePodIdentity": "true"}
	const role = "arn:aws:iam::123456789012:role/"
	return chapter{"A second role, by assumeRoleArn", []mistake{
		{title: "The first role may not assume the second", parameters: vaulted, given: all(account("chain-no-policy", nil, rig.ReadSecrets), vault(awssim.TrustOf("of-payments", role+"chain-no-policy")))},
		{title: "The second role trusts another role", parameters: vaulted, given: all(account("chain-no-trust", nil, allowVault), vault(awssim.TrustOf("of-payments", role+"payment-role")))},
		{title: "The second role requires another external id", parameters: vaulted, given: all(account("chain-other-id", nil, allowVault), vault(awssim.TrustOf("of-somebody", role+"chain-other-id")))},
		{title: "The second role requires an external id, and none is set", parameters: map[string]string{"assumeRoleArn": vaultARN}, given: all(account("chain-no-id", nil, allowVault), vault(awssim.TrustOf("of-payments", role+"chain-no-id")))},
		{title: "The second role does not exist", parameters: map[string]string{"assumeRoleArn": vaultARN + "s"}, given: account("chain-no-role", nil, awssim.AllowPolicy("*", "sts:AssumeRole"))},
		{title: "The second role may not read the secret", parameters: vaulted, given: all(account("chain-no-read", nil, allowVault), vault(awssim.TrustOf("of-payments", role+"chain-no-read")))},
		{title: "STS refuses the first role", parameters: vaulted, given: account("chain-no-first", func(r *rig.Rig) awssim.Document { return r.Issuer.TrustPolicy(rig.Namespace, "somebody-else") })},
		{title: "Pod Identity: the first role may not pass its session tags", parameters: podVaulted,
			given: all(associated("pod-no-tags", awssim.AllowPolicy(vaultARN, "sts:AssumeRole")), vault(awssim.TrustOf("of-payments", role+"pod-no-tags")))},
		{title: "Pod Identity: the second role's trust policy lacks sts:TagSession", parameters: podVaulted,
			given: all(associated("pod-no-tag-trust", allowVault), vault(withoutTagSession(awssim.TrustOf("of-payments", role+"pod-no-tag-trust"))))},
		{title: "STS has an outage for the second role", parameters: vaulted, given: all(account("chain-outage", nil, allowVault), inject(awssim.Fault{Service: "sts", Operation: "AssumeRole", Status: 503, Message: "Service is unavailable"}))},
	}}
}
