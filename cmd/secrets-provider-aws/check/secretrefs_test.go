package check_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/cmd/secrets-provider-aws/check"
)

// The driver writes a Secret of secretObjects only while a container mounts its class.
func TestFindingsOfSecretReferences(t *testing.T) {
	synced := withSpec(oneObject, "secretObjects: [{secretName: s, type: Opaque, data: [{objectName: prod_db, key: password}]}]")
	const (
		add    = `the driver writes Secret "s" only while a container mounts SecretProviderClass payments/db: add a volume of this class to the pod, and mount it in a container`
		mount  = `the driver writes Secret "s" only while a container mounts SecretProviderClass payments/db: mount volume secrets in a container`
		others = `Secret "s" exists only while other pods mount SecretProviderClass payments/db: add a volume of this class to this pod too, and mount it in a container`
		idle   = `is mounted by no container, so the kubelet ignores it and the driver writes neither its files nor its Secrets: add it to the volumeMounts of a container`
	)
	// mounting is a pod that mounts the class and has these lines in its container, bare is one without volumes.
	mounting := func(lines string) string {
		return rightAccount + swap(t, aPod(rightVolume...), "    - name: app\n", "    - name: app\n"+lines)
	}
	bare := func(lines string) string {
		return "---\nkind: Pod\nmetadata: {name: other, namespace: payments}\nspec:\n  containers:\n    - name: main\n" + lines
	}
	env := func(ref string) string {
		return "      env:\n        - {name: PASSWORD, valueFrom: {secretKeyRef: " + ref + "}}\n"
	}
	const whole = "      envFrom:\n        - {secretRef: {name: s}}\n"
	for name, tc := range map[string]struct {
		pods string
		want []string
	}{
		"the right key":         {mounting(env("{name: s, key: password}")), nil},
		"the whole Secret":      {mounting(whole), nil},
		"a Secret of others":    {mounting(env("{name: other, key: password}")), nil},
		"a mistyped key":        {mounting(env("{name: s, key: pasword}")), []string{`33:69: error: app: container app: env PASSWORD: SecretProviderClass payments/db writes no key "pasword" to Secret "s" (did you mean password?)`}},
		"an unknown key":        {mounting(env("{name: s, key: x}")), []string{`33:69: error: app: container app: env PASSWORD: SecretProviderClass payments/db writes no key "x" to Secret "s": its keys are "password"`}},
		"an optional key":       {mounting(env("{name: s, key: x, optional: true}")), []string{`33:69: warning: app: container app: env PASSWORD: SecretProviderClass payments/db writes no key "x" to Secret "s": its keys are "password"`}},
		"no volume":             {bare(env("{name: s, key: x}")), []string{`21:61: error: other: container main: env PASSWORD: ` + add}},
		"no volume, optional":   {bare(env("{name: s, key: x, optional: true}")), []string{`21:61: warning: other: container main: env PASSWORD: ` + add}},
		"no volume, twice":      {bare(env("{name: s, key: password}") + whole), []string{`21:61: error: other: container main: env PASSWORD: ` + add}},
		"envFrom without it":    {bare(whole), []string{`21:30: error: other: container main: envFrom[0]: ` + add}},
		"in another namespace":  {strings.Replace(bare(whole), "payments", "shop", 1), nil},
		"without a namespace":   {strings.Replace(bare(whole), ", namespace: payments", "", 1), []string{`21:30: error: other: container main: envFrom[0]: ` + add}},
		"another pod mounts it": {mounting("") + bare(whole), []string{`48:30: warning: other: container main: envFrom[0]: ` + others}},
		"a volume that no container mounts": {swap(t, mounting(whole), "name: secrets, mountPath", "name: cache, mountPath"), []string{
			`33:30: error: app: container app: envFrom[0]: ` + mount, `38:7: error: app: volume secrets: ` + idle}},
		"a Secret's volume":            {bare("  volumes: [{name: v, secret: {secretName: s}}]\n"), []string{`20:44: error: other: volume v: ` + add}},
		"a projected volume":           {bare("  volumes: [{name: v, projected: {sources: [{secret: {name: s}}]}}]\n"), []string{`20:61: error: other: volume v: ` + add}},
		"the items of a Secret volume": {swap(t, mounting(""), "  volumes:\n", "  volumes:\n    - {name: v, secret: {secretName: s, items: [{key: password, path: p}, {key: x, path: x}]}}\n"), []string{`35:81: error: app: volume v: SecretProviderClass payments/db writes no key "x" to Secret "s": its keys are "password"`}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, printed(reportOn(t, check.Options{}, synced+tc.pods))); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%s", diff, tc.pods)
			}
		})
	}
}

// Two classes that the pod mounts may both write a Secret, and each key of either is right.
func TestSecretOfTwoClasses(t *testing.T) {
	first := withSpec(oneObject, "secretObjects: [{secretName: s, type: Opaque, data: [{objectName: prod_db, key: a}]}]")
	second := swap(t, swap(t, first, "name: db", "name: db2"), "key: a", "key: b")
	pod := swap(t, swap(t, aPod(rightVolume...), "    - name: app\n", "    - name: app\n      env:\n        - {name: A, valueFrom: {secretKeyRef: {name: s, key: a}}}\n        - {name: B, valueFrom: {secretKeyRef: {name: s, key: b}}}\n        - {name: C, valueFrom: {secretKeyRef: {name: s, key: password, optional: false}}}\n"),
		"  volumes:\n", "        - {name: more, mountPath: /mnt/more}\n  volumes:\n    - name: more\n      csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: db2}}\n")
	want := []string{
		`27:32: warning: db2: spec.secretObjects: SecretProviderClass payments/db writes the Secret "s" too`,
		`49:62: error: app: container app: env C: SecretProviderClass payments/db writes no key "password" to Secret "s": its keys are "a", "b"`,
	}
	got := printed(reportOn(t, check.Options{}, first+"---\n"+second+rightAccount+pod))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestSecretReferencesOfRarePods(t *testing.T) {
	const secrets = "secretObjects: [{secretName: s, type: Opaque, data: [{objectName: prod_db, key: a}]}]"
	const env = "      env:\n        - {name: A, valueFrom: {secretKeyRef: {name: s, key: other}}}\n"
	pod := swap(t, aPod(rightVolume...), "    - name: app\n", "    - name: app\n"+env)
	for name, tc := range map[string]struct {
		manifest string
		want     []string
	}{
		"a class without a namespace": {strings.Replace(withSpec(oneObject, secrets), "  namespace: payments\n", "", 1) + rightAccount + pod,
			[]string{`32:62: error: app: container app: env A: SecretProviderClass db writes no key "other" to Secret "s": its keys are "a"`}},
		"a Secret without data": {withSpec(oneObject, "secretObjects: [{secretName: s, type: Opaque}]") + rightAccount + pod,
			[]string{`13:19: error: db: spec.secretObjects[0]: has no data`}},
		"two volumes, the first without a mount": {withSpec(oneObject, secrets) + rightAccount + swap(t, swap(t, pod, "key: other", "key: a"), "  volumes:\n", "  volumes:\n    - name: idle\n      csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: db}}\n"),
			[]string{`38:7: error: app: volume idle: is mounted by no container, so the kubelet ignores it and the driver writes neither its files nor its Secrets: add it to the volumeMounts of a container`}},
		"two volumes, the second without a mount": {withSpec(oneObject, secrets) + rightAccount + swap(t, pod, "key: other", "key: a") + "    - name: idle\n      csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: db}}\n",
			[]string{`44:7: error: app: volume idle: is mounted by no container, so the kubelet ignores it and the driver writes neither its files nor its Secrets: add it to the volumeMounts of a container`}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, printed(reportOn(t, check.Options{}, tc.manifest))); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%s", diff, tc.manifest)
			}
		})
	}
}
