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

// podIdentity is a pod of payment-sa whose class says usePodIdentity.
func podIdentity(name string) rig.Mount {
	m := pod(name)
	m.Parameters = map[string]string{"usePodIdentity": "true"}
	return m
}

// Each pod of a ServiceAccount asks the agent for itself, once in hours; its volumes and republishes share.
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
	wantCallsOf(t, r, map[string]int{askAgent: pods, getSecret: pods})
	if calls := r.Kube.Calls(); len(calls) != 0 {
		t.Errorf("Kubernetes calls %v, want none: the association names the role", calls)
	}
	clock.Advance(5*time.Hour + 56*time.Minute)
	wantFile(t, r, podIdentity("p0"), "one") // renewed 5 minutes before the six hours of the agent end
	wantCallsOf(t, r, map[string]int{askAgent: pods + 1, getSecret: pods + 1})
}

func TestF7_PodIdentityCredentialsAreReplacedOnce(t *testing.T) {
	r, _ := freshRig(t, rig.Options{})
	r.Associate(rig.ServiceAccount, rig.ReadSecrets)
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Code: "ExpiredTokenException", Status: 400, Count: 1})
	wantFile(t, r, podIdentity("a"), "one")
	wantCallsOf(t, r, map[string]int{askAgent: 2, getSecret: 2})
}

// On a node with IPv6 alone Pod Identity works.
func TestI10_ANodeWithIPv6Alone(t *testing.T) {
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

// A role of another account is reached from the pod's own, in either mode, at one more call for each identity.
func TestF8_OneMoreCallForEachIdentity(t *testing.T) {
	r, _ := freshRig(t, rig.Options{Policies: []awssim.Document{goOn}})
	r.Associate("pod-sa", goOn)
	trust := awssim.TrustOf("of-payments", rig.RoleARN, "arn:aws:iam::123456789012:role/pod-sa")
	setRole(t, r, awssim.Role{ARN: vaultARN, TrustPolicy: trust, Policies: []awssim.Document{rig.ReadSecrets}})
	chained := func(m rig.Mount) rig.Mount {
		m.Parameters = map[string]string{"assumeRoleArn": vaultARN, "externalId": "of-payments"}
		return m
	}
	wantFile(t, r, chained(pod("a")), "one")
	wantFile(t, r, chained(pod("b")), "one") // of the same ServiceAccount
	wantCallsOf(t, r, map[string]int{assume: 1, chain: 1, getSecret: 1})
	for _, name := range []string{"c", "d"} {
		m := chained(pod(name))
		m.ServiceAccount = "pod-sa"
		m.Parameters["usePodIdentity"] = "true"
		wantFile(t, r, m, "one")
	}
	wantCallsOf(t, r, map[string]int{assume: 1, askAgent: 2, chain: 3, getSecret: 3})
	for _, call := range r.AWS.CallLog() {
		if call.Operation == "GetSecretValue" && !strings.HasPrefix(call.Principal, "arn:aws:sts::210987654321:assumed-role/vault-role/payments-") {
			t.Errorf("read by %s, want vault-role's session of the workload", call.Principal)
		}
	}
}

// The line of a mount says how the pod came to its credentials.
func TestMountIsLoggedWithItsIdentity(t *testing.T) {
	r := everyWay(t, rig.Options{State: dbWorld})
	for _, tt := range []struct {
		operation string
		want, not string
	}{
		{assume, " role=" + rig.RoleARN + " ", "identity="},
		{chain, " role=" + rig.RoleARN + " ", "identity="},
		{askAgent, " identity=pod-identity", "assumed_role="},
	} {
		before := len(r.Logs())
		if _, err := r.Mount(rig.Mount{Parameters: calling(tt.operation), Objects: dbSecret}); err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(r.Logs()[before:], "level=INFO msg=mount ")
		if !strings.Contains(line, tt.want) || strings.Contains(line, tt.not) {
			t.Errorf("with %s the log says %s", tt.operation, line)
		}
		if strings.Contains(line, " assumed_role="+secondARN) != (tt.operation == chain) {
			t.Errorf("with %s the second role is not said as it should be: %s", tt.operation, line)
		}
	}
}
