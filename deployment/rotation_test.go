package deployment_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Rotation costs money, and AWS's chart has it off. An upgrade from there must not turn it on.
func TestChart_DriverHasTokensAndRotationOnlyOnRequest(t *testing.T) {
	dir := chart(t)
	for values, rotates := range map[string]bool{
		"secrets-store-csi-driver: {install: true}":                              false,
		"secrets-store-csi-driver: {install: true, enableSecretRotation: true}":  true,
		"secrets-store-csi-driver: {install: true, enableSecretRotation: false}": false,
	} {
		t.Run(values, func(t *testing.T) {
			rendered, err := render(t, dir, []byte(values))
			if err != nil {
				t.Fatal(err)
			}
			all := objects(t, rendered)
			at := slices.IndexFunc(all, func(o object) bool { return o.Kind == "CSIDriver" })
			if at < 0 {
				t.Fatal("no CSIDriver was rendered")
			}
			var audiences []string
			for _, request := range all[at].Spec.TokenRequests {
				audiences = append(audiences, request.Audience)
			}
			if diff := cmp.Diff([]string{"sts.amazonaws.com", "pods.eks.amazonaws.com"}, audiences); diff != "" {
				t.Errorf("tokenRequests (-want +got):\n%s", diff)
			}
			if got := all[at].Spec.RequiresRepublish; got != rotates {
				t.Errorf("requiresRepublish is %t, want %t", got, rotates)
			}
			if got := strings.Contains(rendered, "--enable-secret-rotation=true"); got != rotates {
				t.Errorf("the driver has --enable-secret-rotation=true: %t, want %t", got, rotates)
			}
		})
	}
}

// This test renders NOTES without a cluster. The end-to-end test checks what they say of a cluster.
func TestChart_Notes(t *testing.T) {
	dir := chart(t)
	for _, test := range []struct {
		name      string
		arguments []string
		want      []string
		absent    []string
	}{
		{
			name: "the cluster's driver",
			want: []string{
				"rollout status daemonset/secrets-provider-aws", "tokenRequests", "pods.eks.amazonaws.com", "eks.amazonaws.com/role-arn",
				"which is enableSecretRotation=true in the driver's chart", "kubectl get nodes", "Refresh interval: 2m,",
			},
			absent: []string{`"requiresRepublish":true`, "--set enableSecretRotation=true"},
		},
		{
			name:      "own driver, no rotation",
			arguments: []string{"--set", "secrets-store-csi-driver.install=true"},
			want:      []string{"installs the CSI driver", "Rotation is off", "--set secrets-store-csi-driver.enableSecretRotation=true"},
		},
		{
			name: "own driver, rotation",
			arguments: []string{
				"--set", "secrets-store-csi-driver.install=true", "--set", "secrets-store-csi-driver.enableSecretRotation=true",
				"--set", "extraArgs={--mount-timeout=90s,--refresh-interval=15m}",
			},
			want:   []string{"Rotation is on", "reads per month", "Refresh interval: 15m,", "check --nodes N --refresh-interval 15m FILE..."},
			absent: []string{"Rotation is off", "enableSecretRotation=true"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			arguments := append([]string{"install", "secrets-provider-aws", dir, "--namespace=kube-system", "--dry-run=client"}, test.arguments...)
			stdout, stderr, err := helm(t, arguments...)
			if err != nil {
				t.Fatal(stderr)
			}
			_, notes, _ := strings.Cut(stdout, "NOTES:")
			for _, want := range test.want {
				if !strings.Contains(notes, want) {
					t.Errorf("the notes lack %q:\n%s", want, notes)
				}
			}
			for _, absent := range append(test.absent, "WARNING") {
				if strings.Contains(notes, absent) {
					t.Errorf("the notes have %q:\n%s", absent, notes)
				}
			}
		})
	}
}
