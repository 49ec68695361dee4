package server_test

import (
	"maps"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/csidriver"
	"secrets-provider-aws/test/rig"
)

// The driver's writer follows the keys of a secret: files come and go with them, down to none and back.
func TestL5_FilesFollowTheKeys(t *testing.T) {
	r := rig.New(t, rig.Options{})
	dir := t.TempDir()
	volume := rig.Mount{Parameters: inRegion(), Objects: "- {objectName: flags, objectType: secretsmanager, format: files}"}
	for _, step := range []struct {
		value string
		want  []string
	}{
		{`{"a":"1","b":"2"}`, []string{"a", "b"}}, {`{"b":"2","c":null}`, []string{"b"}}, {`{"c":null}`, []string{".empty"}}, {`{}`, []string{".empty"}}, {`{"d":""}`, []string{"d"}},
	} {
		r.AWS.PutSecret(rig.Region, "flags", step.value)
		response, err := r.Mount(volume)
		if err != nil {
			t.Fatalf("%s: %v", step.value, err)
		}
		if err := csidriver.Write(response, dir); err != nil {
			t.Fatalf("%s: the driver's writer: %v", step.value, err)
		}
		tree, err := csidriver.Tree(dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(step.want, slices.Sorted(maps.Keys(tree))); diff != "" {
			t.Errorf("%s: files (-want +got):\n%s", step.value, diff)
		}
		if diff := gocmp.Diff(step.want, slices.Sorted(maps.Keys(versions(response)))); diff != "" {
			t.Errorf("%s: ObjectVersions (-want +got):\n%s", step.value, diff)
		}
	}
}
