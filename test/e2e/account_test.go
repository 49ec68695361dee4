//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"secrets-provider-aws/test/awssim"
)

// clusterAccount is the cluster's AWS account. The secrets belong to another account.
const clusterAccount = "111122223333"

// The pods' own role is in the cluster's account. The role that may read the secrets is in the other account and requires an
// external id.
func TestCrossAccount_PodsReadWithTheOtherAccountsRole(t *testing.T) {
	c := newTenant(t)
	own, shared := "arn:aws:iam::"+clusterAccount+":role/"+c.namespace, c.roleARN()+"-shared"
	provider := c.issuer()
	provider.Account = clusterAccount
	c.must(c.aws.AddOIDCProvider(provider))
	c.must(c.aws.SetRole(awssim.Role{
		ARN: own, TrustPolicy: c.trustIn(clusterAccount, c.namespace, "caller"),
		Policies: []awssim.Document{awssim.AllowPolicy(shared, "sts:AssumeRole")},
	}))
	c.setRole(c.namespace+"-shared", awssim.Document(fmt.Sprintf(`{
		"Version": "2012-10-17",
		"Statement": [{
			"Effect": "Allow", "Principal": {"AWS": %q}, "Action": "sts:AssumeRole",
			"Condition": {"StringEquals": {"sts:ExternalId": "agreed-on"}}
		}]
	}`, own)))
	c.apply(fmt.Sprintf("{apiVersion: v1, kind: ServiceAccount, metadata: {name: caller, namespace: %s, annotations: {eks.amazonaws.com/role-arn: %q}}}", c.namespace, own))
	secret := c.secret("password", "correct-horse-shared")
	class := func(name, externalID string) {
		c.class(name, `[{objectName: `+secret+`, objectType: secretsmanager, objectAlias: password}]`, "    assumeRoleArn: "+shared, "    externalId: "+externalID)
	}
	session := "arn:aws:sts::" + account + ":assumed-role/" + c.namespace + "-shared/" + c.namespace + "-caller"

	c.step("a wrong external id is refused", func() {
		class("wrong", "guessed")
		c.createPod("refused", podSpec{classes: []string{"wrong"}, serviceAccount: "caller"})
		event, err := c.WaitPodEvent(c.ctx, c.namespace, "refused", "FailedMount", "AccessDenied")
		c.must(err)
		c.t.Log(event)
		for _, want := range []string{
			"ServiceAccount " + c.namespace + "/caller cannot assume role " + shared + " from role " + own, "sts:ExternalId", "guessed",
			"SecretProviderClass " + c.namespace + "/wrong",
		} {
			if !strings.Contains(event.Message, want) {
				c.t.Errorf("the event lacks %q", want)
			}
		}
		if phase := c.kubectl("get", "pod", "refused", "-o", "jsonpath={.status.phase}"); phase != "Pending" {
			c.t.Errorf("the pod is %s, want Pending", phase)
		}
		if n := c.reads(secret); n != 0 {
			c.t.Errorf("the secret was requested %d times", n)
		}
	})
	c.step("the right external id reads the secret, in a session with the workload's name", func() {
		class("right", "agreed-on")
		c.runPod("app", podSpec{classes: []string{"right"}, serviceAccount: "caller"})
		c.checkRead("app", "/mnt/secrets/password", "correct-horse-shared")
		for _, call := range c.requests("GetSecretValue", secret) {
			if call.Status != 0 && (call.Principal != session || call.Code != "") {
				c.t.Errorf("the secret was requested by %s (%s), want %s", call.Principal, call.Code, session)
			}
		}
	})
	c.step("the refused pod starts after its class is fixed", func() {
		class("wrong", "agreed-on")
		c.must(c.WaitPodReady(c.ctx, c.namespace, "refused"))
		c.checkRead("refused", "/mnt/secrets/password", "correct-horse-shared")
	})
}
