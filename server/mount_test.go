package server_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// The policy of our users' article allows GetSecretValue and nothing else.
func TestMountNeedsNoPermissionButGetSecretValue(t *testing.T) {
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
	t.Log(r.Logs())
}
