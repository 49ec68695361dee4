package provider_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/provider"
	"secrets-provider-aws/test/awssim"
)

const (
	versionOne = "11111111-1111-1111-1111-111111111111"
	versionTwo = "22222222-2222-2222-2222-222222222222"
)

// rotated returns a secret with two versions, AWSPREVIOUS and AWSCURRENT.
func rotated(name, previous, current string) awssim.Secret {
	return awssim.Secret{Region: region, Name: name, Suffix: "AbCdEf", Versions: []awssim.SecretVersion{
		{ID: versionOne, Value: previous, Stages: []string{"AWSPREVIOUS"}},
		{ID: versionTwo, Value: current, Stages: []string{"AWSCURRENT", "live"}},
	}}
}

func TestK36_SecretStringElseBinaryRaw(t *testing.T) {
	raw := []byte{0, 0xff, '\r', '\n', 0xc3, 0x28, 0}
	b := start(t, awssim.State{Secrets: []awssim.Secret{
		{Region: region, Name: "text", Versions: []awssim.SecretVersion{{ID: versionOne, Value: " päss\nword\n"}}},
		{Region: region, Name: "binary", Versions: []awssim.SecretVersion{{ID: versionTwo, Binary: raw}}},
		{Region: region, Name: "largest", Versions: []awssim.SecretVersion{{ID: versionOne, Value: strings.Repeat("x", 65536)}}},
	}})
	got := b.files(secret("text") + secret("binary") + secret("largest"))
	want := []provider.File{
		{Path: "text", Content: provider.Content(" päss\nword\n"), Version: versionOne},
		{Path: "binary", Content: provider.Content(raw), Version: versionTwo},
		{Path: "largest", Content: provider.Content(strings.Repeat("x", 65536)), Version: versionOne},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	b.wantCalls(map[string]int{"secretsmanager:GetSecretValue": 3})
}

func TestK37_SecretVersionsAndLabels(t *testing.T) {
	b := start(t, awssim.State{Secrets: []awssim.Secret{rotated("db", "old", "new")}})
	entry := func(alias, more string) string { return secret("db") + "  objectAlias: " + alias + "\n" + more }
	got := b.files(entry("current", "") +
		entry("label", "  objectVersionLabel: AWSPREVIOUS\n") +
		entry("own-label", "  objectVersionLabel: live\n") +
		entry("version", "  objectVersion: "+versionOne+"\n") +
		entry("both", "  objectVersion: "+versionTwo+"\n  objectVersionLabel: AWSCURRENT\n"))
	wantContents(t, got, "current = new @ "+versionTwo, "label = old @ "+versionOne, "own-label = new @ "+versionTwo,
		"version = old @ "+versionOne, "both = new @ "+versionTwo)
	b.wantCalls(map[string]int{"secretsmanager:GetSecretValue": 5})
}

// Both are sent, so that Secrets Manager can check that they match.
func TestK27_VersionAndLabelOfASecretAreSent(t *testing.T) {
	b := start(t, awssim.State{Secrets: []awssim.Secret{rotated("db", "old", "new")}})
	e := b.fetchError(secret("db") + "  objectVersion: " + versionOne + "\n  objectVersionLabel: AWSCURRENT\n")
	if e.Code != "InvalidRequestException" {
		t.Errorf("error %v, want InvalidRequestException", e)
	}
}

func TestK37_ByARN(t *testing.T) {
	b := start(t, awssim.State{
		Secrets:    []awssim.Secret{rotated("prod/db", "old", "new")},
		Parameters: []awssim.Parameter{{Region: region, Name: "/prod/level", Value: "debug"}, {Region: region, Name: "plain", Value: "p"}},
	})
	wantContents(t, b.files(
		object(secretARN, "")+"  objectAlias: full\n"+
			object(strings.TrimSuffix(secretARN, "-AbCdEf"), "")+"  objectAlias: partial\n"+
			object(parameterARN, "")+"  objectAlias: parameter\n"+
			object("arn:aws:ssm:"+region+":"+account+":parameter/plain", "ssmparameter")+"  objectAlias: plain\n",
	), "full = new @ "+versionTwo, "partial = new @ "+versionTwo, "parameter = debug @ 1", "plain = p @ 1")
}

func TestK38_ParametersAreDecrypted(t *testing.T) {
	b := start(t, awssim.State{Parameters: []awssim.Parameter{
		{Region: region, Name: "/string", Value: "s"},
		{Region: region, Name: "/list", Type: "StringList", Value: "a,b"},
		{Region: region, Name: "/secure", Type: "SecureString", Value: "hunter2"},
	}})
	wantContents(t, b.files(object("/string", "ssmparameter")+object("/list", "ssmparameter")+object("/secure", "ssmparameter")),
		"_string = s @ 1", "_list = a,b @ 1", "_secure = hunter2 @ 1")
	b.wantCalls(map[string]int{"ssm:GetParameters": 1})
}

func TestK39_ParametersInTens(t *testing.T) {
	state := awssim.State{}
	objects := ""
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("p%02d", i)
		state.Parameters = append(state.Parameters, awssim.Parameter{Region: region, Name: name, Value: fmt.Sprintf("v%d", i)})
		objects += object(name, "ssmparameter")
		want = append(want, fmt.Sprintf("%s = v%d @ 1", name, i))
	}
	b := start(t, state)
	wantContents(t, b.files(objects), want...)
	b.wantCalls(map[string]int{"ssm:GetParameters": 3})
}

// AWS's provider drops one of them without an error.
func TestI4_EachVersionAndLabelOfAParameterIsAFile(t *testing.T) {
	b := start(t, awssim.State{Parameters: []awssim.Parameter{
		{Region: region, Name: "/app/level", Versions: []string{"one", "two", "three"}, Labels: map[string]int64{"prod": 1, "stage": 2}},
		{Region: region, Name: "/app/other", Value: "other"},
	}})
	entry := func(alias, more string) string {
		return object("/app/level", "ssmparameter") + "  objectAlias: " + alias + "\n" + more
	}
	wantContents(t, b.files(
		entry("current", "")+
			entry("prod", "  objectVersionLabel: prod\n")+
			entry("stage", "  objectVersionLabel: stage\n")+
			entry("v1", "  objectVersion: 1\n")+
			entry("v2", "  objectVersion: 2\n")+
			object("/app/other", "ssmparameter")+
			object("arn:aws:ssm:"+region+":"+account+":parameter/app/level", "")+"  objectAlias: by-arn\n",
	), "current = three @ 3", "prod = one @ 1", "stage = two @ 2", "v1 = one @ 1", "v2 = two @ 2", "_app_other = other @ 1", "by-arn = three @ 3")
	b.wantCalls(map[string]int{"ssm:GetParameters": 6}) // one call for each version or label of /app/level; the first also reads /app/other
}

// The parameters /a and a have the same ARN but are two parameters.
func TestI4_ParametersThatDifferByASlash(t *testing.T) {
	b := start(t, awssim.State{Parameters: []awssim.Parameter{
		{Region: region, Name: "/a", Value: "with"}, {Region: region, Name: "a", Value: "without"},
	}})
	wantContents(t, b.files(object("/a", "ssmparameter")+object("a", "ssmparameter")), "_a = with @ 1", "a = without @ 1")
}

// The reported version belongs to the value in the file, also after the value changes between two mounts.
func TestI3_VersionMatchesValue(t *testing.T) {
	b := start(t, awssim.State{})
	for _, value := range []string{"one", "two"} {
		id := b.PutSecret(region, "db", value)
		number := b.PutParameter(region, "level", value)
		wantContents(t, b.files(secret("db")+object("level", "ssmparameter")),
			"db = "+value+" @ "+id, fmt.Sprintf("level = %s @ %d", value, number))
	}
}

func TestF14_EqualReadsOfAMountShareOneCall(t *testing.T) {
	b := start(t, awssim.State{})
	id := b.PutSecret(region, "db", `{"user":"app"}`)
	b.PutParameter(region, "level", "debug")
	wantContents(t, b.files(
		secret("db")+"  objectAlias: one\n"+
			secret("db")+"  objectAlias: two\n  jmesPath: [{path: user, objectAlias: user}]\n"+
			object("level", "ssmparameter")+"  objectAlias: three\n"+
			object("level", "ssmparameter")+"  objectAlias: four\n",
	), `one = {"user":"app"} @ `+id, `two = {"user":"app"} @ `+id, "user = app @ "+id, "three = debug @ 1", "four = debug @ 1")
	b.wantCalls(map[string]int{"secretsmanager:GetSecretValue": 1, "ssm:GetParameters": 1})
}

// Files keep the order of the class. The order of the responses does not matter.
func TestFetch_FilesKeepOrderAndModesOfClass(t *testing.T) {
	b := start(t, awssim.State{})
	id := b.PutSecret(region, "a", `{"k":1.50}`)
	b.PutSecret(region, "b", "b")
	b.PutParameter(region, "c", "c")
	defer b.Inject(awssim.Fault{Object: "a", Latency: 50 * time.Millisecond})() // the response for the first object is last
	got := b.files(secret("a") + "  filePermission: '0400'\n  jmesPath: [{path: k, objectAlias: k, filePermission: '0444'}]\n" + object("c", "ssmparameter") + secret("b"))
	mode := func(m fs.FileMode) *fs.FileMode { return &m }
	want := []provider.File{
		{Path: "a", Mode: mode(0o400), Content: provider.Content(`{"k":1.50}`), Version: id},
		{Path: "k", Mode: mode(0o444), Content: provider.Content("1.50"), Version: id},
		{Path: "c", Content: provider.Content("c"), Version: "1"},
		{Path: "b", Content: provider.Content("b"), Version: got[len(got)-1].Version},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// The class names the region. One Fetcher serves all regions.
func TestFetch_ReadsFromRegionOfClass(t *testing.T) {
	b := start(t, awssim.State{})
	for _, r := range []string{"ap-south-1", "eu-west-1", "us-gov-west-1"} {
		b.PutSecret(r, "db", "of "+r)
		b.PutParameter(r, "level", "of "+r)
	}
	for _, r := range []string{"ap-south-1", "eu-west-1", "us-gov-west-1", "ap-south-1"} {
		files, err := b.fetchAs(t.Context(), b.user, parse(t, secret("db")+object("level", "ssmparameter"), params{"region": r}))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !bytes.Equal(f.Content, []byte("of "+r)) {
				t.Errorf("%s from region %s is %s", f.Path, r, []byte(f.Content))
			}
		}
	}
}
