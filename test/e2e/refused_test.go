//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"secrets-provider-aws/test/awssim"
)

// "kubectl describe pod" shows the role, the ServiceAccount and the fix. After the fix the pod starts without help.
func TestRefused_EventsNameRoleServiceAccountAndFix(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-refused")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`)
	c.setRole(c.namespace, c.trust(c.namespace, "somebody-else"))
	c.createPod("app", podSpec{classes: []string{"secrets"}})
	_, err := c.WaitPodEvent(c.ctx, c.namespace, "app", "FailedMount", "AccessDenied")
	c.must(err)
	description := c.kubectl("describe", "pod", "app")
	_, events, _ := strings.Cut(description, "Events:")
	t.Logf("Events:%s", events)
	issuer := strings.TrimPrefix(c.Issuer(), "https://")
	for _, want := range []string{
		"ServiceAccount " + c.namespace + "/app cannot assume role " + c.roleARN(),
		"its trust policy allows sts:AssumeRoleWithWebIdentity to the OIDC provider " + issuer,
		"sub = system:serviceaccount:" + c.namespace + ":app",
		"aud = sts.amazonaws.com",
		"SecretProviderClass " + c.namespace + "/secrets",
		"request id",
	} {
		if !strings.Contains(events, want) {
			t.Errorf("the events lack %q", want)
		}
	}
	if phase := c.kubectl("get", "pod", "app", "-o", "jsonpath={.status.phase}"); phase != "Pending" {
		t.Errorf("the pod is %s, want Pending", phase)
	}
	if n := c.reads(name); n != 0 {
		t.Errorf("the secret was requested %d times", n)
	}
	c.setRole(c.namespace, c.trust(c.namespace, serviceAccount))
	c.must(c.WaitPodReady(c.ctx, c.namespace, "app"))
	if got := c.read("app", "/mnt/secrets/password"); got != "correct-horse-refused" {
		t.Errorf("the pod reads %q", got)
	}
}

// The pod's events name the exact cause.
func TestRefused_EventsNameTheCause(t *testing.T) {
	c := newTenant(t)
	other := c.secret("other", "correct-horse-other")
	c.must(c.aws.AddRole(awssim.Role{Name: c.namespace + "-poor", TrustPolicy: c.trust(c.namespace, "poor")}))
	c.apply(fmt.Sprintf(`
{apiVersion: v1, kind: ServiceAccount, metadata: {name: plain, namespace: %[1]s}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: poor, namespace: %[1]s, annotations: {eks.amazonaws.com/role-arn: %[2]s-poor}}}
`, c.namespace, c.roleARN()))
	c.class("good", `[{objectName: `+other+`, objectType: secretsmanager}]`)
	c.class("missing", `[{objectName: `+c.namespace+`/nowhere, objectType: secretsmanager}]`)
	c.class("wrong", `[{objectName: `+other+`, objectType: secretmanager}]`)
	c.class("empty", `[]`)
	cases := []struct {
		pod   string
		spec  podSpec
		wants []string
	}{
		{"no-role", podSpec{classes: []string{"good"}, serviceAccount: "plain"}, []string{"ServiceAccount " + c.namespace + "/plain", "eks.amazonaws.com/role-arn"}},
		{"denied", podSpec{classes: []string{"good"}, serviceAccount: "poor"}, []string{"AccessDeniedException", other, c.namespace + "-poor", "secretsmanager:GetSecretValue"}},
		{"missing", podSpec{classes: []string{"missing"}}, []string{"ResourceNotFoundException", c.namespace + "/nowhere", region}},
		{"wrong", podSpec{classes: []string{"wrong"}}, []string{"secretmanager", "secretsmanager", "SecretProviderClass " + c.namespace + "/wrong"}},
		{"empty", podSpec{classes: []string{"empty"}}, []string{"objects"}},
	}
	for _, test := range cases {
		c.createPod(test.pod, test.spec)
	}
	for _, test := range cases {
		c.step(test.pod, func() {
			event, err := c.WaitPodEvent(c.ctx, c.namespace, test.pod, "FailedMount", test.wants[0])
			c.must(err)
			c.t.Log(event)
			for _, want := range test.wants {
				if !strings.Contains(event.Message, want) {
					c.t.Errorf("the event lacks %q", want)
				}
			}
		})
	}
}

// If AWS fails, a pod still starts when the node has read its secrets within --max-stale.
func TestAWSDown_PodsStartWithTheLastKnownValue(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-stale")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`)
	c.runPod("before", podSpec{classes: []string{"secrets"}})
	stale := c.metric("secrets_provider_aws_values_total", `source="stale"`)
	remove := c.aws.Inject(awssim.Fault{Object: name, Status: 503})
	defer remove()
	outlastSharing()
	c.runPod("during", podSpec{classes: []string{"secrets"}})
	if got := c.read("during", "/mnt/secrets/password"); got != "correct-horse-stale" {
		t.Errorf("the pod reads %q", got)
	}
	if event, err := c.WaitPodEvent(c.ctx, c.namespace, "during", "SecretServedStale", "last known values"); err != nil {
		t.Error(err)
	} else {
		t.Log(event)
	}
	if now := c.metric("secrets_provider_aws_values_total", `source="stale"`); now <= stale {
		t.Errorf("the stale counter is %v, was %v before", now, stale)
	}
	remove()
	c.secret("password", "correct-horse-back")
	c.untilIs(3*time.Minute, "the file after the outage", "correct-horse-back", func(ctx context.Context) (string, error) {
		return c.Exec(ctx, c.namespace, "before", "cat", "/mnt/secrets/password")
	})
}
