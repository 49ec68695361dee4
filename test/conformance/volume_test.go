// Package conformance_test checks the provider's responses against programs that others wrote: the
// CSI driver's own writer of volumes, and a second, independent AWS.
package conformance_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/csidriver"
	"secrets-provider-aws/test/rig"
)

const secretARN = "arn:aws:secretsmanager:ap-south-1:123456789012:secret:app/db-AbCdEf"

func world() awssim.State {
	return awssim.State{
		Secrets: []awssim.Secret{
			{Region: rig.Region, Name: "app/db", Suffix: "AbCdEf", Versions: []awssim.SecretVersion{
				{ID: "11111111-1111-1111-1111-111111111111", Value: `{"password":"old"}`, Stages: []string{"AWSPREVIOUS"}},
				{ID: "22222222-2222-2222-2222-222222222222", Value: `{"user":"app","password":"p\u00e4ss \"x\"","port":5432,"ratio":1.50,"tls":true,"hosts":["a","b"],"nested":{"b":1,"a":null}}`},
			}},
			{Region: rig.Region, Name: "app/keystore", Binary: []byte{0xfe, 0xed, 0, 0xff, '\n'}},
			{Region: rig.Region, Name: "/leading/slash", Value: "slash"},
		},
		Parameters: []awssim.Parameter{
			{Region: rig.Region, Name: "/app/url", Versions: []string{"https://v1", "https://v2"}, Labels: map[string]int64{"live": 1}},
			{Region: rig.Region, Name: "/app/key", Type: "SecureString", Value: "s3cret\n"},
			{Region: rig.Region, Name: "plain", Value: "plain"},
		},
	}
}

// classes are SecretProviderClasses with every feature of the objects language, and the tree that
// a container sees: path → mode and content.
var classes = map[string]struct {
	objects    string
	parameters map[string]string
	permission string
	tree       map[string]string
}{
	"names": {
		objects: `
- {objectName: app/db, objectType: secretsmanager}
- {objectName: /leading/slash, objectType: secretsmanager}
- {objectName: /app/url, objectType: ssmparameter}
- {objectName: plain, objectType: ssmparameter}`,
		tree: map[string]string{
			"app_db":         `0644 {"user":"app","password":"p\u00e4ss \"x\"","port":5432,"ratio":1.50,"tls":true,"hosts":["a","b"],"nested":{"b":1,"a":null}}`,
			"_leading_slash": "0644 slash", "_app_url": "0644 https://v2", "plain": "0644 plain",
		},
	},
	"aliases": {
		objects: `
- {objectName: app/keystore, objectType: secretsmanager, objectAlias: keystore.jks}
- {objectName: plain, objectType: ssmparameter, objectAlias: tls/plain.txt}
- {objectName: plain, objectType: ssmparameter, objectAlias: y}
- {objectName: plain, objectType: ssmparameter, objectAlias: 0012}`,
		tree: map[string]string{"keystore.jks": "0644 \xfe\xed\x00\xff\n", "tls_plain.txt": "0644 plain", "y": "0644 plain", "0012": "0644 plain"},
	},
	"an ARN keeps its colons": {
		objects: "- {objectName: '" + secretARN + "', jmesPath: [{path: user, objectAlias: user}]}",
		tree: map[string]string{
			"arn:aws:secretsmanager:ap-south-1:123456789012:secret:app_db-AbCdEf": `0644 {"user":"app","password":"p\u00e4ss \"x\"","port":5432,"ratio":1.50,"tls":true,"hosts":["a","b"],"nested":{"b":1,"a":null}}`,
			"user": "0644 app",
		},
	},
	"pathTranslation False makes directories": {
		objects: `
- {objectName: app/keystore, objectType: secretsmanager}
- {objectName: /leading/slash, objectType: secretsmanager}
- {objectName: /app/url, objectType: ssmparameter, objectAlias: /a/b/c/url}`,
		parameters: map[string]string{"pathTranslation": "False"},
		tree:       map[string]string{"app/keystore": "0644 \xfe\xed\x00\xff\n", "leading/slash": "0644 slash", "a/b/c/url": "0644 https://v2"},
	},
	"pathTranslation of one character": {
		objects:    "- {objectName: /leading/slash, objectType: secretsmanager}\n- {objectName: /app/url, objectType: ssmparameter}",
		parameters: map[string]string{"pathTranslation": "ü"},
		tree:       map[string]string{"üleadingüslash": "0644 slash", "üappüurl": "0644 https://v2"},
	},
	"jmesPath": {
		objects: `
- objectName: app/db
  objectType: secretsmanager
  objectAlias: db.json
  filePermission: "0600"
  jmesPath:
  - {path: password, objectAlias: password}
  - {path: port, objectAlias: port, filePermission: "0444"}
  - {path: ratio, objectAlias: ratio}
  - {path: tls, objectAlias: tls}
  - {path: hosts, objectAlias: hosts}
  - {path: nested, objectAlias: nested}
  - {path: "join('@', [user, hosts[1]])", objectAlias: login}`,
		tree: map[string]string{
			"db.json":  `0600 {"user":"app","password":"p\u00e4ss \"x\"","port":5432,"ratio":1.50,"tls":true,"hosts":["a","b"],"nested":{"b":1,"a":null}}`,
			"password": `0600 päss "x"`, "port": "0444 5432", "ratio": "0600 1.50", "tls": "0600 true",
			"hosts": `0600 ["a","b"]`, "nested": `0600 {"a":null,"b":1}`, "login": "0600 app@b",
		},
	},
	"versions and labels": {
		objects: `
- {objectName: app/db, objectType: secretsmanager, objectAlias: by-id, objectVersion: 11111111-1111-1111-1111-111111111111}
- {objectName: app/db, objectType: secretsmanager, objectAlias: by-label, objectVersionLabel: AWSPREVIOUS}
- {objectName: /app/url, objectType: ssmparameter, objectAlias: url-v1, objectVersion: 1}
- {objectName: /app/url, objectType: ssmparameter, objectAlias: url-v2, objectVersion: "2"}
- {objectName: /app/url, objectType: ssmparameter, objectAlias: url-live, objectVersionLabel: live}
- {objectName: /app/url, objectType: ssmparameter, objectAlias: url}`,
		tree: map[string]string{
			"by-id": `0644 {"password":"old"}`, "by-label": `0644 {"password":"old"}`,
			"url-v1": "0644 https://v1", "url-v2": "0644 https://v2", "url-live": "0644 https://v1", "url": "0644 https://v2",
		},
	},
	"permissions": {
		objects: `
- {objectName: plain, objectType: ssmparameter}
- {objectName: plain, objectType: ssmparameter, objectAlias: none, filePermission: "0000"}
- {objectName: plain, objectType: ssmparameter, objectAlias: all, filePermission: "0777"}
- {objectName: plain, objectType: ssmparameter, objectAlias: unquoted, filePermission: 0600}
- {objectName: /app/key, objectType: ssmparameter, filePermission: "0440"}`,
		permission: "256", // 0400
		tree:       map[string]string{"plain": "0400 plain", "none": "0000 plain", "all": "0777 plain", "unquoted": "0600 plain", "_app_key": "0440 s3cret\n"},
	},
	"JSON": {
		objects: `[{"objectName":"plain","objectType":"ssmparameter","objectAlias":"from\u002djson"}]`,
		tree:    map[string]string{"from-json": "0644 plain"},
	},
}

// The driver's own writer accepts every response, and a container sees exactly the files of the
// SecretProviderClass.
func TestD21_TheDriverWritesEveryFeature(t *testing.T) {
	r := rig.New(t, rig.Options{State: world()})
	for name, tc := range classes {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, mount(t, r, tc.objects, tc.parameters, tc.permission), dir)
			if diff := cmp.Diff(tc.tree, tree(t, dir)); diff != "" {
				t.Errorf("volume (-want +got):\n%s", diff)
			}
			wantAtomic(t, dir)
		})
	}
}

// The next response replaces the volume in one step: what changed is new, what is gone is pruned,
// and what has stayed does not move.
func TestD21_TheDriverReplacesTheWholeVolume(t *testing.T) {
	r := rig.New(t, rig.Options{State: world()})
	const both = "- {objectName: app/keystore, objectType: secretsmanager, objectAlias: dir/keystore}\n- {objectName: plain, objectType: ssmparameter}\n"
	const more = both + "- {objectName: /app/key, objectType: ssmparameter, objectAlias: dir/key}\n- {objectName: /app/url, objectType: ssmparameter, objectAlias: gone/url}\n"
	slashes := map[string]string{"pathTranslation": "False"}
	dir := t.TempDir()
	write(t, mount(t, r, more, slashes, ""), dir)
	first := generation(t, dir)

	write(t, mount(t, r, more, slashes, ""), dir)
	if again := generation(t, dir); again != first {
		t.Errorf("nothing changed, and the volume was written anew: %s → %s", first, again)
	}

	r.AWS.PutParameter(rig.Region, "plain", "changed")
	write(t, mount(t, r, both, slashes, ""), dir)
	want := map[string]string{"dir/keystore": "0644 \xfe\xed\x00\xff\n", "plain": "0644 changed"}
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Errorf("volume after one file changed and two were removed (-want +got):\n%s", diff)
	}
	if generation(t, dir) == first {
		t.Error("..data was not exchanged")
	}
	if _, err := os.Lstat(filepath.Join(dir, first)); !os.IsNotExist(err) {
		t.Errorf("the old data is left behind: %v", err)
	}
	wantAtomic(t, dir)
}

// AWS's provider writes the files of a volume itself, unless --driver-writes-secrets: it writes a temporary file and renames it.
// The first republish after the change to this one makes links of them; what the class does not list any more stays.
func TestK45_DriverTakesOverFilesOfAWSProvider(t *testing.T) {
	r := rig.New(t, rig.Options{State: world()})
	dir := t.TempDir()
	for name, content := range map[string]string{"plain": "of AWS's provider", "app_key": "s3cret\n", "gone": "no longer listed"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const objects = "- {objectName: plain, objectType: ssmparameter}\n- {objectName: /app/key, objectType: ssmparameter, objectAlias: app_key}\n"
	write(t, mount(t, r, objects, nil, ""), dir)
	if diff := cmp.Diff(map[string]string{"plain": "0644 plain", "app_key": "0644 s3cret\n"}, tree(t, dir)); diff != "" {
		t.Errorf("volume (-want +got):\n%s", diff)
	}
	if left, err := os.ReadFile(filepath.Join(dir, "gone")); err != nil || string(left) != "no longer listed" {
		t.Errorf("the file that is not listed is %q, %v", left, err)
	}
	r.AWS.PutParameter(rig.Region, "plain", "rotated")
	write(t, mount(t, r, objects, nil, ""), dir)
	if got := tree(t, dir)["plain"]; got != "0644 rotated" {
		t.Errorf("after the rotation the file is %q", got)
	}
}

// All or nothing: a failed mount changes nothing in an existing volume.
func TestD22_FailedMountLeavesTheVolumeUnchanged(t *testing.T) {
	r := rig.New(t, rig.Options{State: world()})
	const objects = "- {objectName: app/db, objectType: secretsmanager}\n- {objectName: plain, objectType: ssmparameter}\n"
	dir := t.TempDir()
	write(t, mount(t, r, objects, nil, ""), dir)
	before, generationBefore := tree(t, dir), generation(t, dir)
	r.AWS.PutSecret(rig.Region, "app/db", "changed") // must not arrive without the other objects
	for name, breakMount := range map[string]func() (objects string, undo func()){
		"the class": func() (string, func()) { return objects + "- {objectName: x}", func() {} },
		"a missing secret": func() (string, func()) {
			return objects + "- {objectName: none, objectType: secretsmanager}", func() {}
		},
		"a denial": func() (string, func()) {
			return objects, r.AWS.Inject(awssim.Fault{Service: "ssm", Code: "AccessDeniedException"})
		},
		"the role": func() (string, func()) {
			return objects, r.AWS.Inject(awssim.Fault{Service: "sts", Code: "AccessDenied", Status: 403})
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects, undo := breakMount()
			defer undo()
			resp, err := r.Mount(rig.Mount{Parameters: map[string]string{"region": rig.Region}, Objects: objects})
			if err == nil {
				write(t, resp, dir)
				t.Error("the mount was not refused")
			}
			if diff := cmp.Diff(before, tree(t, dir)); diff != "" || generation(t, dir) != generationBefore {
				t.Errorf("the volume changed (-before +after):\n%s", diff)
			}
		})
	}
	write(t, mount(t, r, objects, nil, ""), dir)
	if got := tree(t, dir)["app_db"]; got != "0644 changed" {
		t.Errorf("after the failures the volume holds %q", got)
	}
}

// The driver's writer does not catch these paths: "." wipes the volume, the last of two equal paths wins, and a
// file where another needs a directory leaks a directory each time, as does a NUL byte. For the paths that it
// catches, the provider has the better message. The provider refuses all of them before it calls AWS.
func TestD25_NoBadPathReachesTheDriver(t *testing.T) {
	r := rig.New(t, rig.Options{State: world()})
	for name, aliases := range map[string][]string{
		"the volume itself": {"."}, "equal paths": {"a", "a"}, "file and directory": {"a", "a/b"}, "directory and file": {"a/b/c", "a"},
		"NUL": {`a\0b`}, "parent": {".."}, "through the parent": {"a/../../b"}, "dots": {"..data"}, "not clean": {"a//b"}, "dot inside": {"a/./b"},
		"slash at the end": {"a/"}, "long part": {strings.Repeat("x", 256)}, "long path": {strings.Repeat("x/", 2048) + "x"}, "slashes only": {"///"},
	} {
		t.Run(name, func(t *testing.T) {
			var objects strings.Builder
			for _, alias := range aliases {
				fmt.Fprintf(&objects, "- {objectName: plain, objectType: ssmparameter, objectAlias: \"%s\"}\n", alias)
			}
			resp, err := r.Mount(rig.Mount{Parameters: map[string]string{"region": rig.Region, "pathTranslation": "False"}, Objects: objects.String()})
			if status.Code(err) != codes.InvalidArgument {
				t.Errorf("got %v and %v, want InvalidArgument", resp.GetFiles(), err)
			}
		})
	}
	if calls := r.AWS.Calls(); len(calls) != 0 {
		t.Errorf("AWS was called: %v", calls)
	}
}

func mount(t *testing.T, r *rig.Rig, objects string, parameters map[string]string, permission string) *v1alpha1.MountResponse {
	t.Helper()
	m := rig.Mount{Parameters: map[string]string{"region": rig.Region}, Objects: objects, Permission: permission}
	for key, value := range parameters {
		m.Parameters[key] = value
	}
	resp, err := r.Mount(m)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func write(t *testing.T, resp *v1alpha1.MountResponse, dir string) {
	t.Helper()
	if err := csidriver.Write(resp, dir); err != nil {
		t.Fatal(err)
	}
}

// tree returns what a container sees below dir: path → octal mode, space, content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	volume, err := csidriver.Tree(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for path, f := range volume {
		files[path] = fmt.Sprintf("%04o %s", f.Mode, f.Content)
	}
	return files
}

// generation returns the directory that ..data points to.
func generation(t *testing.T, dir string) string {
	t.Helper()
	target, err := os.Readlink(filepath.Join(dir, "..data"))
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// wantAtomic checks that the volume holds one generation and otherwise only links into it.
func wantAtomic(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); entry.Type() != fs.ModeSymlink && name != generation(t, dir) {
			t.Errorf("%s is %s, not a link into ..data", name, entry.Type())
		}
		if _, err := os.Stat(filepath.Join(dir, entry.Name())); err != nil {
			t.Errorf("%s points nowhere: %v", entry.Name(), err)
		}
	}
}
