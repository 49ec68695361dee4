//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"secrets-provider-aws/test/awssim"
)

// batsAWS has each scenario of the two end-to-end tests of AWS's provider, under its name there, and our case:
//   - driver: test/bats/aws.bats and test/bats/tests/aws of sigs.k8s.io/secrets-store-csi-driver v1.6.1
//   - provider: tests/integration.bats.template and tests/templates of aws/secrets-store-csi-driver-provider-aws
//
// Upstream's second file runs once with IAM roles for ServiceAccounts and once with EKS Pod Identity, and so does this test. Where
// upstream sleeps, this test waits for a condition. Upstream also runs on ARM nodes, and installs by the EKS add-on: neither is here.
var batsAWS = []struct {
	files    string // that have it
	scenario string
	ours     func(*batsTenant)
}{
	{"driver, provider", "Install aws provider", (*batsTenant).providerRuns},
	{"provider", "Verify serviceaccounts/token create permission is not granted to provider", (*batsTenant).providerCreatesNoTokens},
	{"driver, provider", "secretproviderclasses crd is established", (*batsTenant).crdIsEstablished},
	{"driver, provider", "deploy aws secretproviderclass crd", (*batsTenant).deployClass},
	{"driver, provider", "CSI inline volume test with pod portability", (*batsTenant).deployPod},
	{"driver, provider", "CSI inline volume test with rotation - parameter store", (*batsTenant).rotateParameter},
	{"driver, provider", "CSI inline volume test with rotation - secrets manager", (*batsTenant).rotateSecret},
	{"driver, provider", "CSI inline volume test with pod portability - read ssm parameters from pod", (*batsTenant).readParameters},
	{"driver, provider", "CSI inline volume test with pod portability - read secrets manager secrets from pod", (*batsTenant).readSecrets},
	{"provider", "CSI inline volume test with pod portability - specify jmesPath for parameter store parameter with rotation", (*batsTenant).rotateJSONParameter},
	{"provider", "CSI inline volume test with pod portability - specify jmesPath for Secrets Manager secret with rotation", (*batsTenant).rotateJSONSecret},
	{"driver, provider", "Sync with Kubernetes Secret", (*batsTenant).syncSecret},
	{"driver, provider", "Sync with Kubernetes Secret - Delete deployment. Secret should also be deleted", (*batsTenant).deletePod},
}

func TestBats_AWS(t *testing.T) {
	for _, auth := range []string{"irsa", "pod-identity"} {
		t.Run(auth, func(t *testing.T) {
			b := &batsTenant{tenant: newTenant(t), podIdentity: auth == "pod-identity"}
			for _, s := range batsAWS {
				b.step(s.scenario, func() {
					b.t.Log("upstream's files:", s.files)
					s.ours(b)
				})
			}
		})
	}
}

// batsTenant is a tenant with upstream's objects.
type batsTenant struct {
	*tenant
	podIdentity bool
}

const (
	batsPod     = "basic-test-mount"
	batsMounted = "/mnt/secrets/"
)

// name is the name of an object in AWS. Upstream's names have no slashes either.
func (b *batsTenant) name(object string) string { return b.namespace + "-" + object }

// parameter sets a parameter in both regions, because the class has a failover region.
func (b *batsTenant) parameter(object, value string) string {
	b.values = append(b.values, value)
	for _, r := range []string{region, failoverRegion} {
		_, err := b.parameterStore().PutParameter(b.ctx, &ssm.PutParameterInput{
			Name: aws.String(b.name(object)), Value: aws.String(value), Type: types.ParameterTypeSecureString, Overwrite: aws.Bool(true),
		}, func(o *ssm.Options) { o.Region = r })
		b.must(err)
	}
	return b.name(object)
}

func (b *batsTenant) secret(object, value string) string {
	b.values = append(b.values, value)
	for _, r := range []string{region, failoverRegion} {
		b.aws.PutSecret(r, b.name(object), value)
	}
	return b.name(object)
}

func (b *batsTenant) providerRuns() {
	b.must(b.WaitPodsReady(b.ctx, releaseNamespace, providerLabels, 1))
}

func (b *batsTenant) providerCreatesNoTokens() {
	// For the answer "no", kubectl exits with an error.
	answer, _ := b.Kubectl(b.ctx, "auth", "can-i", "create", "serviceaccounts/token", "--all-namespaces", "--as=system:serviceaccount:"+releaseNamespace+":"+release)
	if strings.TrimSpace(answer) != "no" {
		b.t.Errorf("may the provider create tokens? %q", answer)
	}
}

func (b *batsTenant) crdIsEstablished() {
	b.kubectl("wait", "--for=condition=established", "--timeout=60s", "crd/secretproviderclasses.secrets-store.csi.x-k8s.io")
}

func (b *batsTenant) deployClass() {
	parameters := "    failoverRegion: " + failoverRegion
	if b.podIdentity {
		parameters += "\n    usePodIdentity: \"true\""
		b.setRole(b.namespace+"-pods", awssim.PodIdentityTrustPolicy)
		b.must(b.aws.AddPodIdentityAssociation(awssim.PodIdentityAssociation{Namespace: b.namespace, ServiceAccount: serviceAccount, RoleARN: b.roleARN() + "-pods"}))
	}
	second := b.secret("SecretsManagerTest2", "SecretsManagerTest2Value")
	// Upstream writes Path and ObjectAlias in this case.
	b.class("basic-test-mount-spc", fmt.Sprintf(`
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
- objectName: arn:aws:secretsmanager:%[6]s:%[7]s:secret:%[8]s
  objectAlias: SecretsManagerTest2
  failoverObject:
    objectName: arn:aws:secretsmanager:%[9]s:%[7]s:secret:%[8]s
- objectName: %[10]s
  objectType: secretsmanager
- objectName: %[11]s
  objectType: ssmparameter
  jmesPath: [{Path: username, ObjectAlias: ssmUsername}, {Path: password, ObjectAlias: ssmPassword}]
- objectName: %[12]s
  objectType: secretsmanager
  jmesPath: [{Path: username, ObjectAlias: secretsManagerUsername}, {Path: password, ObjectAlias: secretsManagerPassword}]
`,
		b.parameter("ParameterStoreTest1", "ParameterStoreTest1Value"), b.parameter("ParameterStoreTestWithLongName", "ParameterStoreTest2Value"),
		b.parameter("ParameterStoreRotationTest", "BeforeRotation"), b.secret("SecretsManagerRotationTest", "BeforeRotation"),
		b.secret("SecretsManagerTest1", "SecretsManagerTest1Value"), region, account, second, failoverRegion,
		b.secret("SecretsManagerSync", "SecretUser"),
		b.parameter("jsonSsm", login("ParameterStoreUser", "PasswordForParameterStore")),
		b.secret("secretsManagerJson", login("SecretsManagerUser", "PasswordForSecretsManager")),
	), parameters, fmt.Sprintf(`  secretObjects:
    - {secretName: secret, type: Opaque, data: [{objectName: %s, key: username}]}
    - {secretName: json-ssm, type: Opaque, data: [{objectName: ssmUsername, key: username}, {objectName: ssmPassword, key: password}]}
    - {secretName: secrets-manager-json, type: Opaque, data: [{objectName: secretsManagerUsername, key: username}, {objectName: secretsManagerPassword, key: password}]}`,
		b.name("SecretsManagerSync")))
	if provider := b.kubectl("get", "secretproviderclasses.secrets-store.csi.x-k8s.io/basic-test-mount-spc", "-o", "jsonpath={.spec.provider}"); provider != "aws" {
		b.t.Errorf("the provider is %q", provider)
	}
}

func login(user, password string) string {
	return fmt.Sprintf(`{"username": %q, "password": %q}`, user, password)
}

func (b *batsTenant) deployPod() {
	b.runPod(batsPod, podSpec{classes: []string{"basic-test-mount-spc"}})
}

func (b *batsTenant) rotateParameter() {
	file := batsMounted + b.name("ParameterStoreRotationTest")
	b.checkRead(batsPod, file, "BeforeRotation")
	b.parameter("ParameterStoreRotationTest", "AfterRotation")
	b.untilRead(batsPod, file, "AfterRotation")
}

func (b *batsTenant) rotateSecret() {
	file := batsMounted + b.name("SecretsManagerRotationTest")
	b.checkRead(batsPod, file, "BeforeRotation")
	b.secret("SecretsManagerRotationTest", "AfterRotation")
	b.untilRead(batsPod, file, "AfterRotation")
}

func (b *batsTenant) readParameters() {
	b.checkRead(batsPod, batsMounted+b.name("ParameterStoreTest1"), "ParameterStoreTest1Value")
	b.checkRead(batsPod, batsMounted+"ParameterStoreTest2", "ParameterStoreTest2Value")
}

func (b *batsTenant) readSecrets() {
	b.checkRead(batsPod, batsMounted+b.name("SecretsManagerTest1"), "SecretsManagerTest1Value")
	b.checkRead(batsPod, batsMounted+"SecretsManagerTest2", "SecretsManagerTest2Value")
}

func (b *batsTenant) rotateJSONParameter() {
	b.rotateJSON("ssm", b.name("jsonSsm"), "json-ssm", "ParameterStoreUser", "PasswordForParameterStore", func(value string) { b.parameter("jsonSsm", value) })
}

func (b *batsTenant) rotateJSONSecret() {
	b.rotateJSON("secretsManager", b.name("secretsManagerJson"), "secrets-manager-json", "SecretsManagerUser", "PasswordForSecretsManager",
		func(value string) { b.secret("secretsManagerJson", value) })
}

// rotateJSON checks the files and the Kubernetes Secret of a JSON value, before and after a rotation.
func (b *batsTenant) rotateJSON(prefix, file, secret, user, password string, rotate func(string)) {
	check := func(user, password string) {
		b.untilRead(batsPod, batsMounted+prefix+"Username", user)
		b.checkRead(batsPod, batsMounted+prefix+"Password", password)
		b.checkRead(batsPod, batsMounted+file, login(user, password))
		b.untilSynced(secret, "username", user)
		b.untilSynced(secret, "password", password)
	}
	check(user, password)
	rotate(login(user+"Updated", password+"Updated"))
	check(user+"Updated", password+"Updated")
}

func (b *batsTenant) syncSecret() {
	b.untilSynced("secret", "username", "SecretUser")
	// When the driver syncs a rotated value, it removes the Secret's owner and restores it seconds later. If the pod is deleted in
	// between, the Secret stays. Upstream sleeps. This test waits until one more rotation shows in the Secret.
	b.secret("SecretsManagerSync", "SecretUserRotated")
	b.untilSynced("secret", "username", "SecretUserRotated")
	for _, secret := range []string{"secret", "json-ssm", "secrets-manager-json"} {
		b.untilOwners(secret, 1)
	}
}

func (b *batsTenant) deletePod() {
	b.kubectl("delete", "pod", batsPod, "--timeout=2m")
	b.checkUnmounts()
	for _, secret := range []string{"secret", "json-ssm", "secrets-manager-json"} {
		b.untilNoSecret(secret)
	}
}
