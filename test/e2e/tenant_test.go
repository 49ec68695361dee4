//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// tenant is the private environment of one case: a namespace with a ServiceAccount "app", a role with the namespace's name that
// trusts it, and secrets and parameters with the namespace as name prefix.
type tenant struct {
	*world
	t         *testing.T
	ctx       context.Context
	namespace string
	values    []string // secret values
}

const serviceAccount = "app"

// newTenant creates a tenant in a namespace with the case's name. The tenant ends with the case.
func newTenant(t *testing.T) *tenant {
	t.Helper()
	return newTenantIn(t, namespaceOf(t.Name()))
}

func newTenantIn(t *testing.T, namespace string) *tenant {
	t.Helper()
	return newTenantOf(t, shared, namespace)
}

func newTenantOf(t *testing.T, w *world, namespace string) *tenant {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	t.Cleanup(cancel)
	c := &tenant{world: w, t: t, ctx: ctx, namespace: namespace}
	t.Cleanup(func() {
		c.end()
		t.Logf("%.1f s", time.Since(start).Seconds())
	})
	c.setRole(c.namespace, c.trust(c.namespace, serviceAccount))
	c.apply(fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[2]s, namespace: %[1]s, annotations: {eks.amazonaws.com/role-arn: %[3]q}}
`, c.namespace, serviceAccount, c.roleARN()))
	return c
}

// namespaceOf turns TestRotation_ChangesTheFile into rotation-changesthefile, at most 40 characters.
func namespaceOf(test string) string {
	name := strings.ToLower(strings.NewReplacer("_", "-", "/", "-").Replace(strings.TrimPrefix(test, "Test")))
	return strings.TrimRight(name[:min(len(name), 40)], "-")
}

// end collects diagnostics after a failure, and runs the checks that every case ends with.
func (c *tenant) end() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 10*time.Minute)
	defer cancel()
	if c.t.Failed() {
		c.explain(ctx)
	}
	c.deletePods(ctx)
	c.checkLogs()
	if _, err := c.Kubectl(ctx, "delete", "namespace", c.namespace, "--wait=false"); err != nil {
		c.t.Error(err)
	}
}

// must stops the case on an error.
func (c *tenant) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *tenant) apply(manifests string) {
	c.t.Helper()
	c.must(c.Apply(c.ctx, manifests))
}

func (c *tenant) kubectl(arguments ...string) string {
	c.t.Helper()
	out, err := c.Kubectl(c.ctx, append([]string{"--namespace", c.namespace}, arguments...)...)
	c.must(err)
	return out
}

// step runs a part of a case that depends on earlier parts. The case stops at the first part that fails.
func (c *tenant) step(name string, do func()) {
	c.t.Helper()
	whole := c.t
	passed := whole.Run(name, func(t *testing.T) {
		c.t = t
		defer func() { c.t = whole }()
		do()
	})
	if !passed {
		whole.FailNow()
	}
}

// until waits until check returns nil.
func (c *tenant) until(timeout time.Duration, what string, check func(context.Context) error) {
	c.t.Helper()
	c.must(c.Until(c.ctx, timeout, what, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		return err == nil, err
	}))
}

// untilIs waits until get returns want.
func (c *tenant) untilIs(timeout time.Duration, what, want string, get func(context.Context) (string, error)) {
	c.t.Helper()
	c.until(timeout, what, func(ctx context.Context) error {
		got, err := get(ctx)
		if err == nil && got != want {
			err = fmt.Errorf("got %q, want %q", got, want)
		}
		return err
	})
}

// deletePods deletes all pods of the tenant, and checks that none left a mount on the node.
func (c *tenant) deletePods(ctx context.Context) {
	c.t.Helper()
	var pods podList
	if err := c.Get(ctx, "/api/v1/namespaces/"+c.namespace+"/pods", &pods); err != nil {
		c.t.Error(err)
		return
	}
	// Delete the Deployments first. They would replace deleted pods.
	for _, arguments := range []string{"delete deployments --all --cascade=foreground --timeout=3m", "delete pods --all --timeout=3m"} {
		if _, err := c.Kubectl(ctx, append(strings.Fields(arguments), "--namespace", c.namespace)...); err != nil {
			c.t.Error(err)
			return
		}
	}
	// A mount that was in progress when its pod was deleted ends when the provider responds, and the driver undoes it then.
	const timeout = 30 * time.Second
	var left []string
	for deadline := time.Now().Add(timeout); ; {
		mounts, err := c.Mounts()
		if err != nil {
			c.t.Error(err)
			return
		}
		left = nil
		for _, pod := range pods.Items {
			for _, m := range mounts {
				if strings.Contains(m.Target, pod.Metadata.UID) {
					left = append(left, fmt.Sprintf("pod %s is deleted, and %s still mounted", pod.Metadata.Name, m.Target))
				}
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	for _, line := range left {
		c.t.Error(line)
	}
}
