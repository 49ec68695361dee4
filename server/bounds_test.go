package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/rig"
)

// A request that is larger than any real one, or names what Kubernetes has no name for, is refused before it is
// looked at, in a short message and with little in the log.
func TestT53_RequestsAreBounded(t *testing.T) {
	r := rig.New(t, rig.Options{})
	good := rig.Mount{Objects: "- {objectName: prod/db, objectType: secretsmanager}\n"}
	attributes := func(key, value string) func(*v1alpha1.MountRequest) {
		return func(req *v1alpha1.MountRequest) { setAttributes(t, req, map[string]string{key: value}) }
	}
	for name, tc := range map[string]struct {
		spoil func(*v1alpha1.MountRequest)
		want  string
	}{
		"a parameter of a MiB": {attributes("region", strings.Repeat("x", 1<<20)), "its attributes are 1"},
		"1000 parameters": {func(req *v1alpha1.MountRequest) {
			many := map[string]string{}
			for i := range 1000 {
				many[fmt.Sprintf("k%d", i)] = ""
			}
			setAttributes(t, req, many)
		}, "attributes, at most 256 are read"},
		"secrets of 2 MiB":          {func(req *v1alpha1.MountRequest) { req.Secrets = `{"a":"` + strings.Repeat("x", 2<<20) + `"}` }, "its secrets are 2"},
		"a target path of 5 KB":     {func(req *v1alpha1.MountRequest) { req.TargetPath = strings.Repeat("/x", 2500) }, "its target path is longer than 4096 bytes"},
		"a pod's name of 254 bytes": {attributes("csi.storage.k8s.io/pod.name", strings.Repeat("x", 254)), "cannot be a name of Kubernetes"},
		"a namespace of two lines":  {attributes("csi.storage.k8s.io/pod.namespace", "pay\nments"), `"pay\nments" cannot be a name of Kubernetes`},
		"a uid with an escape":      {attributes("csi.storage.k8s.io/pod.uid", "\x1b[31m"), `"\x1b[31m" cannot be a name of Kubernetes`},
		"an account outside ASCII":  {attributes("csi.storage.k8s.io/serviceAccount.name", "p\u00e4"), "cannot be a name of Kubernetes"},
		"a class of 30 KB":          {attributes("secretProviderClass", strings.Repeat("x\n", 15_000)), "cannot be a name of Kubernetes"},
	} {
		t.Run(name, func(t *testing.T) {
			req := r.Request(good)
			tc.spoil(req)
			logged := len(r.Logs())
			_, err := r.Client.Mount(t.Context(), req)
			message := status.Convert(err).Message()
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(message, tc.want) || len(message) > 600 || strings.ContainsAny(message, "\n\x01\x1b") {
				t.Errorf("got %s: %.700q, want InvalidArgument with %q in a short line", status.Code(err), message, tc.want)
			}
			if grown := len(r.Logs()) - logged; grown > 2000 {
				t.Errorf("the log grew by %d bytes", grown)
			}
		})
	}
	if calls := r.AWS.Calls(); len(calls) != 0 {
		t.Errorf("AWS was called: %v", calls)
	}
}

// setAttributes sets attributes of a request.
func setAttributes(t *testing.T, req *v1alpha1.MountRequest, set map[string]string) {
	t.Helper()
	var attributes map[string]string
	if err := json.Unmarshal([]byte(req.GetAttributes()), &attributes); err != nil {
		t.Fatal(err)
	}
	maps.Copy(attributes, set)
	text, err := json.Marshal(attributes)
	if err != nil {
		t.Fatal(err)
	}
	req.Attributes = string(text)
}
