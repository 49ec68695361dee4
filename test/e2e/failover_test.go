//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"secrets-provider-aws/test/awssim"
)

// failoverRegion is the second region of the classes that have one.
const failoverRegion = "ap-southeast-1"

// A region that is cut off, its STS with it, keeps no pod from starting and no file from being refreshed.
func TestFailover_PrimaryAway(t *testing.T) {
	for name, fault := range map[string]awssim.Fault{
		"cut":  {Region: region, Cut: true},
		"hang": {Region: region, Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newTenant(t)
			const primary, second, file = "correct-horse-primary", "correct-horse-second", "/mnt/secrets/password"
			secret := c.namespace + "/password"
			c.values = append(c.values, primary, second)
			primaryVersion, secondVersion := c.aws.PutSecret(region, secret, primary), c.aws.PutSecret(failoverRegion, secret, second)
			c.class("secrets", `[{objectName: `+secret+`, objectType: secretsmanager, objectAlias: password}]`, "    failoverRegion: "+failoverRegion)
			// Nobody has asked for credentials of this one's role before the region goes.
			c.setRole(c.namespace+"-newcomer", c.trust(c.namespace, "newcomer"))
			c.apply(fmt.Sprintf("{apiVersion: v1, kind: ServiceAccount, metadata: {name: newcomer, namespace: %s, annotations: {eks.amazonaws.com/role-arn: %s-newcomer}}}",
				c.namespace, c.roleARN()))

			c.runPod("before", podSpec{classes: []string{"secrets"}})
			c.checkServed("before", file, primary, primaryVersion)
			if asked, _ := c.inRegion(failoverRegion, "GetSecretValue", secret); asked != 1 {
				t.Errorf("a first mount read the second region %d times, want once", asked)
			}

			remove := c.aws.Inject(fault)
			defer remove()
			start := time.Now()
			c.runPod("during", podSpec{classes: []string{"secrets"}, serviceAccount: "newcomer"})
			t.Logf("a pod without credentials is ready after %.1f s; the provider says of its mounts:\n%s", time.Since(start).Seconds(), c.mountLog("during"))
			c.checkServed("during", file, second, secondVersion)
			if _, answered := c.inRegion(failoverRegion, "AssumeRoleWithWebIdentity", c.roleARN()+"-newcomer"); answered != 1 {
				t.Errorf("STS of the second region gave credentials %d times, want once", answered)
			}
			c.untilRead("before", file, second)

			remove()
			start = time.Now()
			c.untilRead("before", file, primary)
			c.untilRead("during", file, primary)
			t.Logf("the files are the primary's again after %.1f s", time.Since(start).Seconds())
			c.runPod("after", podSpec{classes: []string{"secrets"}})
			c.checkServed("after", file, primary, primaryVersion)
		})
	}
}

// checkServed checks what a container reads, and that the driver was told the version of just that.
func (c *tenant) checkServed(pod, path, value, version string) {
	c.t.Helper()
	c.checkRead(pod, path, value)
	c.untilIs(time.Minute, "the version that the driver knows of pod "+pod, version, func(ctx context.Context) (string, error) {
		return c.Kubectl(ctx, "get", "secretproviderclasspodstatus", pod+"-"+c.namespace+"-secrets", "--namespace", c.namespace, "-o", "jsonpath={.status.objects[0].version}")
	})
}

// mountLog is what the provider logged of a pod's mounts.
func (c *tenant) mountLog(pod string) string {
	c.t.Helper()
	text, err := c.Kubectl(c.ctx, "logs", "--namespace", releaseNamespace, "--selector", providerLabels, "--tail=-1")
	c.must(err)
	var lines strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, "msg=mount ") && strings.Contains(line, " namespace="+c.namespace+" pod="+pod+" ") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// inRegion counts the requests for one object in a region, and those that AWS answered with what was asked for.
func (c *tenant) inRegion(region, operation, object string) (asked, answered int) {
	for _, call := range c.requests(operation, object) {
		if call.Region == region {
			asked++
			if call.Status == http.StatusOK {
				answered++
			}
		}
	}
	return asked, answered
}
