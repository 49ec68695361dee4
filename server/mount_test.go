package server_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// The usual policy for AWS's provider allows only GetSecretValue.
func TestK41_MountNeedsNoPermissionButGetSecretValue(t *testing.T) {
	r := rig.New(t, rig.Options{Policies: []awssim.Document{rig.ReadSecrets}})
	r.AWS.PutSecret(rig.Region, "prod/db", `{"user":"app","password":"hunter2"}`)
	got := r.Files(rig.Mount{
		Parameters: map[string]string{"region": rig.Region},
		Objects:    "- objectName: prod/db\n  objectType: secretsmanager\n  jmesPath:\n  - {path: user, objectAlias: db-user}\n",
	})
	want := map[string]string{"prod_db": `{"user":"app","password":"hunter2"}`, "db-user": "app"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	wantCalls := map[string]int{"sts:AssumeRoleWithWebIdentity": 1, "secretsmanager:GetSecretValue": 1}
	if diff := cmp.Diff(wantCalls, r.AWS.Calls()); diff != "" {
		t.Errorf("AWS calls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"GET serviceaccounts": 1}, r.Kube.Calls()); diff != "" {
		t.Errorf("Kubernetes calls (-want +got):\n%s", diff)
	}
}

// Each mount logs one line with the pod, the class, the sources and the result. Each ignored field of the
// SecretProviderClass logs a warning (rule I9).
func TestMountIsLoggedInOneLine(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld})
	_ = r.Files(rig.Mount{
		Parameters: map[string]string{"region": rig.Region, "regoin": "eu-west-1"},
		Objects:    "- {objectName: prod/db, objectType: secretsmanager, objectalias: db, comment: x}\n",
	})
	if _, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: secretNamed("none")}); err == nil {
		t.Error("a missing secret was mounted")
	}
	if _, err := r.Client.Version(t.Context(), &v1alpha1.VersionRequest{}); err != nil {
		t.Error(err)
	}
	var mounts, warnings []string
	for line := range strings.Lines(r.Logs()) {
		switch {
		case strings.Contains(line, "level=DEBUG"):
		case strings.Contains(line, "msg=mount "):
			mounts = append(mounts, line)
		case strings.Contains(line, "msg=SecretProviderClass "):
			warnings = append(warnings, line)
		default:
			t.Errorf("unexpected log line: %s", line)
		}
	}
	const who = "namespace=payments pod=payment-7d4b9 service_account=payment-sa class=payment-secrets role=" + rig.RoleARN + " region=" + rig.Region + " objects=1 "
	wantLines(t, mounts, []string{"level=INFO", who, " read=1 cached=0 stale=0 failover=0 ", " duration=", "code=OK"}, []string{"level=WARN", who, " read=0 ", " duration=", "code=NotFound", "ResourceNotFoundException"})
	wantLines(t, warnings,
		[]string{"level=WARN", "class=payments/payment-secrets", "objectalias"},
		[]string{"level=WARN", "class=payments/payment-secrets", "comment"},
		[]string{"level=WARN", "class=payments/payment-secrets", "regoin", "did you mean region?"})
}

// wantLines checks that each line contains the given texts.
func wantLines(t *testing.T, lines []string, want ...[]string) {
	t.Helper()
	if len(lines) != len(want) {
		t.Errorf("%d lines, want %d: %q", len(lines), len(want), lines)
		return
	}
	for i, texts := range want {
		for _, text := range texts {
			if !strings.Contains(lines[i], text) {
				t.Errorf("line %d does not say %q: %s", i+1, text, lines[i])
			}
		}
	}
}
