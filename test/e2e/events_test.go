//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"secrets-provider-aws/test/awssim"
)

// The driver hides a failed refresh. The pod's Events and the metrics show it, with the cause, until it works again.
func TestEvents_FailedRefreshShowsOnThePod(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-events")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`)
	c.runPod("app", podSpec{classes: []string{"secrets"}})
	cut := time.Now()
	remove := c.aws.Inject(awssim.Fault{Object: name, Status: 503})
	defer remove()
	event, err := c.WaitPodEvent(c.ctx, c.namespace, "app", "SecretRefreshFailed", "ServiceUnavailable")
	c.must(err)
	t.Logf("%.0f s after the cut: %s", time.Since(cut).Seconds(), event)
	for _, want := range []string{"SecretProviderClass " + c.namespace + "/secrets: ", name, "request id"} {
		if !strings.Contains(event.Message, want) {
			t.Errorf("the Event lacks %q", want)
		}
	}
	if n := c.metric("secrets_provider_aws_refresh_failing_volumes", `reason="transient"`); n < 1 {
		t.Errorf("%v volumes fail to refresh, want this one", n)
	}
	back := time.Now()
	remove()
	event, err = c.WaitPodEvent(c.ctx, c.namespace, "app", "SecretRefreshRecovered", "the files are refreshed again")
	c.must(err)
	t.Logf("%.0f s after the repair: %s", time.Since(back).Seconds(), event)
}
