//go:build e2e

package e2e

import (
	"testing"
)

func TestMount_PodReadsItsSecret(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-1")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`)
	c.runPod("app", podSpec{classes: []string{"secrets"}})
	if got := c.read("app", "/mnt/secrets/password"); got != "correct-horse-1" {
		t.Errorf("the pod reads %q", got)
	}
	if n := c.exchanges(); n != 1 {
		t.Errorf("STS was asked %d times, want once", n)
	}
}
