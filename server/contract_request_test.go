package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

const dbSecret = "- {objectName: prod/db, objectType: secretsmanager}\n"

// dbWorld holds the secret of dbSecret.
var dbWorld = awssim.State{Secrets: []awssim.Secret{{Region: rig.Region, Name: "prod/db", Value: "hunter2"}}}

// inRegion returns the parameters of most tests.
func inRegion() map[string]string { return map[string]string{"region": rig.Region} }

func TestD12_TokensInAttributesOrSecrets(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld})
	for _, inSecrets := range []bool{false, true} {
		req := r.Request(rig.Mount{Parameters: inRegion(), Objects: dbSecret, TokensInSecrets: inSecrets})
		if got := strings.Contains(req.GetSecrets(), "serviceAccount.tokens"); got != inSecrets {
			t.Fatalf("tokens among the secrets: %t, want %t", got, inSecrets)
		}
		if !inSecrets && req.GetSecrets() != "null" {
			t.Fatalf("secrets %q, want null, which the driver sends without a nodePublishSecretRef", req.GetSecrets())
		}
		wantFiles(t, r, req, map[string]string{"prod_db": "hunter2"})
	}
	if got := r.AWS.Calls()["sts:AssumeRoleWithWebIdentity"]; got != 2 {
		t.Errorf("%d calls of STS, want 2", got)
	}
}

func TestD12_OtherSecretsAreIgnored(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld})
	for name, secrets := range map[string]string{
		"null": "null", "empty": "", "no secrets": "{}", "nodePublishSecretRef": `{"username":"app","password":"of the pod's nodePublishSecretRef"}`,
		"not read where the attributes have the tokens": "rubbish",
	} {
		t.Run(name, func(t *testing.T) {
			req := r.Request(rig.Mount{Parameters: inRegion(), Objects: dbSecret})
			req.Secrets = secrets
			wantFiles(t, r, req, map[string]string{"prod_db": "hunter2"})
		})
	}
}

// The kubelet sends one token for each entry of tokenRequests. Other audiences are ignored.
func TestD13_TokensOfSeveralAudiences(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld})
	token := func(audience string) string {
		return r.Token(awssim.Token{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, Audience: []string{audience}})
	}
	req := r.Request(rig.Mount{Parameters: inRegion(), Objects: dbSecret, Tokens: map[string]string{
		"pods.eks.amazonaws.com": token("pods.eks.amazonaws.com"), "sts.amazonaws.com": token("sts.amazonaws.com"), "vault": "not a token",
	}})
	wantFiles(t, r, req, map[string]string{"prod_db": "hunter2"})
}

func TestD15_PermissionIsADecimalNumber(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld})
	for permission, want := range map[string]int32{"420": 0o644, "0": 0, "256": 0o400, "511": 0o777} {
		resp, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: dbSecret, Permission: permission})
		if err != nil {
			t.Errorf("permission %s: %v", permission, err)
			continue
		}
		if got := resp.GetFiles()[0].GetMode(); got != want {
			t.Errorf("permission %s gives mode %04o, want %04o", permission, got, want)
		}
	}
	before := r.AWS.Calls()
	for _, permission := range []string{"", "512", "65535", "4294967296", "-1", "+420", "0x1a4", "0o644", "rw-r--r--", `"420"`, "420 ", "4.2e2", "\xff"} {
		req := r.Request(rig.Mount{Parameters: inRegion(), Objects: dbSecret})
		req.Permission = strings.ToValidUTF8(permission, "�")
		_, err := r.Client.Mount(t.Context(), req)
		wantStatus(t, err, codes.InvalidArgument, fmt.Sprintf("permission %q is not a decimal number from 0 to 511", req.Permission))
	}
	if diff := cmp.Diff(before, r.AWS.Calls()); diff != "" {
		t.Errorf("AWS was called for a malformed request (-before +after):\n%s", diff)
	}
}

// Drivers before 1.6 send the current versions of the volume. The response is the whole volume in any case.
func TestD16_CurrentObjectVersionIsIgnored(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld})
	first, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: dbSecret})
	if err != nil {
		t.Fatal(err)
	}
	req := r.Request(rig.Mount{Parameters: inRegion(), Objects: dbSecret})
	req.CurrentObjectVersion = append(first.GetObjectVersion(), &v1alpha1.ObjectVersion{Id: "gone", Version: "1"}, nil)
	wantFiles(t, r, req, map[string]string{"prod_db": "hunter2"})
	if got := r.AWS.Calls()["secretsmanager:GetSecretValue"]; got != 2 {
		t.Errorf("%d reads for two first mounts, want 2", got)
	}
}

// The driver overrides the SecretProviderClass's parameters with the pod's volumeAttributes. A pod author can
// set every parameter, so no parameter can enforce a policy.
func TestD10_VolumeAttributesOverrideParameters(t *testing.T) {
	r := rig.New(t, rig.Options{State: awssim.State{Secrets: []awssim.Secret{
		{Region: rig.Region, Name: "prod/db", Value: "hunter2"},
		{Region: "eu-west-1", Name: "prod/db", Value: "hunter3"},
	}}})
	class := map[string]string{"region": rig.Region, "objects": dbSecret}
	for name, tc := range map[string]struct{ attributes, want map[string]string }{
		"nothing":         {nil, map[string]string{"prod_db": "hunter2"}},
		"region":          {map[string]string{"region": "eu-west-1"}, map[string]string{"prod_db": "hunter3"}},
		"pathTranslation": {map[string]string{"pathTranslation": "False"}, map[string]string{"prod/db": "hunter2"}},
		"objects": {
			map[string]string{"objects": "- {objectName: prod/db, objectType: secretsmanager, objectAlias: mine}"},
			map[string]string{"mine": "hunter2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := rig.Mount{Parameters: maps.Clone(class)}
			maps.Copy(m.Parameters, tc.attributes)
			wantFiles(t, r, r.Request(m), tc.want)
		})
	}
}

func TestD11_MissingPodInfo(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld})
	for _, missing := range []string{"csi.storage.k8s.io/pod.namespace", "csi.storage.k8s.io/serviceAccount.name"} {
		req := r.Request(rig.Mount{Parameters: inRegion(), Objects: dbSecret})
		editAttributes(t, req, func(a map[string]string) { delete(a, missing) })
		_, err := r.Client.Mount(t.Context(), req)
		wantStatus(t, err, codes.FailedPrecondition, "podInfoOnMount: true in the CSIDriver object secrets-store.csi.k8s.io")
	}
	wantNoCalls(t, r)
}

func TestD14_MissingTokens(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld})
	for name, tokens := range map[string]map[string]string{
		"no tokenRequests":  {},
		"another audience":  {"vault": r.Token(awssim.Token{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount})},
		"Pod Identity only": {"pods.eks.amazonaws.com": r.Token(awssim.Token{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount})},
		"empty":             {"sts.amazonaws.com": ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: dbSecret, Tokens: tokens})
			wantStatus(t, err, codes.FailedPrecondition, "no token for audience sts.amazonaws.com", "tokenRequests of the CSIDriver object")
		})
	}
	wantNoCalls(t, r)
}

func TestD17_MalformedRequestIsRefused(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld})
	for name, tc := range map[string]struct {
		spoil func(*v1alpha1.MountRequest)
		says  string
	}{
		"no attributes":         {func(q *v1alpha1.MountRequest) { q.Attributes = "" }, "its attributes are not a JSON object of strings"},
		"attributes are a list": {func(q *v1alpha1.MountRequest) { q.Attributes = "[]" }, "its attributes are not a JSON object of strings"},
		"a number among them":   {func(q *v1alpha1.MountRequest) { q.Attributes = `{"region":1}` }, "its attributes are not a JSON object of strings"},
		"null":                  {func(q *v1alpha1.MountRequest) { q.Attributes = "null" }, "the CSI driver sent no pod information"},
		"no target path":        {func(q *v1alpha1.MountRequest) { q.TargetPath = "" }, "it has no target path"},
		"nothing at all":        {func(q *v1alpha1.MountRequest) { q.Reset() }, "its attributes are not a JSON object of strings"},
		"secrets are a list": {func(q *v1alpha1.MountRequest) {
			editAttributes(t, q, func(a map[string]string) { delete(a, "csi.storage.k8s.io/serviceAccount.tokens") })
			q.Secrets = "[]"
		}, "its secrets are not a JSON object of strings"},
		"tokens are a list": {func(q *v1alpha1.MountRequest) {
			editAttributes(t, q, func(a map[string]string) { a["csi.storage.k8s.io/serviceAccount.tokens"] = "[]" })
		}, "cannot read the pod's ServiceAccount tokens"},
	} {
		t.Run(name, func(t *testing.T) {
			req := r.Request(rig.Mount{Parameters: inRegion(), Objects: dbSecret})
			tc.spoil(req)
			_, err := r.Client.Mount(t.Context(), req)
			if code := status.Code(err); code != codes.InvalidArgument && code != codes.FailedPrecondition {
				t.Errorf("code %s: %v", code, err)
			}
			wantStatus(t, err, status.Code(err), tc.says)
		})
	}
	wantNoCalls(t, r)
}

// wantFiles mounts and compares the files: path to content.
func wantFiles(t *testing.T, r *rig.Rig, req *v1alpha1.MountRequest, want map[string]string) {
	t.Helper()
	resp, err := r.Client.Mount(t.Context(), req)
	if err != nil {
		t.Error(err)
		return
	}
	got := map[string]string{}
	for _, f := range resp.GetFiles() {
		got[f.GetPath()] = string(f.GetContents())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// wantStatus checks the code of an error and the parts of its message.
func wantStatus(t *testing.T, err error, code codes.Code, texts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %s", code)
		return
	}
	if got := status.Code(err); got != code {
		t.Errorf("code %s, want %s: %v", got, code, err)
	}
	for _, text := range texts {
		if message := status.Convert(err).Message(); !strings.Contains(message, text) {
			t.Errorf("the message does not say %q: %s", text, message)
		}
	}
}

// wantNoCalls checks that a request was refused before any call to AWS or Kubernetes.
func wantNoCalls(t *testing.T, r *rig.Rig) {
	t.Helper()
	if calls := r.AWS.Calls(); len(calls) != 0 {
		t.Errorf("AWS was called: %v", calls)
	}
	if calls := r.Kube.Calls(); len(calls) != 0 {
		t.Errorf("Kubernetes was called: %v", calls)
	}
}

func editAttributes(t *testing.T, req *v1alpha1.MountRequest, edit func(map[string]string)) {
	t.Helper()
	var attributes map[string]string
	if err := json.Unmarshal([]byte(req.GetAttributes()), &attributes); err != nil {
		t.Fatal(err)
	}
	edit(attributes)
	text, err := json.Marshal(attributes)
	if err != nil {
		t.Fatal(err)
	}
	req.Attributes = string(text)
}
