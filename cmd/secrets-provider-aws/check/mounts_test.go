package check_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/cmd/secrets-provider-aws/check"
)

func TestFindingsOfMounts(t *testing.T) {
	pod := func(old, by string) string { return rightClass + rightAccount + swap(t, aPod(rightVolume...), old, by) }
	for name, tc := range map[string]struct {
		manifest string
		want     []string
	}{
		"no container mounts the volume": {pod("{name: secrets, mountPath", "{name: cache, mountPath"),
			[]string{`35:7: error: app: volume secrets: is mounted by no container, so the kubelet ignores it and the driver writes neither its files nor its Secrets: add it to the volumeMounts of a container`}},
		"an init container mounts it": {pod("  containers:\n    - name: app\n", "  containers: [{name: app}]\n  initContainers:\n    - name: init\n"), nil},
		"subPathExpr":                 {pod("mountPath: /mnt/secrets", "mountPath: /mnt/db, subPathExpr: $(FILE)"), []string{`35:7: note: app: volume secrets: is mounted with subPathExpr "$(FILE)": such a file is never updated, so only a new pod gets a rotated value`}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, printed(reportOn(t, check.Options{}, tc.manifest))); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%s", diff, tc.manifest)
			}
		})
	}
}

// Files belong to root:root, so a container that is not root needs a mode that lets it read them.
func TestModesForContainersThatAreNotRoot(t *testing.T) {
	const locked = `35:11: error: app: volume secrets: container app has runAsUser 1000 and cannot read "prod_db" (mode MODE): files belong to root:root and fsGroup does not apply, so set filePermission "0444"`
	const unsure = `35:11: note: app: volume secrets: container app has runAsUser 1000 and can read "prod_db" (mode 0440) only if its group is root: files belong to root:root and fsGroup does not apply, so set runAsGroup: 0 or filePermission "0444"`
	for _, tc := range []struct{ mode, pod, container, want string }{
		{"0400", "runAsUser: 1000", "", locked},
		{"0400", "", "runAsUser: 1000", locked},
		{"0400", "runAsUser: 0", "runAsUser: 1000", locked},
		{"0400", "runAsUser: 1000, fsGroup: 1000", "", locked},
		{"0400", "runAsUser: 1000, runAsGroup: 0", "", locked},
		{"0400", "runAsNonRoot: true", "", strings.Replace(locked, "runAsUser 1000", "runAsNonRoot", 1)},
		{"0400", "", "runAsNonRoot: true", strings.Replace(locked, "runAsUser 1000", "runAsNonRoot", 1)},
		{"0400", "runAsNonRoot: true, runAsUser: 1000", "", locked},
		{"0000", "runAsUser: 1000", "", locked},
		{"0440", "runAsUser: 1000, runAsGroup: 1000", "", locked},
		{"0440", "runAsUser: 1000", "", unsure},
		{"0440", "runAsUser: 1000, fsGroup: 1000", "", unsure},
		{"0440", "runAsUser: 1000, runAsGroup: 0", "", ""},
		{"0440", "runAsUser: 1000, runAsGroup: 1000, supplementalGroups: [5, 0]", "", ""},
		{"0440", "runAsUser: 1000, runAsGroup: 1000, fsGroup: 0", "", ""},
		{"0440", "runAsUser: 1000, runAsGroup: 1000", "runAsGroup: 0", ""},
		{"0444", "runAsUser: 1000", "", ""},
		{"0404", "runAsUser: 1000", "", ""},
		{"", "runAsUser: 1000", "", ""},
		{"0400", "", "", ""},
		{"0400", "runAsUser: 0", "", ""},
		{"0400", "runAsUser: 1000", "runAsUser: 0", ""},
		{"0400", "runAsNonRoot: true", "runAsNonRoot: false", ""},
		{"0400", "runAsNonRoot: true, runAsUser: 0", "", ""}, // the kubelet refuses such a pod itself
	} {
		mode := "        # default\n"
		if tc.mode != "" {
			mode = "        filePermission: \"" + tc.mode + "\"\n"
		}
		manifest := rightClass + mode + rightAccount + swap(t, swap(t, aPod(rightVolume...),
			"    - name: app\n", "    - name: app\n      securityContext: {"+tc.container+"}\n"),
			"  containers:\n", "  securityContext: {"+tc.pod+"}\n  containers:\n")
		var want []string
		if tc.want != "" {
			want = []string{strings.Replace(tc.want, "MODE", tc.mode, 1)}
		}
		if diff := cmp.Diff(want, printed(reportOn(t, check.Options{}, manifest))); diff != "" {
			t.Errorf("mode %s, pod {%s}, container {%s} (-want +got):\n%s", tc.mode, tc.pod, tc.container, diff)
		}
	}
}

// A volume with readable files too is a warning, and a subPath shows only its own files.
func TestModesOfSomeFiles(t *testing.T) {
	class := rightClass + "        filePermission: \"0400\"\n        jmesPath: [{path: user, objectAlias: user, filePermission: \"0444\"}, {path: key, objectAlias: key}]\n"
	for mounts, want := range map[string][]string{
		"{name: secrets, mountPath: /s}":                {`35:11: warning: app: volume secrets: container app has runAsUser 1000 and cannot read "prod_db" (mode 0400) and 1 more file: files belong to root:root and fsGroup does not apply, so set filePermission "0444"`},
		"{name: secrets, mountPath: /s, subPath: user}": {`38:7: note: app: volume secrets: is mounted with subPath "user": such a file is never updated, so only a new pod gets a rotated value`},
		"{name: secrets, mountPath: /s, subPath: key}":  {`35:11: error: app: volume secrets: container app has runAsUser 1000 and cannot read "key" (mode 0400): files belong to root:root and fsGroup does not apply, so set filePermission "0444"`, `38:7: note: app: volume secrets: is mounted with subPath "key": such a file is never updated, so only a new pod gets a rotated value`},
	} {
		manifest := class + rightAccount + swap(t, aPod(rightVolume...), "      volumeMounts:\n        - {name: secrets, mountPath: /mnt/secrets}\n", "      securityContext: {runAsUser: 1000}\n      volumeMounts:\n        - "+mounts+"\n")
		if diff := cmp.Diff(want, printed(reportOn(t, check.Options{}, manifest))); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", mounts, diff, manifest)
		}
	}
}
