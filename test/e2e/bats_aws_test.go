//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// This is the driver's own end-to-end test of AWS's provider, with the same cases and names: test/bats/aws.bats and
// test/bats/tests/aws of sigs.k8s.io/secrets-store-csi-driver v1.6.1. Where upstream sleeps, this test waits for a condition.
func TestBats_AWS(t *testing.T) {
	c := newTenant(t)
	// Upstream's names have no slashes either.
	name := func(object string) string { return c.namespace + "-" + object }
	putParameter := func(object, value string) string {
		c.values = append(c.values, value)
		_, err := c.parameterStore().PutParameter(c.ctx, &ssm.PutParameterInput{
			Name: aws.String(name(object)), Value: aws.String(value), Type: types.ParameterTypeSecureString, Overwrite: aws.Bool(true),
		})
		c.must(err)
		return name(object)
	}
	putSecret := func(object, value string) string {
		c.values = append(c.values, value)
		c.aws.PutSecret(region, name(object), value)
		return name(object)
	}
	const pod, mounted = "basic-test-mount", "/mnt/secrets/"
	file := func(object string) string { return mounted + name(object) }

	c.step("Install aws provider", func() {
		c.must(c.WaitPodsReady(c.ctx, releaseNamespace, providerLabels, 1))
	})
	c.step("deploy aws secretproviderclass crd", func() {
		c.class("basic-test-mount-spc", fmt.Sprintf(`
- objectName: %s
  objectType: ssmparameter
- objectName: %s
  objectAlias: ParameterStoreTest2
  objectType: ssmparameter
- objectName: %s
  objectType: ssmparameter
- objectName: %s
  objectType: secretsmanager
- objectName: %s
  objectType: secretsmanager
- objectName: arn:aws:secretsmanager:%s:%s:secret:%s
  objectAlias: SecretsManagerTest2
- objectName: %s
  objectType: secretsmanager
`,
			putParameter("ParameterStoreTest1", "ParameterStoreTest1Value"), putParameter("ParameterStoreTestWithLongName", "ParameterStoreTest2Value"),
			putParameter("ParameterStoreRotationTest", "BeforeRotation"), putSecret("SecretsManagerRotationTest", "BeforeRotation"),
			putSecret("SecretsManagerTest1", "SecretsManagerTest1Value"), region, account, putSecret("SecretsManagerTest2", "SecretsManagerTest2Value"),
			putSecret("SecretsManagerSync", "SecretUser"),
		), fmt.Sprintf("  secretObjects: [{secretName: secret, type: Opaque, data: [{objectName: %s, key: username}]}]", name("SecretsManagerSync")))
		if provider := c.kubectl("get", "secretproviderclasses.secrets-store.csi.x-k8s.io/basic-test-mount-spc", "-o", "jsonpath={.spec.provider}"); provider != "aws" {
			c.t.Errorf("the provider is %q", provider)
		}
	})
	c.step("CSI inline volume test with pod portability", func() {
		c.runPod(pod, podSpec{classes: []string{"basic-test-mount-spc"}})
	})
	c.step("CSI inline volume test with rotation - parameter store", func() {
		c.checkRead(pod, file("ParameterStoreRotationTest"), "BeforeRotation")
		putParameter("ParameterStoreRotationTest", "AfterRotation")
		c.untilRead(pod, file("ParameterStoreRotationTest"), "AfterRotation")
	})
	c.step("CSI inline volume test with rotation - secrets manager", func() {
		c.checkRead(pod, file("SecretsManagerRotationTest"), "BeforeRotation")
		putSecret("SecretsManagerRotationTest", "AfterRotation")
		c.untilRead(pod, file("SecretsManagerRotationTest"), "AfterRotation")
	})
	c.step("CSI inline volume test with pod portability - read ssm parameters from pod", func() {
		c.checkRead(pod, file("ParameterStoreTest1"), "ParameterStoreTest1Value")
		c.checkRead(pod, mounted+"ParameterStoreTest2", "ParameterStoreTest2Value")
	})
	c.step("CSI inline volume test with pod portability - read secrets manager secrets from pod", func() {
		c.checkRead(pod, file("SecretsManagerTest1"), "SecretsManagerTest1Value")
		c.checkRead(pod, mounted+"SecretsManagerTest2", "SecretsManagerTest2Value")
	})
	c.step("Sync with Kubernetes Secret", func() {
		c.untilSynced("secret", "username", "SecretUser")
		// When the driver syncs a rotated value, it removes the Secret's owner and restores it seconds later. If the pod is deleted in
		// between, the Secret stays. Upstream sleeps. This test waits until one more rotation shows in the Secret.
		putSecret("SecretsManagerSync", "SecretUserRotated")
		c.untilSynced("secret", "username", "SecretUserRotated")
		c.untilOwners("secret", 1)
	})
	c.step("CSI inline volume test with pod portability - unmount succeeds", func() {
		c.kubectl("delete", "pod", pod, "--timeout=2m")
		c.checkUnmounts()
		c.untilNoSecret("secret")
	})
}
