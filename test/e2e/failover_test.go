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

// failoverRegion is the second region of classes with failover.
const failoverRegion = "ap-southeast-1"

// If a region and its STS are unreachable, pods still start and files are still refreshed.
func TestFailover_PrimaryDown(t *testing.T) {
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
			// Nothing has used uncached's role before the region fails, so no credentials are cached.
			c.setRole(c.namespace+"-uncached", c.trust(c.namespace, "uncached"))
			c.apply(fmt.Sprintf("{apiVersion: v1, kind: ServiceAccount, metadata: {name: uncached, namespace: %s, annotations: {eks.amazonaws.com/role-arn: %s-uncached}}}",
				c.namespace, c.roleARN()))

			c.runPod("before", podSpec{classes: []string{"secrets"}})
			c.checkServed("before", file, primary, primaryVersion)
			if sent, _ := c.inRegion(failoverRegion, "GetSecretValue", secret); sent != 1 {
				t.Errorf("a first mount read the second region %d times, want once", sent)
			}

			remove := c.aws.Inject(fault)
			defer remove()
			start := time.Now()
			c.runPod("during", podSpec{classes: []string{"secrets"}, serviceAccount: "uncached"})
			t.Logf("a pod without credentials is ready after %.1f s; provider log of its mounts:\n%s", time.Since(start).Seconds(), c.mountLog("during"))
			c.checkServed("during", file, second, secondVersion)
			if _, succeeded := c.inRegion(failoverRegion, "AssumeRoleWithWebIdentity", c.roleARN()+"-uncached"); succeeded != 1 {
				t.Errorf("STS of the second region issued credentials %d times, want once", succeeded)
			}
			c.untilRead("before", file, second)

			remove()
			start = time.Now()
			c.untilRead("before", file, primary)
			c.untilRead("during", file, primary)
			t.Logf("the files have the primary's values again after %.1f s", time.Since(start).Seconds())
			c.runPod("after", podSpec{classes: []string{"secrets"}})
			c.checkServed("after", file, primary, primaryVersion)
		})
	}
}

// checkServed checks what a container reads, and that the driver got the version of that value.
func (c *tenant) checkServed(pod, path, value, version string) {
	c.t.Helper()
	c.checkRead(pod, path, value)
	c.untilIs(time.Minute, "the version in the driver's status of pod "+pod, version, func(ctx context.Context) (string, error) {
		return c.Kubectl(ctx, "get", "secretproviderclasspodstatus", pod+"-"+c.namespace+"-secrets", "--namespace", c.namespace, "-o", "jsonpath={.status.objects[0].version}")
	})
}

// mountLog returns the provider's log lines about a pod's mounts.
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

// inRegion counts the requests for one object in a region, and those that succeeded.
func (c *tenant) inRegion(region, operation, object string) (sent, succeeded int) {
	for _, call := range c.requests(operation, object) {
		if call.Region == region {
			sent++
			if call.Status == http.StatusOK {
				succeeded++
			}
		}
	}
	return sent, succeeded
}
