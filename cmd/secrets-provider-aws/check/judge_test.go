package check_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/cmd/secrets-provider-aws/check"
)

// rightClass is without a fault.
var rightClass = withSpec(oneObject)

// swap replaces one part of a text that has it.
func swap(t *testing.T, text, old, by string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("%q is not in the text", old)
	}
	return strings.Replace(text, old, by, 1)
}

func TestRightManifestsHaveNoFindings(t *testing.T) {
	report := judged(t, check.Options{Strict: true}, rightClass+rightAccount+aPod(rightVolume...))
	if got := said(report); len(got) != 0 || report.Failed(true) {
		t.Errorf("findings %q, want none", got)
	}
}

func TestFindingsOfClasses(t *testing.T) {
	synced := func(objectName string) string {
		return withSpec(oneObject, "secretObjects:", "  - secretName: s", "    type: Opaque", "    data:", "      - objectName: "+objectName, "        key: k")
	}
	for name, tc := range map[string]struct {
		manifest string
		want     []string
	}{
		"an unknown parameter": {swap(t, rightClass, "    region:", "    regoin:"),
			[]string{`9:5: error: db: regoin: is not a known parameter and was ignored (did you mean region?)`}},
		"an unknown field of objects": {rightClass + "        objectAlas: x\n",
			[]string{`13:9: error: db: objects[0]: "objectAlas" is not a known field and was ignored (did you mean objectAlias?)`}},
		"a field in the wrong case": {swap(t, rightClass, "objectType", "ObjectType"),
			[]string{`12:9: warning: db: objects[0]: "ObjectType" was read as objectType`}},
		"spec.paramters": {swap(t, rightClass, "  parameters:", "  paramters:"), []string{
			`4:9: error: db: objects: is missing or empty: list at least one object with objectName and objectType`,
			`8:3: error: db: spec.paramters: is not a field of a SecretProviderClass (did you mean parameters?)`,
		}},
		"spec.secretObject":     {rightClass + "  secretObject: []\n", []string{`13:3: error: db: spec.secretObject: is not a field of a SecretProviderClass (did you mean secretObjects?)`}},
		"a field beside spec":   {rightClass + "parameters: {}\n", []string{`13:1: error: db: parameters: is not a field of a SecretProviderClass`}},
		"spec twice":            {rightClass + "spec: {provider: aws}\n", []string{`4:9: error: db: objects: is missing or empty: list at least one object with objectName and objectType`, `13:1: error: db: spec: stands here twice`}},
		"objects is a list":     {swap(t, rightClass, "objects: |", "objects:"), []string{`11:7: error: db: spec.parameters.objects: is a list, and the API server takes only texts: write a | behind its colon`}},
		"a boolean":             {swap(t, rightClass, "    region:", "    pathTranslation: False\n    region:"), []string{`9:22: error: db: spec.parameters.pathTranslation: is a boolean, and the API server takes only texts: put it in quotes`}},
		"a boolean of YAML 1.1": {swap(t, rightClass, "    region:", "    usePodIdentity: no\n    region:"), []string{`9:21: error: db: spec.parameters.usePodIdentity: is a boolean, and the API server takes only texts: put it in quotes`}},
		"a number":              {swap(t, rightClass, "    region:", "    pathTranslation: 1\n    region:"), []string{`9:22: error: db: spec.parameters.pathTranslation: is a number, and the API server takes only texts: put it in quotes`}},
		"nothing":               {swap(t, rightClass, "ap-south-1", ""), []string{`9:12: error: db: spec.parameters.region: is empty (null), and the API server takes only texts: give it a value, or leave it out`}},
		"parameters is a list":  {swap(t, rightClass, "parameters:\n    region: ap-south-1\n    objects: |\n", "parameters:\n"), []string{`9:7: error: db: spec.parameters: is a list, not a mapping of parameters`}},
		"another provider":      {swap(t, rightClass, "provider: aws", "provider: azure"), []string{`7:13: note: db: spec.provider: is "azure", which is another provider: skipped`}},
		"the provider in capitals": {swap(t, rightClass, "provider: aws", "provider: AWS"),
			[]string{`7:13: error: db: spec.provider: is "AWS": the provider is found by its exact name, aws`}},
		"no provider":     {swap(t, rightClass, "  provider: aws\n", ""), []string{`4:9: error: db: spec.provider: is missing: write provider: aws`}},
		"v1alpha1":        {swap(t, rightClass, "x-k8s.io/v1", "x-k8s.io/v1alpha1"), []string{`1:13: note: db: apiVersion: v1alpha1 is deprecated: write secrets-store.csi.x-k8s.io/v1`}},
		"another version": {swap(t, rightClass, "x-k8s.io/v1", "k8s.io/v1"), []string{`1:13: error: db: apiVersion: "secrets-store.csi.k8s.io/v1" is not the version of a SecretProviderClass: write secrets-store.csi.x-k8s.io/v1`}},
		"another kind":    {swap(t, rightClass, "SecretProviderClass", "SecretsProviderClass"), []string{`2:7: error: db: kind: "SecretsProviderClass" is not a kind of secrets-store.csi.x-k8s.io (did you mean SecretProviderClass?)`}},
		"no name":         {swap(t, rightClass, "  name: db\n", ""), []string{`1:1: error: metadata.name: is missing`}},
		"two of one name": {rightClass + "---\n" + rightClass, []string{`17:9: warning: db: is in the manifests twice, first at <stdin>:4: the last one applied wins`}},
		"colliding files": {rightClass + "      - objectName: prod_db\n        objectType: secretsmanager\n", []string{`13:9: error: db: objects[1]: secret "prod_db" and objects[0] (secret "prod/db") both write the file "prod_db": give each its own objectAlias`}},
		"a synced file":   {synced("prod_db"), nil},
		"a synced secret": {synced("prod/db"), []string{`17:23: error: db: spec.secretObjects[0].data[0].objectName: "prod/db" is the name in AWS; here the file is meant, which is "prod_db"`}},
		"a mistyped file": {synced("prod_bd"), []string{`17:23: error: db: spec.secretObjects[0].data[0].objectName: "prod_bd" is not a file of this class (did you mean prod_db?)`}},
		"no file by far":  {synced("password"), []string{`17:23: error: db: spec.secretObjects[0].data[0].objectName: "password" is not a file of this class`}},
		"fields of syncing": {swap(t, swap(t, synced("prod_db"), "type: Opaque", "typ: Opaque"), "key: k", "keys: k"), []string{
			`14:7: error: db: spec.secretObjects[0]: has no type`,
			`15:7: error: db: spec.secretObjects[0].typ: is not a field of a SecretProviderClass (did you mean type?)`,
			`17:11: error: db: spec.secretObjects[0].data[0]: has no key`,
			`18:11: error: db: spec.secretObjects[0].data[0].keys: is not a field of a SecretProviderClass (did you mean key?)`,
		}},
		"one key twice":        {synced("prod_db") + "        - {objectName: prod_db, key: k}\n", []string{`19:38: error: db: spec.secretObjects[0].data[1].key: "k" is the key of an earlier one`}},
		"one Secret twice":     {synced("prod_db") + "    - {secretName: s, type: Opaque, data: [{objectName: prod_db, key: l}]}\n", []string{`19:20: error: db: spec.secretObjects[1].secretName: "s" is the name of an earlier one: put their data together`}},
		"a Secret of two":      {synced("prod_db") + "---\n" + swap(t, synced("prod_db"), "name: db", "name: db2"), []string{`33:19: warning: db2: spec.secretObjects: the Secret "s" is written by SecretProviderClass payments/db too`}},
		"the ARN's region":     {swap(t, rightClass, "objectName: prod/db", "objectName: arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db"), []string{`11:21: error: db: objects[0].objectName: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db" is in region eu-west-1, but the volume reads from ap-south-1`}},
		"no region, no fault":  {swap(t, swap(t, rightClass, "    region: ap-south-1\n", ""), "objectName: prod/db", "objectName: arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db"), nil},
		"broken YAML":          {"kind: [\n---\n" + rightClass, []string{`1:1: error: is not valid YAML: did not find expected node content`}},
		"a template":           {"{{- if .Values.on }}\nkind: x\n{{- end }}\n---\n" + rightClass, []string{`1:1: error: is not valid YAML: did not find expected node content (is it a template? check what helm template makes of it)`}},
		"in a List":            {"apiVersion: v1\nkind: List\nitems:\n" + "- " + strings.ReplaceAll(strings.TrimSuffix(swap(t, rightClass, "    region:", "    regoin:"), "\n"), "\n", "\n  ") + "\n", []string{`12:7: error: db: regoin: is not a known parameter and was ignored (did you mean region?)`}},
		"by anchors and merge": {"x-base: &base\n  region: ap-south-1\n" + swap(t, swap(t, rightClass, "    region: ap-south-1\n", "    <<: *base\n"), "prod/db", "prod db"), []string{`1:1: error: db: x-base: is not a field of a SecretProviderClass`, `13:21: error: db: objects[0].objectName: "prod db" cannot be the name of a secret: it takes at most 512 letters, digits and /_+=.@!-`}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, said(judged(t, check.Options{}, tc.manifest))); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%s", diff, tc.manifest)
			}
		})
	}
}

func TestFindingsOfWorkloads(t *testing.T) {
	volume := func(t *testing.T, old, by string) string {
		return rightClass + rightAccount + swap(t, aPod(rightVolume...), old, by)
	}
	elsewhere := swap(t, rightClass, "namespace: payments", "namespace: shop")
	for name, tc := range map[string]struct {
		manifest string
		options  check.Options
		want     []string
	}{
		"readOnly is missing":     {volume(t, "        readOnly: true\n", ""), check.Options{}, []string{`35:7: error: app: volume secrets: has no readOnly: true, without which the CSI driver mounts nothing`}},
		"readOnly is false":       {volume(t, "readOnly: true", "readOnly: false"), check.Options{}, []string{`37:19: error: app: volume secrets: readOnly has to be true: the CSI driver mounts nothing else`}},
		"the driver's name":       {volume(t, "driver: secrets-store.csi.k8s.io", "driver: secrets-store.csi.x-k8s.io"), check.Options{}, []string{`36:17: error: app: csi.driver: is "secrets-store.csi.x-k8s.io": the Secrets Store CSI driver is secrets-store.csi.k8s.io`}},
		"another driver":          {volume(t, "driver: secrets-store.csi.k8s.io\n        readOnly: true\n        volumeAttributes:\n          secretProviderClass: db", "driver: ebs.csi.aws.com"), check.Options{}, nil},
		"no class":                {volume(t, "          secretProviderClass: db\n", "          secretProviderclass: db\n"), check.Options{}, []string{`39:11: error: app: volume secrets: names no SecretProviderClass: volumeAttributes has no secretProviderClass (did you mean secretProviderClass?)`}},
		"a class that is missing": {volume(t, "secretProviderClass: db", "secretProviderClass: dd"), check.Options{}, []string{`39:32: error: app: volume secrets: SecretProviderClass "payments/dd" is not among the manifests (did you mean db?)`}},
		"no class at all":         {rightAccount + aPod(rightVolume...), check.Options{}, []string{`27:32: note: app: volume secrets: SecretProviderClass "payments/db" is not among the manifests: not checked`}},
		"no class at all, strict": {rightAccount + aPod(rightVolume...), check.Options{Strict: true}, []string{`27:32: error: app: volume secrets: SecretProviderClass "payments/db" is not among the manifests`}},
		"the class is elsewhere":  {elsewhere + rightAccount + aPod(rightVolume...), check.Options{}, []string{`39:32: error: app: volume secrets: SecretProviderClass "db" is in namespace shop: a pod mounts classes of its own namespace, payments`}},
		"without namespaces":      {strings.ReplaceAll(rightClass+rightAccount, "  namespace: payments\n", "") + aPod(rightVolume...), check.Options{}, nil},
		"an override": {volume(t, "secretProviderClass: db", "secretProviderClass: db\n          region: Mumbai\n          regoin: x"), check.Options{}, []string{
			`40:11: error: app: volume secrets: overrides SecretProviderClass payments/db: region: "Mumbai" is not the name of an AWS region, such as eu-west-1`,
			`41:11: error: app: volume secrets: overrides SecretProviderClass payments/db: regoin: is not a known parameter and was ignored (did you mean region?)`,
		}},
		"an override of objects": {volume(t, "secretProviderClass: db", "secretProviderClass: db\n          objects: |\n            - objectName: x"), check.Options{}, []string{
			`41:15: error: app: volume secrets: overrides SecretProviderClass payments/db: objects[0]: "x" has no objectType: set it to secretsmanager or ssmparameter, or set objectName to the ARN`,
		}},
		"an override that collides": {volume(t, "secretProviderClass: db", "secretProviderClass: db\n          externalId: abc"), check.Options{}, []string{
			`40:11: error: app: volume secrets: overrides SecretProviderClass payments/db: externalId: needs assumeRoleArn, which is not set`,
		}},
		"an override that is no text": {volume(t, "secretProviderClass: db", "secretProviderClass: db\n          usePodIdentity: true"), check.Options{}, []string{
			`40:27: error: app: volume secrets: volumeAttributes.usePodIdentity: is a boolean, and the API server takes only texts: put it in quotes`,
		}},
		"no annotation":       {rightClass + swap(t, rightAccount, "    eks.amazonaws.com/role-arn", "    eks.amazonaws.com/role") + aPod(rightVolume...), check.Options{}, []string{`17:9: error: payment-sa: has no annotation eks.amazonaws.com/role-arn, and SecretProviderClass payments/db has neither roleArn nor usePodIdentity`}},
		"a mistyped one":      {rightClass + swap(t, rightAccount, "role-arn", "rolearn") + aPod(rightVolume...), check.Options{}, []string{`17:9: error: payment-sa: has no annotation eks.amazonaws.com/role-arn, and SecretProviderClass payments/db has neither roleArn nor usePodIdentity`, `20:5: error: payment-sa: metadata.annotations: "eks.amazonaws.com/rolearn" is not the annotation that names a role (did you mean eks.amazonaws.com/role-arn?)`}},
		"no ARN":              {rightClass + swap(t, rightAccount, "arn:aws:iam::123456789012:role/payment-role", "payment-role") + aPod(rightVolume...), check.Options{}, []string{`20:33: error: payment-sa: eks.amazonaws.com/role-arn: "payment-role" is not the ARN of an IAM role, such as arn:aws:iam::123456789012:role/payment-role`}},
		"nobody's account":    {rightClass + aPod(rightVolume...), check.Options{}, []string{`20:23: note: app: serviceAccountName: ServiceAccount "payments/payment-sa" is not among the manifests: whether it has a role is not checked`}},
		"default":             {rightClass + rightAccount + swap(t, aPod(rightVolume...), "  serviceAccountName: payment-sa\n", ""), check.Options{}, []string{`25:9: warning: app: serviceAccountName: is default, which has no role of its own, and SecretProviderClass payments/db has neither roleArn nor usePodIdentity: give the pod a ServiceAccount with the annotation eks.amazonaws.com/role-arn`}},
		"default and roleArn": {swap(t, rightClass, "    region:", "    roleArn: arn:aws:iam::123456789012:role/x\n    region:") + swap(t, aPod(rightVolume...), "  serviceAccountName: payment-sa\n", ""), check.Options{}, nil},
		"Pod Identity":        {swap(t, rightClass, "    region:", "    usePodIdentity: \"true\"\n    region:") + aPod(rightVolume...), check.Options{}, nil},
		"one path for two": {volume(t, "        - {name: secrets, mountPath: /mnt/secrets}\n  volumes:\n", "        - {name: secrets, mountPath: /mnt/secrets}\n        - {name: more, mountPath: /mnt/secrets/}\n  volumes:\n    - name: more\n      csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: db}}\n"), check.Options{},
			[]string{`38:7: error: app: volume secrets: is mounted at "/mnt/secrets" in container app, where volume more is`}},
		"subPath":         {volume(t, "mountPath: /mnt/secrets", "mountPath: /mnt/db, subPath: prod_db"), check.Options{}, []string{`35:7: note: app: volume secrets: is mounted with subPath "prod_db": such a file never changes, a rotated value arrives with the next pod`}},
		"a wrong subPath": {volume(t, "mountPath: /mnt/secrets", "mountPath: /mnt/db, subPath: prod/db"), check.Options{}, []string{`35:7: error: app: volume secrets: is mounted with subPath "prod/db", and there is no such file in it`}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, said(judged(t, tc.options, tc.manifest))); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%s", diff, tc.manifest)
			}
		})
	}
}

// The pod's specification is found wherever a kind has it.
func TestKindsOfWorkloads(t *testing.T) {
	spec := "{serviceAccountName: payment-sa, containers: [{name: a, volumeMounts: [{name: s, mountPath: /s}]}], volumes: [{name: s, csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: db}}}]}"
	for kind, manifest := range map[string]string{
		"Pod":         "spec: " + spec,
		"Deployment":  "spec: {template: {spec: " + spec + "}}",
		"StatefulSet": "spec: {template: {spec: " + spec + "}}",
		"DaemonSet":   "spec: {template: {spec: " + spec + "}}",
		"ReplicaSet":  "spec: {template: {spec: " + spec + "}}",
		"Job":         "spec: {template: {spec: " + spec + "}}",
		"CronJob":     "spec: {jobTemplate: {spec: {template: {spec: " + spec + "}}}}",
		"Rollout":     "spec: {template: {spec: " + spec + "}}",
	} {
		report := judged(t, check.Options{}, rightClass+rightAccount+"---\nkind: "+kind+"\nmetadata: {name: app, namespace: payments}\n"+manifest+"\n")
		if len(report.Findings) > 0 || len(report.Workloads) != 1 || len(report.Workloads[0].Volumes[0].Files) != 1 {
			t.Errorf("%s: findings %q, workloads %+v, want one with a file", kind, said(report), report.Workloads)
		}
	}
}
