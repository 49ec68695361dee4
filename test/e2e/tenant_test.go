//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secrets-provider-aws/test/awssim"
)

// tenant is what one case has for itself: a namespace with a ServiceAccount "app", a role of the namespace's name that trusts it, and
// secrets and parameters whose names begin with the namespace.
type tenant struct {
	*world
	t         *testing.T
	ctx       context.Context
	namespace string
	values    []string // that are secret
}

const serviceAccount = "app"

// newTenant makes a tenant that ends with the case.
func newTenant(t *testing.T) *tenant {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	c := &tenant{world: shared, t: t, ctx: ctx, namespace: namespaceOf(t.Name())}
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

// namespaceOf turns TestRotation_ChangesTheFile into rotation-changesthefile.
func namespaceOf(test string) string {
	name := strings.ToLower(strings.NewReplacer("_", "-", "/", "-").Replace(strings.TrimPrefix(test, "Test")))
	return strings.TrimRight(name[:min(len(name), 40)], "-")
}

// end collects what explains a failure, and checks what holds at the end of every case.
func (c *tenant) end() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 5*time.Minute)
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

// must ends the case on an error.
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

// until waits for a condition. The error is shown when it does not come.
func (c *tenant) until(timeout time.Duration, what string, holds func(context.Context) (bool, error)) {
	c.t.Helper()
	c.must(c.Until(c.ctx, timeout, what, holds))
}

func (c *tenant) roleARN() string { return "arn:aws:iam::" + account + ":role/" + c.namespace }

// setRole gives a role that may read what belongs to this tenant.
func (c *tenant) setRole(name string, trust awssim.Document) {
	c.t.Helper()
	c.must(c.aws.SetRole(awssim.Role{Name: name, TrustPolicy: trust, Policies: []awssim.Document{
		awssim.AllowPolicy("arn:aws:secretsmanager:*:"+account+":secret:"+c.namespace+"/*", "secretsmanager:GetSecretValue"),
		awssim.AllowPolicy("arn:aws:ssm:*:"+account+":parameter/"+c.namespace+"/*", "ssm:GetParameters"),
	}}))
}

// secret gives a secret a new value, and returns its name in Secrets Manager.
func (c *tenant) secret(name, value string) string {
	c.values = append(c.values, value)
	c.aws.PutSecret(region, c.namespace+"/"+name, value)
	return c.namespace + "/" + name
}

// parameter gives a parameter a new value, and returns its name in SSM Parameter Store.
func (c *tenant) parameter(name, value string) string {
	c.values = append(c.values, value)
	c.aws.PutParameter(region, "/"+c.namespace+"/"+name, value)
	return "/" + c.namespace + "/" + name
}

// calls counts the requests of an operation ("GetSecretValue") for one object, answered or not.
func (c *tenant) calls(operation, object string) int {
	count := 0
	for _, call := range c.aws.CallLog() {
		if call.Operation == operation && strings.Contains(call.Object, object) {
			count++
		}
	}
	return count
}

// exchanges counts the requests to STS for this tenant's role.
func (c *tenant) exchanges() int { return c.calls("AssumeRoleWithWebIdentity", c.roleARN()) }

// read is what a container reads in a file.
func (c *tenant) read(pod, path string) string {
	c.t.Helper()
	text, err := c.Exec(c.ctx, c.namespace, pod, "cat", path)
	c.must(err)
	return text
}

// untilRead waits until a container reads that.
func (c *tenant) untilRead(pod, path, want string) {
	c.t.Helper()
	c.until(2*time.Minute, path+" of pod "+pod, func(ctx context.Context) (bool, error) {
		got, err := c.Exec(ctx, c.namespace, pod, "cat", path)
		return got == want, orNot(err, "it reads %q, not %q", got, want)
	})
}

// orNot is err, or the error that stands for a condition that does not hold yet. Both end a wait only when its time is over.
func orNot(err error, format string, arguments ...any) error {
	if err != nil {
		return err
	}
	return fmt.Errorf(format, arguments...)
}

// deletePods deletes all pods of the tenant, and checks that nothing of them is left on the node.
func (c *tenant) deletePods(ctx context.Context) {
	c.t.Helper()
	var pods podList
	if err := c.Get(ctx, "/api/v1/namespaces/"+c.namespace+"/pods", &pods); err != nil {
		c.t.Error(err)
		return
	}
	if _, err := c.Kubectl(ctx, "delete", "deployments,pods", "--all", "--namespace", c.namespace, "--timeout=3m"); err != nil {
		c.t.Error(err)
		return
	}
	mounts, err := c.Mounts()
	if err != nil {
		c.t.Error(err)
	}
	for _, pod := range pods.Items {
		for _, m := range mounts {
			if strings.Contains(m.Target, pod.Metadata.UID) {
				c.t.Errorf("pod %s is deleted, and %s still mounted", pod.Metadata.Name, m.Target)
			}
		}
	}
}

// podList is the API's answer about pods.
type podList struct {
	Items []struct {
		Metadata struct{ Name, UID string }
		Status   struct{ Phase, PodIP string }
	}
}

// checkLogs checks that no secret of this tenant, and no token, is in the log of a provider, at the highest verbosity.
func (c *tenant) checkLogs() {
	c.t.Helper()
	err := filepath.WalkDir(c.Path("/var/log/pods"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "/"+releaseNamespace+"_"+release) {
			return err
		}
		text, err := os.ReadFile(path)
		for _, secret := range append(c.values, "eyJhbGciOi") { // the beginning of every token
			if strings.Contains(string(text), secret) {
				c.t.Errorf("the log %s has %q in it", path, secret)
			}
		}
		return err
	})
	if err != nil {
		c.t.Error(err)
	}
}
