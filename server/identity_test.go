package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// podIdentity is a pod of payment-sa with usePodIdentity in its class.
func podIdentity(name string) rig.Mount {
	m := pod(name)
	m.Parameters = map[string]string{"usePodIdentity": "true"}
	return m
}

// Each pod gets its own credentials from the agent, once every few hours. Its volumes and republishes share them.
func TestA11_OneExchangeForEachPod(t *testing.T) {
	const pods = 4
	r, clock := freshRig(t, rig.Options{})
	r.Associate(rig.ServiceAccount, rig.ReadSecrets)
	for range 3 {
		for n := range pods {
			wantFile(t, r, podIdentity(fmt.Sprintf("p%d", n)), "one")
		}
		clock.Advance(3 * time.Second)
	}
	wantCallsOf(t, r, map[string]int{agentCredentials: pods, getSecret: pods})
	if calls := r.Kube.Calls(); len(calls) != 0 {
		t.Errorf("Kubernetes calls %v, want none: the association names the role", calls)
	}
	clock.Advance(5*time.Hour + 56*time.Minute)
	wantFile(t, r, podIdentity("p0"), "one") // renewed 5 minutes before the agent's six hours end
	wantCallsOf(t, r, map[string]int{agentCredentials: pods + 1, getSecret: pods + 1})
}

func TestF7_PodIdentityCredentialsAreReplacedOnce(t *testing.T) {
	r, _ := freshRig(t, rig.Options{})
	r.Associate(rig.ServiceAccount, rig.ReadSecrets)
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Code: "ExpiredTokenException", Status: 400, Count: 1})
	wantFile(t, r, podIdentity("a"), "one")
	wantCallsOf(t, r, map[string]int{agentCredentials: 2, getSecret: 2})
}

// Pod Identity works on a node that has only IPv6.
func TestI10_NodeWithIPv6Only(t *testing.T) {
	r, _ := freshRig(t, rig.Options{Agent: auth.Agent{IPv4: noAgent}})
	r.Associate(rig.ServiceAccount, rig.ReadSecrets)
	wantFile(t, r, podIdentity("a"), "one")
	m := podIdentity("b")
	m.Parameters["preferredAddressType"] = "IPv6"
	wantFile(t, r, m, "one")
	m.Parameters["preferredAddressType"] = "ipv4"
	m.Pod = "c"
	_, err := r.Mount(m)
	wantStatus(t, err, codes.Internal, "the agent on the node does not respond", "install the EKS add-on eks-pod-identity-agent")
}

// With assumeRoleArn each identity costs one more call, with a web identity and with Pod Identity.
func TestF8_AssumeRoleCostsOneCallForEachIdentity(t *testing.T) {
	r, _ := freshRig(t, rig.Options{Policies: []awssim.Document{allowVault}})
	r.Associate("pod-sa", allowVault)
	trust := awssim.TrustOf("of-payments", rig.RoleARN, "arn:aws:iam::123456789012:role/pod-sa")
	setRole(t, r, awssim.Role{ARN: vaultARN, TrustPolicy: trust, Policies: []awssim.Document{rig.ReadSecrets}})
	chained := func(m rig.Mount) rig.Mount {
		m.Parameters = map[string]string{"assumeRoleArn": vaultARN, "externalId": "of-payments"}
		return m
	}
	wantFile(t, r, chained(pod("a")), "one")
	wantFile(t, r, chained(pod("b")), "one") // of the same ServiceAccount
	wantCallsOf(t, r, map[string]int{assumeWebIdentity: 1, assumeRole: 1, getSecret: 1})
	for _, name := range []string{"c", "d"} {
		m := chained(pod(name))
		m.ServiceAccount = "pod-sa"
		m.Parameters["usePodIdentity"] = "true"
		wantFile(t, r, m, "one")
	}
	wantCallsOf(t, r, map[string]int{assumeWebIdentity: 1, agentCredentials: 2, assumeRole: 3, getSecret: 3})
	for _, call := range r.AWS.CallLog() {
		if call.Operation == "GetSecretValue" && !strings.HasPrefix(call.Principal, "arn:aws:sts::210987654321:assumed-role/vault-role/payments-") {
			t.Errorf("read by %s, want vault-role's session of the workload", call.Principal)
		}
	}
}

// The log line of a mount shows how the pod got its credentials.
func TestMountIsLoggedWithItsIdentity(t *testing.T) {
	r := allOperationsRig(t, rig.Options{State: dbWorld})
	for _, tt := range []struct {
		operation string
		want, not string
	}{
		{assumeWebIdentity, " role=" + rig.RoleARN + " ", "identity="},
		{assumeRole, " role=" + rig.RoleARN + " ", "identity="},
		{agentCredentials, " identity=pod-identity", "assumed_role="},
	} {
		before := len(r.Logs())
		if _, err := r.Mount(rig.Mount{Parameters: calling(tt.operation), Objects: dbSecret}); err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(r.Logs()[before:], "level=INFO msg=mount ")
		if !strings.Contains(line, tt.want) || strings.Contains(line, tt.not) {
			t.Errorf("with %s the log line is %s", tt.operation, line)
		}
		if strings.Contains(line, " assumed_role="+secondARN) != (tt.operation == assumeRole) {
			t.Errorf("with %s the log line has the wrong assumed_role: %s", tt.operation, line)
		}
	}
}
