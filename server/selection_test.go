package server_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/csidriver"
	"secrets-provider-aws/test/rig"
)

const (
	byPath  = "ssm:GetParametersByPath"
	batches = "secretsmanager:BatchGetSecretValue"
)

// selectAll allows to select everything.
const selectAll = awssim.Document(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*","Action":["secretsmanager:GetSecretValue",
	"secretsmanager:BatchGetSecretValue","secretsmanager:ListSecrets","ssm:GetParameters","ssm:GetParametersByPath"]}]}`)

func selectingRig(t *testing.T, o rig.Options) (*rig.Rig, *rig.Clock) {
	t.Helper()
	o.Policies = []awssim.Document{selectAll}
	r, clock := freshRig(t, o)
	return r, clock
}

// wantReads fails the test unless exactly these calls to Secrets Manager and Parameter Store were made since the last time.
func wantReads(t *testing.T, r *rig.Rig, want map[string]int) {
	t.Helper()
	calls := r.AWS.Calls()
	delete(calls, "sts:AssumeRoleWithWebIdentity")
	if diff := gocmp.Diff(want, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	r.AWS.ResetCalls()
}

// written mounts m as the driver does, into dir, and gives the content of its files.
func written(t *testing.T, r *rig.Rig, m rig.Mount, dir string) map[string]string {
	t.Helper()
	resp, err := r.Mount(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := csidriver.Write(resp, dir); err != nil {
		t.Fatal(err)
	}
	tree, err := csidriver.Tree(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for path, f := range tree {
		files[path] = f.Content
	}
	return files
}

func TestL6_RefreshCostsPages(t *testing.T) {
	r, clock := selectingRig(t, rig.Options{RefreshInterval: time.Minute})
	for i := range 100 {
		r.AWS.PutParameter(rig.Region, fmt.Sprintf("/many/%02d", i), "value")
		r.AWS.PutSecret(rig.Region, fmt.Sprintf("many/%02d", i), "value")
	}
	r.AWS.ResetCalls()
	both := rig.Mount{Objects: `
- {objectName: /many/*, objectType: ssmparameter, objectAlias: "p-*"}
- {objectName: many/*, objectType: secretsmanager, objectAlias: "s-*"}
`}
	const files = 200
	var pods sync.WaitGroup
	for i := range 5 {
		m := both
		m.Pod = fmt.Sprint("pod-", i)
		pods.Go(func() {
			if resp, err := r.Mount(m); err != nil || len(resp.GetFiles()) != files {
				t.Errorf("%d files and error %v, want %d", len(resp.GetFiles()), err, files)
			}
		})
	}
	pods.Wait()
	pages := map[string]int{byPath: 10, batches: 5}
	wantReads(t, r, pages) // not one for each object, nor for each pod
	clock.Advance(30 * time.Second)
	for i := range 5 {
		m := both
		m.Pod = fmt.Sprint("pod-", i)
		r.Files(m)
	}
	wantReads(t, r, map[string]int{})
	clock.Advance(time.Minute)
	for i := range 5 {
		m := both
		m.Pod = fmt.Sprint("pod-", i)
		r.Files(m)
	}
	wantReads(t, r, pages)
}

func TestL6_MembersComeAndGo(t *testing.T) {
	r, clock := selectingRig(t, rig.Options{RefreshInterval: time.Minute})
	for name, value := range map[string]string{"a": "1", "b": "2"} {
		r.AWS.PutParameter(rig.Region, "/team/"+name, value)
		r.AWS.PutSecret(rig.Region, "team/"+name, value)
		if err := r.AWS.TagSecret(rig.Region, "team/"+name, map[string]string{"env": "prod"}); err != nil {
			t.Fatal(err)
		}
	}
	m := rig.Mount{Objects: `
- {objectName: /team/*, objectType: ssmparameter, objectAlias: "p-*"}
- {objectName: team/*, objectType: secretsmanager, objectAlias: "s-*"}
- {objectName: team/*, objectType: secretsmanager, objectAlias: "t-*", tags: {env: prod}}
- {objectName: /team/**, objectType: ssmparameter, objectAlias: all.env, format: env}
`}
	dir := t.TempDir()
	want := map[string]string{"p-a": "1", "p-b": "2", "s-a": "1", "s-b": "2", "t-a": "1", "t-b": "2", "all.env": "a=1\nb=2\n"}
	if diff := gocmp.Diff(want, written(t, r, m, dir)); diff != "" {
		t.Errorf("first mount (-want +got):\n%s", diff)
	}
	before, err := r.Mount(m)
	if err != nil {
		t.Fatal(err)
	}
	r.AWS.PutParameter(rig.Region, "/team/c", "3")
	r.AWS.PutSecret(rig.Region, "team/c", "3")
	for _, err := range []error{r.AWS.RemoveParameter(rig.Region, "/team/a"), r.AWS.RemoveSecret(rig.Region, "team/a")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(2 * time.Minute)
	want = map[string]string{"p-b": "2", "p-c": "3", "s-b": "2", "s-c": "3", "t-b": "2", "all.env": "b=2\nc=3\n"}
	if diff := gocmp.Diff(want, written(t, r, m, dir)); diff != "" {
		t.Errorf("republish (-want +got):\n%s", diff)
	}
	after, err := r.Mount(m)
	if err != nil {
		t.Fatal(err)
	}
	if versions(before)["all.env"] == versions(after)["all.env"] {
		t.Error("the version of a document of all members does not change with them")
	}
}

// A selection that is too large is refused after the page that shows it, and its values are not kept.
func TestL6_ReadingStopsAtTheLimits(t *testing.T) {
	r, _ := selectingRig(t, rig.Options{MaxResponse: 1 << 20})
	for i := range 200 {
		r.AWS.PutParameter(rig.Region, fmt.Sprintf("/many/%03d", i), "value")
	}
	for i := range 60 {
		r.AWS.PutSecret(rig.Region, fmt.Sprintf("large/%03d", i), strings.Repeat("x", 60_000))
	}
	for _, tt := range []struct {
		objects, message string
		calls            map[string]int
	}{
		{"- {objectName: /many/**, objectType: ssmparameter}\n", "it selects 101 or more, and maxObjects is 100", map[string]int{byPath: 11}},
		{"- {objectName: /many/**, objectType: ssmparameter, maxObjects: 15}\n", "it selects 16 or more, and maxObjects is 15", map[string]int{byPath: 2}},
		{"- {objectName: large/*, objectType: secretsmanager}\n", `the first 18 secrets of "large/*" take 1080000 bytes, the CSI driver accepts 1048576`, map[string]int{batches: 1}},
	} {
		r.AWS.ResetCalls()
		_, err := r.Mount(rig.Mount{Objects: tt.objects})
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), tt.message) {
			t.Errorf("%v, want %v with %q", err, codes.FailedPrecondition, tt.message)
		}
		wantReads(t, r, tt.calls)
	}
	if bytes := r.Metric("secrets_provider_aws_cache_bytes"); bytes > 64<<10 {
		t.Errorf("%v bytes are cached of selections that were refused", bytes)
	}
}

// Secrets whose tags only begin like the wanted ones cost pages. A pod author cannot make the provider read them all.
func TestL8_PagesAreBounded(t *testing.T) {
	r, _ := selectingRig(t, rig.Options{})
	for i := range 6_100 {
		name := fmt.Sprintf("many/%04d", i)
		r.AWS.PutSecret(rig.Region, name, "value")
		if err := r.AWS.TagSecret(rig.Region, name, map[string]string{"team": "payments-other"}); err != nil {
			t.Fatal(err)
		}
	}
	r.AWS.ResetCalls()
	_, err := r.Mount(rig.Mount{Objects: "- {objectName: many/*, objectType: secretsmanager, tags: {team: payments}}\n"})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "60 pages of the list do not hold all that it selects") {
		t.Errorf("%v, want %v for the pages", err, codes.FailedPrecondition)
	}
	wantReads(t, r, map[string]int{"secretsmanager:ListSecrets": 60})
}

// The limit of objects holds for what all selections of a volume find.
func TestL8_SelectedObjectsCount(t *testing.T) {
	r, _ := selectingRig(t, rig.Options{})
	for i := range 260 {
		r.AWS.PutParameter(rig.Region, fmt.Sprintf("/many/%03d", i), "value")
	}
	_, err := r.Mount(rig.Mount{Objects: `
- {objectName: /many/*, objectType: ssmparameter, maxObjects: 500, objectAlias: "a-*"}
- {objectName: /many/**, objectType: ssmparameter, maxObjects: 500, objectAlias: "b-*"}
`})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "it selects 520 objects, one volume takes at most 500") {
		t.Errorf("%v, want %v for the number of objects", err, codes.FailedPrecondition)
	}
}

// A service that does not respond fails a selection like one object: a pod of this node starts with what is known.
func TestL6_LastKnownMembers(t *testing.T) {
	r, clock := selectingRig(t, rig.Options{RefreshInterval: time.Minute})
	r.AWS.PutParameter(rig.Region, "/team/a", "1")
	m := rig.Mount{Pod: "first", Objects: `
- {objectName: /team/*, objectType: ssmparameter}
- {objectName: feature/flag, objectType: secretsmanager, optional: true}
`}
	want := map[string]string{"a": "1"}
	if diff := gocmp.Diff(want, r.Files(m)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	clock.Advance(time.Minute)
	r.AWS.Inject(awssim.Fault{Service: "ssm", Status: 503})
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Status: 503})
	m.Pod = "second"
	if diff := gocmp.Diff(want, r.Files(m)); diff != "" {
		t.Errorf("files while AWS fails (-want +got):\n%s", diff)
	}
	if stale := r.Values("stale"); stale != 2 { // the parameters, and that there is no secret
		t.Errorf("%v stale values, want 2", stale)
	}
}

func TestL9_OptionalObjectsComeAndGo(t *testing.T) {
	r, clock := selectingRig(t, rig.Options{RefreshInterval: time.Minute})
	m := rig.Mount{Objects: oneSecret + "- {objectName: feature/flag, objectType: secretsmanager, optional: true}\n" +
		"- {objectName: /feature/*, objectType: ssmparameter, optional: true, objectAlias: \"f-*\"}\n"}
	dir := t.TempDir()
	step := func(name string, reads map[string]int, want map[string]string) {
		t.Helper()
		r.AWS.ResetCalls()
		if diff := gocmp.Diff(want, written(t, r, m, dir)); diff != "" {
			t.Errorf("%s: files (-want +got):\n%s", name, diff)
		}
		wantReads(t, r, reads)
	}
	absent := map[string]string{"prod_db": "one"}
	all := map[string]int{getSecret: 2, byPath: 1}
	step("first mount", all, absent)
	clock.Advance(10 * time.Second)
	step("within the refresh interval", map[string]int{}, absent)
	r.AWS.PutSecret(rig.Region, "feature/flag", "on")
	r.AWS.PutParameter(rig.Region, "/feature/x", "y")
	clock.Advance(2 * time.Minute)
	step("they exist", all, map[string]string{"prod_db": "one", "feature_flag": "on", "f-x": "y"})
	for _, err := range []error{r.AWS.RemoveSecret(rig.Region, "feature/flag"), r.AWS.RemoveParameter(rig.Region, "/feature/x")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(2 * time.Minute)
	step("they are removed", all, absent)
	clock.Advance(2 * time.Minute)
	step("an absence is read again after each interval, without backoff", all, absent)
}

// Of two volumes of one ServiceAccount, one takes a missing object for a failure.
func TestL9_OptionalIsOfTheClass(t *testing.T) {
	r, clock := selectingRig(t, rig.Options{RefreshInterval: time.Minute})
	flag := "- {objectName: feature/flag, objectType: secretsmanager}\n"
	may := rig.Mount{Pod: "may", Class: "may", Objects: oneSecret + strings.Replace(flag, "}", ", optional: true}", 1)}
	must := rig.Mount{Pod: "must", Class: "must", Objects: flag}
	for range 2 {
		r.Files(may)
		if _, err := r.Mount(must); status.Code(err) != codes.NotFound {
			t.Errorf("%v, want %v", err, codes.NotFound)
		}
		clock.Advance(2 * time.Minute)
	}
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Object: "feature/flag", Code: "AccessDeniedException"})
	if _, err := r.Mount(may); status.Code(err) != codes.PermissionDenied {
		t.Errorf("%v, want %v", err, codes.PermissionDenied)
	}
}

func TestL12_AVolumeInWhichNothingExists(t *testing.T) {
	r, clock := selectingRig(t, rig.Options{RefreshInterval: time.Minute})
	r.AWS.PutSecret(rig.Region, "feature/flag", "on")
	m := rig.Mount{Objects: "- {objectName: feature/flag, objectType: secretsmanager, optional: true}\n"}
	dir := t.TempDir()
	for _, want := range []map[string]string{{"feature_flag": "on"}, {".empty": ""}, {"feature_flag": "on again"}} {
		if diff := gocmp.Diff(want, written(t, r, m, dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		clock.Advance(2 * time.Minute)
		if want["feature_flag"] == "on" {
			if err := r.AWS.RemoveSecret(rig.Region, "feature/flag"); err != nil {
				t.Fatal(err)
			}
		} else {
			r.AWS.PutSecret(rig.Region, "feature/flag", "on again")
		}
	}
}

func TestL11_ObjectsOfSeveralRegions(t *testing.T) {
	r, clock := selectingRig(t, rig.Options{RefreshInterval: time.Minute})
	r.AWS.PutSecret(failoverRegion, "prod/db", "there")
	r.AWS.PutParameter(failoverRegion, "/team/a", "there too")
	m := rig.Mount{Objects: oneSecret + "- {objectName: prod/db, objectType: secretsmanager, objectAlias: other, region: " + failoverRegion + "}\n" +
		"- {objectName: /team/*, objectType: ssmparameter, region: " + failoverRegion + "}\n"}
	if diff := gocmp.Diff(map[string]string{"prod_db": "one", "other": "there", "a": "there too"}, r.Files(m)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	wantReads(t, r, map[string]int{getSecret: 2, byPath: 1})
	clock.Advance(2 * time.Minute)
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Region: failoverRegion, Code: "AccessDeniedException"})
	_, err := r.Mount(m)
	if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), `cannot read secret "prod/db" in `+failoverRegion) {
		t.Errorf("%v, want a denial in %s", err, failoverRegion)
	}
}
