package docs_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// message is what a reader of "kubectl describe pod" looks for: a part of the message, its cause and the cure.
type message struct {
	text  string // the part to look for
	match string // regular expression of the messages of the entry; the first entry that matches a message has it
	cause string
	cure  string
	who   string // who can fix it
}

const (
	classAuthor   = "the author of the class"
	secretOwner   = "the author of the class, or the owner of the secret"
	roleOwner     = "the owner of the IAM role"
	administrator = "the cluster's administrator"
	nobody        = "nobody: it ends by itself, or it is an outage"
)

// messages are the entries, in the order of the page. Those of the same matching order stand before wider ones.
var messages = []message{
	{
		"objects…:", `payment-secrets: (\d+ faults: \(1\) )?objects`,
		"The list `objects` of the SecretProviderClass has a mistake. The message names the object, the field and the line, and has every mistake of the class.",
		"Correct the fields as the message says. `secrets-provider-aws check FILE` finds the same mistakes before you apply the class. [reference.md](reference.md#fields-of-objects) has every field.", classAuthor,
	},
	{
		"region:, roleArn:, pathTranslation:, …", `payment-secrets: (\d+ faults: \(1\) )?(region|failoverRegion|roleArn|assumeRoleArn|externalId|usePodIdentity|pathTranslation|preferredAddressType|refreshInterval|parameters?)\b`,
		"A parameter of the SecretProviderClass, or of the `volumeAttributes` of the pod, has a mistake.",
		"Correct the parameter as the message says. [reference.md](reference.md#parameters) has every parameter.", classAuthor,
	},
	{
		"Secrets Manager can't find the specified secret value", `specified secret value for`,
		"The secret exists, but it has no value, no such version, or no such staging label.",
		"Compare `objectVersion` and `objectVersionLabel` with `aws secretsmanager describe-secret --secret-id NAME`. A secret without any value needs `put-secret-value`.", secretOwner,
	},
	{
		"Secrets Manager can't find the specified secret", `specified secret \[`,
		"There is no secret with this name in the region and the account that the message names. Often the region is wrong, or the secret is in another account.",
		"Look for it: `aws secretsmanager list-secrets --region REGION --filters Key=name,Values=NAME`. For another account, give its ARN, or `assumeRoleArn`: [iam.md](iam.md#another-account). With `failoverRegion`, the secret must exist in both regions.", secretOwner,
	},
	{
		"there is no such parameter, version or label", `no such parameter, version or label`,
		"There is no parameter with this name, version or label. Often the leading slash is missing.",
		"Look for it: `aws ssm get-parameter-history --region REGION --name NAME`.", secretOwner,
	},
	{
		"'versionId' failed to satisfy constraint", `'versionId'`,
		"`objectVersion` of a secret is a number. Only versions of parameters are numbers.",
		"Set it to a VersionId that `aws secretsmanager describe-secret` shows.", classAuthor,
	},
	{
		"VersionStage that is not associated to the provided VersionId", `VersionStage that is not associated`,
		"The object has `objectVersion` and `objectVersionLabel`, and the label is on another version.",
		"Remove one of the two.", classAuthor,
	},
	{
		"ValidationException: Invalid name, Parameter name", `ValidationException`,
		"AWS allows no such name.", "Correct `objectName`.", classAuthor,
	},
	{
		"the value is not JSON", `the value is not JSON`,
		"`jmesPath` selects from a JSON value, and the value of the secret is something else.",
		"Store JSON, or remove `jmesPath`. The message does not show the value.", secretOwner,
	},
	{
		"selects nothing, or null", `selects nothing, or null`,
		"The JSON value has no such key, or the key is null.",
		"Compare the path with the keys: `aws secretsmanager get-secret-value --query SecretString --output text --secret-id NAME | jq keys`. A key with a dash or a dot needs double quotes: `'\"db-user\"'`.", secretOwner,
	},
	{
		"cannot be evaluated", `cannot be evaluated`,
		"The expression of `jmesPath` is valid, but does not fit the types in the value.", "Correct the expression.", classAuthor,
	},
	{
		"is not the name of a variable, the value is not hex or base64", `is not the name of a variable|the value is not (hex|base64)`,
		"The value does not fit `format` or `objectEncoding` of the object.",
		"Correct the value in AWS, or choose another `format`, or remove `objectEncoding`. The message does not show the value.", secretOwner,
	},
	{
		"both write the file", `both write the file`,
		"Two objects make a file of the same name. Keys of a secret show only when it is read.",
		"Give one of them another `objectAlias`.", classAuthor,
	},
	{
		"the volume is too large", `volume is too large`,
		"The files of the volume exceed what the CSI driver accepts in one response, 4 MiB by default.",
		"Use several volumes, or raise `--max-call-recv-msg-size` of the driver and `--max-response-bytes` of the provider together.", classAuthor,
	},
	{
		"Access to KMS is not allowed, DecryptionFailure, customer master key", `KMS|customer master key`,
		"The role may read the object, but not use the KMS key that encrypts it. Or the key is disabled.",
		"Allow `kms:Decrypt` on the key in a policy of the role and in the key policy: [iam.md](iam.md#your-own-kms-key). For a disabled key: `aws kms enable-key`.", roleOwner,
	},
	{
		"with an explicit deny", `explicit deny`,
		"A policy denies the action: of the role, of the secret, a permissions boundary, or a service control policy. The message says which kind.",
		"Change that policy: no Allow overrides a Deny. [iam.md](iam.md#service-control-policies) has a service control policy that lets the provider work.", roleOwner,
	},
	{
		"is not authorized to perform: secretsmanager:GetSecretValue", `not authorized to perform: secretsmanager:`,
		"No policy of the role allows it. Often the resource lacks the six characters at the end of a secret's ARN, or names another region.",
		"Allow `secretsmanager:GetSecretValue` on the ARN with `-??????` at its end: [iam.md](iam.md#permissions).", roleOwner,
	},
	{
		"is not authorized to perform: ssm:GetParameters", `not authorized to perform: ssm:`,
		"No policy of the role allows it. `ssm:GetParameter`, without the s, is another action.",
		"Allow `ssm:GetParameters` on the parameter's ARN: [iam.md](iam.md#permissions).", roleOwner,
	},
	{
		"Not authorized to perform sts:AssumeRoleWithWebIdentity", `perform sts:AssumeRoleWithWebIdentity`,
		"The role does not exist, or its trust policy does not allow the ServiceAccount: another namespace or name in `sub`, another `aud`, another cluster's issuer, or another action.",
		"Compare the trust policy with `sub`, `aud` and the OIDC provider in the message: [iam.md](iam.md#trust).", roleOwner,
	},
	{
		"cannot assume role … from …: AccessDenied", `from (role|the role of).*AccessDenied`,
		"The pod's own role may not assume the second role (`assumeRoleArn`). Both sides must allow it, and the external id must match. With EKS Pod Identity both sides need `sts:TagSession` too.",
		"Compare both policies with [iam.md](iam.md#another-account).", roleOwner,
	},
	{
		"No OpenIDConnect provider found in your account, Incorrect token audience", `No OpenIDConnect provider|Incorrect token audience`,
		"The account of the role has no OIDC provider for the cluster's issuer, or the OIDC provider lacks the audience `sts.amazonaws.com`.",
		"`eksctl utils associate-iam-oidc-provider --cluster NAME --approve` in the account of the role.", roleOwner,
	},
	{
		"Couldn't retrieve verification key from your identity provider", `retrieve verification key`,
		"AWS cannot read the keys of the cluster's issuer, or the issuer does not publish the key that signed the token.",
		"Outside of EKS: compare the published JWKS with `kubectl get --raw /openid/v1/jwks`, and check that it can be read from the internet.", administrator,
	},
	{
		"STS is not activated in this region", `RegionDisabledException`,
		"The account has switched STS off in this region.",
		"Activate it: IAM console, Account settings, Security Token Service.", roleOwner,
	},
	{
		"Token expired, its token expired at", `Token expired|its token expired`,
		"A clock is wrong: of the node, or of the API server. The kubelet sends a fresh token with every mount.",
		"`secrets-provider-aws doctor` compares the node's clock with AWS's. Synchronise it: `chronyc tracking`.", administrator,
	},
	{
		"it has no annotation eks.amazonaws.com/role-arn", `it has no annotation`,
		"The ServiceAccount of the pod names no role. Often the pod has no `serviceAccountName` and runs as `default`.",
		"Annotate it, set `roleArn` in the class, or use `usePodIdentity`: [iam.md](iam.md#trust).", classAuthor,
	},
	{
		"which is not the ARN of an IAM role", `its annotation eks`,
		"The annotation of the ServiceAccount has a name or a placeholder.",
		"Set it to the ARN of the role: `arn:aws:iam::123456789012:role/NAME`.", classAuthor,
	},
	{
		"cannot read ServiceAccount …: it does not exist", `cannot read ServiceAccount.*does not exist`,
		"Somebody deleted the ServiceAccount while the pod was there.", "Create it again.", administrator,
	},
	{
		"the API server does not allow the provider to read it", `API server does not allow`,
		"RBAC does not allow the provider to read ServiceAccounts or nodes.",
		"Upgrade the chart with `rbac.install=true`, or set `roleArn` and `region` in the class. `secrets-provider-aws doctor` shows what is missing.", administrator,
	},
	{
		"the API server does not respond", `API server does not respond`,
		"The provider cannot reach the Kubernetes API.", "`secrets-provider-aws doctor` in the provider's pod on that node. Often a network policy.", administrator,
	},
	{
		"no AWS region", `no AWS region`,
		"Neither the class nor `AWS_REGION` of the provider sets a region, and the node has no label for it, or is not known.",
		"Set the parameter `region`, or `awsRegion` in the chart.", administrator,
	},
	{
		"the CSI driver sent no token for audience", `sent no token for audience`,
		"The CSIDriver object lacks the audience in `tokenRequests`, so the kubelet sends no such token.",
		"Set `tokenRequests` in the values of the driver's chart: [migrate-from-aws-provider.md](migrate-from-aws-provider.md). `secrets-provider-aws doctor` prints the command.", administrator,
	},
	{
		"the CSI driver sent no pod information, no pod uid", `sent no pod (information|uid)`,
		"`podInfoOnMount` of the CSIDriver is not true.", "Reinstall the driver's chart, which sets it.", administrator,
	},
	{
		"its token belongs to, is not a JWT", `its token (belongs to|for audience .* is not a JWT)`,
		"The token in the request is not the pod's. The kubelet never sends this: another program calls the socket.",
		"Find the program. Only the CSI driver and the secrets-store-sync-controller may use the socket.", administrator,
	},
	{
		"is not a decimal number from 0 to 511", `cannot read the CSI driver's request`,
		"A program that is not the Secrets Store CSI driver 1.x calls the socket.", "Find the program.", administrator,
	},
	{
		"No association found for the service account", `No association found`,
		"`usePodIdentity` is true, and EKS has no association for the ServiceAccount.",
		"`aws eks create-pod-identity-association`: [iam.md](iam.md#eks-pod-identity).", roleOwner,
	},
	{
		"EKS does not have permissions to assume the associated role", `permissions to assume the associated role`,
		"The trust policy of the associated role does not allow EKS both `sts:AssumeRole` and `sts:TagSession`.",
		"Use the trust policy of [iam.md](iam.md#eks-pod-identity).", roleOwner,
	},
	{
		"its token is bound to no pod", `bound to no pod`,
		"The secrets-store-sync-controller asks for a class with `usePodIdentity`. EKS Pod Identity gives credentials to pods only.",
		"Use an IAM role for the ServiceAccount: [reference.md](reference.md#secrets-store-sync-controller).", classAuthor,
	},
	{
		"The token included in the request has no audience", `has no audience`,
		"The token for EKS Pod Identity has another audience: another program calls the socket.", "Find the program.", administrator,
	},
	{
		"the agent on the node does not respond", `agent on the node does not respond`,
		"The EKS Pod Identity agent does not run on the node, is not ready, or a network policy blocks it.",
		"Install the add-on `eks-pod-identity-agent`, and run `secrets-provider-aws doctor --pod-identity` in the provider's pod on that node.", administrator,
	},
	{
		"the endpoint's TLS certificate is not signed by a known authority", `TLS certificate`,
		"A proxy or a private endpoint uses a certificate of an authority that the provider does not know.",
		"Set `AWS_CA_BUNDLE`: `extraEnv` and `extraVolumes` in the chart.", administrator,
	},
	{
		"the host name … is not known", `host name .* is not known`,
		"The region does not exist, an endpoint URL is wrong, or the node's DNS does not know the name.",
		"Check the region and `AWS_ENDPOINT_URL`. `secrets-provider-aws doctor` looks up every endpoint.", administrator,
	},
	{
		"no connection, no response in time, the connection was closed", `no connection|no response in time|closed before a response`,
		"The node cannot reach AWS: no route, a security group, a VPC endpoint that is missing, a proxy. Or an outage.",
		"`secrets-provider-aws doctor` in the provider's pod on that node. The kubelet repeats the mount.", administrator,
	},
	{
		"Rate exceeded, ThrottlingException", `ThrottlingException|Rate exceeded`,
		"AWS throttles the account. The provider has repeated the call as long as the mount could wait.",
		"The kubelet repeats the mount. If it lasts: a longer `--refresh-interval`, or a higher quota.", administrator,
	},
	{
		"InternalServiceError, ServiceUnavailable, InternalServerException", `InternalServiceError|ServiceUnavailable|InternalServerException`,
		"AWS has an outage, in the region that the message names.",
		"The kubelet repeats the mount. `failoverRegion` in the class keeps pods starting: [reference.md](reference.md#two-regions).", nobody,
	},
}

const troubleshootingHead = `# Troubleshooting

` + "`kubectl describe pod`" + ` shows what failed, why, and what to do: look at the event FailedMount. Find a part of its message below.
The entries list every mistake of [mistakes.golden](../server/testdata/mistakes.golden), which a test makes against the provider.

If several pods on one node wait, or there is no message of this provider, run doctor in the provider's pod on that node:

<!-- not run: TestDoctor_FindsFaultsOnTheNode runs them, with the names of its pods -->

` + "```" + `sh
kubectl get pods -A -o wide -l app.kubernetes.io/name=secrets-provider-aws
kubectl exec -n kube-system POD -- /secrets-provider-aws doctor
` + "```" + `

## Without a message of the provider

| the event says | cause | cure |
|---|---|---|
| driver name secrets-store.csi.k8s.io not found in the list of registered CSI drivers | the CSI driver does not run on this node, or not yet | wait for its pod: ` + "`kubectl get pods -A -o wide \\| grep secrets-store`" + ` |
| provider not found: provider "aws" | there is no ` + "`aws.sock`" + ` in the driver's folder: the provider does not run on this node, or uses another folder | ` + "`kubectl get pods -A -o wide -l app.kubernetes.io/name=secrets-provider-aws`" + `, then doctor |
| failed to get secretproviderclass … not found | the class is missing, or in another namespace than the pod | create it in the pod's namespace |
| context deadline exceeded, and nothing else | the socket does not respond within the kubelet's 2 minutes | doctor; the log of the provider |
| nothing, and the files are old | the driver hides a failed rotation | the log of the provider, and ` + "`secrets_provider_aws_mounts_total{result=\"error\"}`" + `; rotation is off by default |

The log of the provider has one line for each mount, with the same message: ` + "`kubectl logs -n kube-system POD | grep NAMESPACE`" + `.
` + "`-v=4`" + ` adds a line for each step.

## By message

<!-- written by: go test ./docs -run Troubleshooting -update -->
`

// mistake is a mistake in mistakes.golden.
type mistake struct{ title, message string }

func goldenMistakes(t *testing.T) []mistake {
	t.Helper()
	var all []mistake
	title := ""
	for line := range strings.Lines(read(t, "../server/testdata/mistakes.golden")) {
		line = strings.TrimSuffix(line, "\n")
		if heading, ok := strings.CutPrefix(line, "### "); ok {
			title = heading
		} else if title != "" && line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, mistake{title, line})
			title = ""
		}
	}
	if len(all) < 45 {
		t.Fatalf("%d mistakes: this test no longer finds them", len(all))
	}
	return all
}

// troubleshooting.md has an entry for each message of the provider, with its cause and cure.
func TestTroubleshooting_HasEveryMessage(t *testing.T) {
	of := make([][]mistake, len(messages))
	for _, m := range goldenMistakes(t) {
		found := false
		for i, e := range messages {
			if found = regexp.MustCompile(e.match).MatchString(m.message); found {
				of[i] = append(of[i], m)
				break
			}
		}
		if !found {
			t.Errorf("no entry for %q: %s", m.title, m.message)
		}
	}
	var page strings.Builder
	page.WriteString(troubleshootingHead)
	for i, e := range messages {
		if len(of[i]) == 0 {
			t.Errorf("no message matches the entry %q", e.text)
		}
		fmt.Fprintf(&page, "\n### %s\n\n%s\n\n**What to do:** %s\n**Who:** %s.\n\n<details><summary>%d mistakes with this message</summary>\n\n", e.text, e.cause, e.cure, e.who, len(of[i]))
		for _, m := range of[i] {
			_, text, _ := strings.Cut(m.message, ": ")
			text = strings.TrimPrefix(text, "SecretProviderClass payments/payment-secrets: ")
			fmt.Fprintf(&page, "- %s\n\n      %s\n\n", m.title, text)
		}
		page.WriteString("</details>\n")
	}
	if t.Failed() {
		return
	}
	if *update {
		if err := os.WriteFile("troubleshooting.md", []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(read(t, "troubleshooting.md"), "\n"), strings.Split(page.String(), "\n")); diff != "" {
		t.Errorf("troubleshooting.md is not current (go test ./docs -run Troubleshooting -update); -page +now:\n%s", diff)
	}
}
