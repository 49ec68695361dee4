//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"secrets-provider-aws/test/awssim"
)

// worker is a ServiceAccount without a role in its annotations.
const worker = "worker"

// newWorkerTenant creates a tenant with the ServiceAccount worker, a secret, and a class that reads it with EKS Pod Identity.
func newWorkerTenant(t *testing.T, value string) (c *tenant, secret string) {
	c = newTenant(t)
	c.apply(fmt.Sprintf("{apiVersion: v1, kind: ServiceAccount, metadata: {name: %s, namespace: %s}}", worker, c.namespace))
	secret = c.secret("password", value)
	c.class("secrets", `[{objectName: `+secret+`, objectType: secretsmanager, objectAlias: password}]`, `    usePodIdentity: "true"`)
	return c, secret
}

// associate gives worker a role through EKS Pod Identity. The role's one policy serves all namespaces of a cluster: the session tags
// decide which secrets the session may read.
func (c *tenant) associate() {
	c.t.Helper()
	arn := c.roleARN() + "-" + worker
	c.must(c.aws.SetRole(awssim.Role{ARN: arn, TrustPolicy: awssim.PodIdentityTrustPolicy, Policies: []awssim.Document{
		awssim.AllowPolicy("arn:aws:secretsmanager:*:"+account+":secret:${aws:PrincipalTag/kubernetes-namespace}/*", "secretsmanager:GetSecretValue"),
	}}))
	c.must(c.aws.AddPodIdentityAssociation(awssim.PodIdentityAssociation{Namespace: c.namespace, ServiceAccount: worker, RoleARN: arn}))
}

// The agent listens at its link-local address, as on every EKS node. The provider reaches it from its own pod network.
func TestPodIdentity_EachPodHasItsOwnSession(t *testing.T) {
	c, secret := newWorkerTenant(t, "correct-horse-agent")
	c.associate()
	pods := []string{"first", "second"}
	for _, pod := range pods {
		c.runPod(pod, podSpec{classes: []string{"secrets"}, serviceAccount: worker})
		c.checkRead(pod, "/mnt/secrets/password", "correct-horse-agent")
	}
	sessions := map[string]bool{}
	for _, call := range c.requests("GetCredentials", c.namespace+"/"+worker) {
		if call.Code != "" || !strings.HasPrefix(call.Principal, "arn:aws:sts::"+account+":assumed-role/"+c.namespace+"-"+worker+"/") {
			t.Errorf("the agent returned %d %s and a session of %q", call.Status, call.Code, call.Principal)
		}
		sessions[call.Principal] = false
	}
	if n := len(c.requests("GetCredentials", c.namespace+"/"+worker)); n != len(pods) || len(sessions) != len(pods) {
		t.Errorf("%d requests to the agent gave %d sessions, want one for each of %d pods", n, len(sessions), len(pods))
	}
	for _, call := range c.requests("GetSecretValue", secret) {
		if _, known := sessions[call.Principal]; !known && call.Status != 0 {
			t.Errorf("the secret was read by %q, which is not a session of the agent", call.Principal)
		}
		sessions[call.Principal] = true
	}
	for session, read := range sessions {
		if !read {
			t.Errorf("the session %s read nothing: its pod got what another session read", session)
		}
	}
	if n := len(c.requests("AssumeRoleWithWebIdentity", c.namespace)); n != 0 {
		t.Errorf("%d requests to STS, want none", n)
	}
	provider := c.provider()
	if provider.Status.PodIP == provider.Status.HostIP {
		t.Errorf("the provider is in the node's network, with its address %s", provider.Status.HostIP)
	}
}

// Without an association the pod waits, and its events name the fix. After the fix it starts without help.
func TestPodIdentity_NoAssociation_EventsNameTheFix(t *testing.T) {
	c, secret := newWorkerTenant(t, "correct-horse-associated")
	c.createPod("app", podSpec{classes: []string{"secrets"}, serviceAccount: worker})
	event, err := c.WaitPodEvent(c.ctx, c.namespace, "app", "FailedMount", "ResourceNotFoundException")
	c.must(err)
	t.Log(event)
	for _, want := range []string{
		"ServiceAccount " + c.namespace + "/" + worker + " gets no credentials from EKS Pod Identity",
		"aws eks create-pod-identity-association --cluster-name CLUSTER --namespace " + c.namespace + " --service-account " + worker,
		"SecretProviderClass " + c.namespace + "/secrets",
	} {
		if !strings.Contains(event.Message, want) {
			t.Errorf("the event lacks %q", want)
		}
	}
	if phase := c.kubectl("get", "pod", "app", "-o", "jsonpath={.status.phase}"); phase != "Pending" {
		t.Errorf("the pod is %s, want Pending", phase)
	}
	if n := c.reads(secret); n != 0 {
		t.Errorf("the secret was requested %d times", n)
	}
	c.associate()
	c.must(c.WaitPodReady(c.ctx, c.namespace, "app"))
	c.checkRead("app", "/mnt/secrets/password", "correct-horse-associated")
}

// On a new node the agent may start after the pods. The chart's podIdentityHttpTimeout limits how long the provider waits for it.
func TestPodIdentity_AgentHangs_PodsStartAfterwards(t *testing.T) {
	c, _ := newWorkerTenant(t, "correct-horse-timeout")
	c.associate()
	pid, err := c.ContainerPID(c.ctx, releaseNamespace, c.provider().Metadata.Name, "provider")
	c.must(err)
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	c.must(err)
	if want := "--pod-identity-http-timeout=" + agentTimeout; !strings.Contains(string(arguments)+"\x00", want+"\x00") {
		t.Errorf("the provider runs with %q, without %s", arguments, want)
	}
	remove := c.aws.Inject(awssim.Fault{Service: "pod-identity", Object: c.namespace + "/" + worker, Hang: true})
	defer remove()
	c.createPod("app", podSpec{classes: []string{"secrets"}, serviceAccount: worker})
	event, err := c.WaitPodEvent(c.ctx, c.namespace, "app", "FailedMount", "the agent on the node does not respond")
	c.must(err)
	t.Log(event)
	if want := c.PodIdentityAddress(); !strings.Contains(event.Message, want) {
		t.Errorf("the event lacks %q", want)
	}
	remove()
	c.must(c.WaitPodReady(c.ctx, c.namespace, "app"))
	c.checkRead("app", "/mnt/secrets/password", "correct-horse-timeout")
}

// In the node's network the provider reaches the agent and the Kubernetes API too. An upgrade gets there and back.
func TestPodIdentity_HostNetwork(t *testing.T) {
	c, _ := newWorkerTenant(t, "correct-horse-host")
	c.associate()
	defer func() {
		_, err := c.upgrade(c.ctx)
		c.must(err)
	}()
	_, err := c.upgrade(c.ctx, "--set", "hostNetwork=true")
	c.must(err)
	c.must(c.WaitPodsReady(c.ctx, releaseNamespace, providerLabels, 1))
	if provider := c.provider(); provider.Status.PodIP != provider.Status.HostIP {
		t.Errorf("the provider has the address %s, want the node's %s", provider.Status.PodIP, provider.Status.HostIP)
	}
	c.runPod("app", podSpec{classes: []string{"secrets"}, serviceAccount: worker})
	c.checkRead("app", "/mnt/secrets/password", "correct-horse-host")
}
