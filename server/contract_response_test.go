package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// everyFeature has a file of every kind: whole value, alias, jmesPath, binary, parameter, mode.
const everyFeature = `
- objectName: prod/db
  objectType: secretsmanager
  jmesPath:
  - {path: user, objectAlias: db-user}
  - {path: password, objectAlias: db-password, filePermission: "0400"}
- objectName: prod/key
  objectType: secretsmanager
  objectAlias: key.der
  filePermission: "0600"
- objectName: /prod/url
  objectType: ssmparameter
`

var everyWorld = awssim.State{
	Secrets: []awssim.Secret{
		{Region: rig.Region, Name: "prod/db", Value: `{"user":"app","password":"hunter2"}`},
		{Region: rig.Region, Name: "prod/key", Binary: []byte{0, 0xff, 1}},
	},
	Parameters: []awssim.Parameter{{Region: rig.Region, Name: "/prod/url", Type: "SecureString", Value: "https://example.com"}},
}

func TestD19_OneVersionForEachFile(t *testing.T) {
	r := rig.New(t, rig.Options{State: everyWorld})
	resp := mount(t, r, everyFeature)
	ids := map[string]int{}
	for _, v := range resp.GetObjectVersion() {
		ids[v.GetId()]++
		if v.GetVersion() == "" {
			t.Errorf("%s has no version", v.GetId())
		}
	}
	want := map[string]int{"prod_db": 1, "db-user": 1, "db-password": 1, "key.der": 1, "_prod_url": 1}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("ids of ObjectVersion (-want +got):\n%s", diff)
	}
	paths := map[string]int{}
	for _, f := range resp.GetFiles() {
		paths[f.GetPath()]++
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("files, which the ids name (-want +got):\n%s", diff)
	}
	if resp.GetError() != nil {
		t.Errorf("error.code would replace the status: %v", resp.GetError())
	}
}

// The driver fails with "missing object versions" on a response without an ObjectVersion. The provider refuses
// a volume without objects earlier, with a message that helps.
func TestD19_VolumeWithoutObjectsIsRefused(t *testing.T) {
	r := rig.New(t, rig.Options{})
	for name, objects := range map[string]string{"missing": "", "empty": "[]", "null": "null", "comment": "# later"} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: objects})
			wantStatus(t, err, codes.InvalidArgument, "list at least one object with objectName and objectType")
		})
	}
	wantNoCalls(t, r)
}

// The driver's rotation depends on it, and so do tools that watch SecretProviderClassPodStatus.
func TestD20_VersionChangesOnlyWithTheContent(t *testing.T) {
	r := rig.New(t, rig.Options{State: everyWorld})
	first := versions(mount(t, r, everyFeature))
	if diff := cmp.Diff(first, versions(mount(t, r, everyFeature))); diff != "" {
		t.Errorf("versions changed without a new content (-first +second):\n%s", diff)
	}
	changes := []struct {
		put     func()
		changed []string
	}{
		{func() { r.AWS.PutSecret(rig.Region, "prod/db", `{"user":"app","password":"hunter3"}`) }, []string{"prod_db", "db-user", "db-password"}},
		{func() { r.AWS.PutParameter(rig.Region, "/prod/url", "https://example.org") }, []string{"_prod_url"}},
	}
	for _, change := range changes {
		change.put()
		next := versions(mount(t, r, everyFeature))
		want := map[string]bool{}
		for _, id := range change.changed {
			want[id] = true
		}
		for id, version := range next {
			if changed := version != first[id]; changed != want[id] {
				t.Errorf("%s: changed %t, want %t (%s → %s)", id, changed, want[id], first[id], version)
			}
		}
		first = next
	}
}

// The driver removes every file that the response does not list, so a partial response is impossible.
func TestD21_FilesAreTheWholeVolume(t *testing.T) {
	r := rig.New(t, rig.Options{State: everyWorld})
	want := map[string]string{
		"prod_db": `{"user":"app","password":"hunter2"}`, "db-user": "app", "db-password": "hunter2",
		"key.der": "\x00\xff\x01", "_prod_url": "https://example.com",
	}
	for range 2 { // an unchanged volume is sent in full again
		if diff := cmp.Diff(want, r.Files(rig.Mount{Parameters: inRegion(), Objects: everyFeature})); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	}
	remove := r.AWS.Inject(awssim.Fault{Service: "ssm", Code: "ParameterVersionNotFound"})
	resp, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: everyFeature})
	if err == nil || len(resp.GetFiles()) != 0 {
		t.Errorf("one object failed, and %d files came, error %v", len(resp.GetFiles()), err)
	}
	remove()
}

func TestD23_ModesAreSetAndValid(t *testing.T) {
	r := rig.New(t, rig.Options{State: everyWorld})
	for permission, rest := range map[string]int32{"420": 0o644, "288": 0o440} {
		resp, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: everyFeature, Permission: permission})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int32{}
		for _, f := range resp.GetFiles() {
			got[f.GetPath()] = f.GetMode()
			if f.GetMode()&^0o777 != 0 {
				t.Errorf("%s has mode %o, above 0777", f.GetPath(), f.GetMode())
			}
		}
		want := map[string]int32{"prod_db": rest, "db-user": rest, "db-password": 0o400, "key.der": 0o600, "_prod_url": rest}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("modes with permission %s (-want +got):\n%s", permission, diff)
		}
	}
	before := r.AWS.Calls()["secretsmanager:GetSecretValue"]
	for _, mode := range []string{"1777", "4755", "7777"} {
		_, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: strings.ReplaceAll(everyFeature, "0600", mode)})
		wantStatus(t, err, codes.InvalidArgument, "objects[1].filePermission", mode)
	}
	if after := r.AWS.Calls()["secretsmanager:GetSecretValue"]; after != before {
		t.Errorf("%d reads for invalid modes", after-before)
	}
}

// Above its limit the driver's gRPC client returns ResourceExhausted, which is not final.
func TestD24_TooLargeResponseIsRefused(t *testing.T) {
	var state awssim.State
	var objects strings.Builder
	const size = 65536 // maximum size of a secret
	for i := range 64 {
		name := fmt.Sprintf("big%02d", i)
		state.Secrets = append(state.Secrets, awssim.Secret{Region: rig.Region, Name: name, Value: strings.Repeat("x", size-i)})
		fmt.Fprintf(&objects, "- {objectName: %s, objectType: secretsmanager}\n", name)
	}
	r := rig.New(t, rig.Options{State: state})
	_, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: objects.String()})
	wantStatus(t, err, codes.FailedPrecondition,
		`the largest is "big00" with 65536`, "the CSI driver accepts 4194304", "--max-call-recv-msg-size", "--max-response-bytes")

	below, _, _ := strings.Cut(objects.String(), "- {objectName: big63")
	if resp := mount(t, r, below); len(resp.GetFiles()) != 63 {
		t.Errorf("%d files of a volume just below the limit, want 63", len(resp.GetFiles()))
	}
}

// The driver accepts a response of exactly the limit and refuses one more byte.
func TestD24_LimitIsExact(t *testing.T) {
	size := proto.Size(mount(t, rig.New(t, rig.Options{State: everyWorld}), everyFeature))
	for limit, fits := range map[int]bool{size: true, size - 1: false} {
		r := rig.New(t, rig.Options{State: everyWorld, MaxResponse: limit})
		_, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: everyFeature})
		if fits && err != nil {
			t.Errorf("limit %d: %v", limit, err)
		}
		if !fits {
			wantStatus(t, err, codes.FailedPrecondition, fmt.Sprintf("take %d bytes, the CSI driver accepts %d", size, limit))
		}
	}
}

func mount(t *testing.T, r *rig.Rig, objects string) *v1alpha1.MountResponse {
	t.Helper()
	resp, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: objects})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// versions maps id to version.
func versions(resp *v1alpha1.MountResponse) map[string]string {
	m := map[string]string{}
	for _, v := range resp.GetObjectVersion() {
		m[v.GetId()] = v.GetVersion()
	}
	return m
}
