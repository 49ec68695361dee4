package awssim

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"
	yaml "go.yaml.in/yaml/v3"
)

const parameterARN = "arn:aws:ssm:" + storeRegion + ":" + storeAccount + ":parameter/"

func newTestParameters(t *testing.T, more ...Parameter) *parameterStore {
	t.Helper()
	p, err := newParameterStore(storeAccount, append([]Parameter{
		{Region: storeRegion, Name: "plain", Value: "v"},
		{Region: storeRegion, Name: "/one", Value: "level"},
		{Region: storeRegion, Name: "/app/db", Type: "String", Versions: []string{"first", "second", "third"}, Labels: map[string]int64{"prod": 2, "test": 3}},
		{Region: storeRegion, Name: "/app/key", Type: "SecureString", Value: "decrypted-value"},
		{Region: storeRegion, Name: "/app/deep/list", Type: "StringList", Value: "a,b"},
		{Region: "us-east-1", Name: "/app/db", Value: "over there"},
	}, more...), storeNow)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// parameterJSON returns a parameter as in a response.
func parameterJSON(name, kind, value string, version int, selector string) string {
	out := map[string]any{
		"ARN": parameterARN + strings.TrimPrefix(name, "/"), "DataType": "text", "LastModifiedDate": 1795435200.25,
		"Name": name, "Type": kind, "Value": value, "Version": version,
	}
	if selector != "" {
		out["Selector"] = selector
	}
	text, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestA4_GetParameters(t *testing.T) {
	found := func(parameters ...string) string {
		return `{"InvalidParameters": [], "Parameters": [` + strings.Join(parameters, ",") + `]}`
	}
	db3 := parameterJSON("/app/db", "String", "third", 3, "")
	x := &storeClient{service: newTestParameters(t)}
	for _, e := range []storeExchange{
		{name: "by name, in alphabetical order", in: `{"Names": ["plain", "/app/db"]}`, want: found(db3, parameterJSON("plain", "String", "v", 1, ""))},
		{name: "by version", in: `{"Names": ["/app/db:1"]}`, want: found(parameterJSON("/app/db", "String", "first", 1, ":1"))},
		{name: "by label", in: `{"Names": ["/app/db:prod"]}`, want: found(parameterJSON("/app/db", "String", "second", 2, ":prod"))},
		{name: "several of one parameter", in: `{"Names": ["/app/db:prod", "/app/db", "/app/db:1"]}`,
			want: found(db3, parameterJSON("/app/db", "String", "first", 1, ":1"), parameterJSON("/app/db", "String", "second", 2, ":prod"))},
		{name: "by ARN, the response has the name", in: `{"Names": ["` + parameterARN + `app/db"]}`, want: found(db3)},
		{name: "by ARN and version", in: `{"Names": ["` + parameterARN + `app/db:1"]}`, want: found(parameterJSON("/app/db", "String", "first", 1, ":1"))},
		{name: "by ARN and label", in: `{"Names": ["` + parameterARN + `app/db:prod"]}`, want: found(parameterJSON("/app/db", "String", "second", 2, ":prod"))},
		{name: "by ARN, one level without a slash", in: `{"Names": ["` + parameterARN + `plain"]}`, want: found(parameterJSON("plain", "String", "v", 1, ""))},
		{name: "by ARN, one level with a slash", in: `{"Names": ["` + parameterARN + `one"]}`, want: found(parameterJSON("/one", "String", "level", 1, ""))},
		{name: "spaces are trimmed", in: `{"Names": [" plain "]}`, want: found(parameterJSON("plain", "String", "v", 1, ""))},
		{name: "decrypted", in: `{"Names": ["/app/key"], "WithDecryption": true}`, want: found(parameterJSON("/app/key", "SecureString", "decrypted-value", 1, ""))},
		{name: "unknown names are returned as requested", in: `{"Names": ["nothing", "/app/db:4", "/app/db:blue", "plain:a:b", "` + parameterARN + `nothing", "arn:aws:ssm:us-east-1:` + storeAccount + `:parameter/app/db"]}`,
			want: `{"Parameters": [], "InvalidParameters": ["nothing", "/app/db:4", "/app/db:blue", "plain:a:b", "` + parameterARN + `nothing", "arn:aws:ssm:us-east-1:` + storeAccount + `:parameter/app/db"]}`},
		{name: "the same twice", in: `{"Names": ["plain", "plain"]}`, fault: "ValidationException: Duplicate parameter names are not allowed in a request: plain"},
		{name: "space inside", in: `{"Names": ["a b"]}`, fault: `ValidationException: Parameter name: can't be prefixed with "ssm" (case-insensitive). If formed as a path, ` +
			"it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_"},
		{name: "eleven", in: `{"Names": ["1","2","3","4","5","6","7","8","9","10","11"]}`, fault: "ValidationException: 1 validation error detected: " +
			"Value '[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]' at 'names' failed to satisfy constraint: Member must have length less than or equal to 10"},
		{name: "none", in: `{"Names": []}`, fault: "ValidationException: 1 validation error detected: Value '[]' at 'names' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{name: "no list", in: `{}`, fault: "ValidationException: 1 validation error detected: Value null at 'names' failed to satisfy constraint: Member must not be null"},
	} {
		t.Run(e.name, func(t *testing.T) { e.op = "GetParameters"; e.run(t, x) })
	}
}

func TestSecureStringIsCiphertextWithoutDecryption(t *testing.T) {
	x := &storeClient{service: newTestParameters(t)}
	got := x.must(t, "GetParameters", `{"Names": ["/app/key"]}`)
	if strings.Contains(got, "decrypted-value") || !strings.Contains(got, `"Value":"AQICAH`) {
		t.Errorf("got %s", got)
	}
	if again := x.must(t, "GetParameters", `{"Names": ["/app/key"], "WithDecryption": false}`); again != got {
		t.Errorf("second ciphertext differs: %s", again)
	}
}

func TestA5_OneDeniedParameterDeniesAll(t *testing.T) {
	p := newTestParameters(t)
	for _, e := range []struct {
		name, in string
		checked  []string // the last one is denied
	}{
		{"second of three", `{"Names": ["plain", "/app/db:prod", "/app/key"]}`, []string{parameterARN + "plain", parameterARN + "app/db"}},
		{"missing is not told", `{"Names": ["/app/db/nothing"]}`, []string{parameterARN + "app/db/nothing"}},
		{"by ARN, without its selector", `{"Names": ["` + parameterARN + `app/db:3"]}`, []string{parameterARN + "app/db"}},
		{"of another account", `{"Names": ["arn:aws:ssm:eu-west-1:999999999999:parameter/app/db"]}`, []string{"arn:aws:ssm:eu-west-1:999999999999:parameter/app/db"}},
	} {
		t.Run(e.name, func(t *testing.T) {
			x := &storeClient{service: p, deny: func(_, arn string) bool { return strings.Contains(arn, "app/db") }}
			last := e.checked[len(e.checked)-1]
			storeExchange{op: "GetParameters", in: e.in, fault: "AccessDeniedException: User: me is not authorized to perform: ssm:GetParameters on resource: " + last}.run(t, x)
			for i := range e.checked {
				e.checked[i] = "ssm:GetParameters " + e.checked[i]
			}
			if diff := cmp.Diff(e.checked, x.checked); diff != "" {
				t.Errorf("checked permissions (-want +got):\n%s", diff)
			}
		})
	}
	for op, in := range map[string]string{
		"GetParameter":          `{"Name": "/app/db"}`,
		"GetParametersByPath":   `{"Path": "/app/db"}`,
		"PutParameter":          `{"Name": "/app/db", "Value": "v", "Type": "String"}`,
		"LabelParameterVersion": `{"Name": "/app/db", "Labels": ["l"]}`,
		"DeleteParameter":       `{"Name": "/app/db"}`,
	} {
		x := &storeClient{service: p, deny: func(string, string) bool { return true }}
		storeExchange{op: op, in: in, fault: "AccessDeniedException: User: me is not authorized to perform: ssm:" + op + " on resource: " + parameterARN + "app/db"}.run(t, x)
		if x.object != "/app/db" {
			t.Errorf("%s: object for the call log = %q", op, x.object)
		}
	}
}

func TestGetParameter(t *testing.T) {
	x := &storeClient{service: newTestParameters(t)}
	for _, e := range []storeExchange{
		{name: "by name", in: `{"Name": "/app/db"}`, want: `{"Parameter": ` + parameterJSON("/app/db", "String", "third", 3, "") + `}`},
		{name: "by label", in: `{"Name": "/app/db:test"}`, want: `{"Parameter": ` + parameterJSON("/app/db", "String", "third", 3, ":test") + `}`},
		{name: "missing, without a message", in: `{"Name": "/nothing"}`, fault: "ParameterNotFound: "},
		{name: "missing version", in: `{"Name": "/app/db:9"}`, fault: "ParameterVersionNotFound: Systems Manager could not find version 9 of /app/db. Verify the version and try again."},
		{name: "no name", in: `{}`, fault: "ValidationException: 1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"},
		{name: "bad name", in: `{"Name": "{a}"}`, fault: `ValidationException: Parameter name: can't be prefixed with "ssm" (case-insensitive). If formed as a path, ` +
			"it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_"},
		{name: "AWS's own parameters do not exist", in: `{"Name": "/aws/service/x"}`, fault: "ParameterNotFound: "},
	} {
		t.Run(e.name, func(t *testing.T) { e.op = "GetParameter"; e.run(t, x) })
	}
}

func TestSDKReadsParameterResponses(t *testing.T) {
	ctx, sdk := t.Context(), sdkParameters(newTestParameters(t))
	got, err := sdk.GetParameters(ctx, &ssm.GetParametersInput{Names: []string{"/app/db:prod", "nothing"}, WithDecryption: aws.Bool(true)})
	if err != nil || len(got.Parameters) != 1 || !cmp.Equal(got.InvalidParameters, []string{"nothing"}) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if p := got.Parameters[0]; *p.Name != "/app/db" || *p.Value != "second" || p.Version != 2 || *p.Selector != ":prod" || *p.ARN != parameterARN+"app/db" ||
		p.Type != types.ParameterTypeString || !p.LastModifiedDate.Equal(storeTime) || *p.DataType != "text" {
		t.Errorf("got %+v", p)
	}
	if _, err := sdk.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("nothing")}); err == nil {
		t.Error("a missing parameter was found")
	} else if _, ok := errors.AsType[*types.ParameterNotFound](err); !ok {
		t.Errorf("got %v, want ParameterNotFound", err)
	}
	put, err := sdk.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/app/new"), Value: aws.String("v"), Type: types.ParameterTypeSecureString})
	if err != nil || put.Version != 1 || put.Tier != types.ParameterTierStandard {
		t.Errorf("got %+v, %v", put, err)
	}
	labelled, err := sdk.LabelParameterVersion(ctx, &ssm.LabelParameterVersionInput{Name: aws.String("/app/new"), Labels: []string{"good", "1bad"}})
	if err != nil || labelled.ParameterVersion != 1 || !cmp.Equal(labelled.InvalidLabels, []string{"1bad"}) {
		t.Errorf("got %+v, %v", labelled, err)
	}
	pages := ssm.NewGetParametersByPathPaginator(sdk, &ssm.GetParametersByPathInput{Path: aws.String("/app"), MaxResults: aws.Int32(1)})
	count := 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		count += len(page.Parameters)
	}
	if count != 3 {
		t.Errorf("%d parameters below /app, want 3", count)
	}
	if _, err := sdk.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String("/app/new")}); err != nil {
		t.Error(err)
	}
}

func TestParameterSeedsAreChecked(t *testing.T) {
	ok := Parameter{Region: "r", Name: "n", Value: "v"}
	with := func(change func(*Parameter)) Parameter { p := ok; change(&p); return p }
	for name, e := range map[string]struct {
		seeds []Parameter
		want  string
	}{
		"no region":         {[]Parameter{with(func(p *Parameter) { p.Region = "" })}, `parameter "n" in region "": region is missing`},
		"bad name":          {[]Parameter{with(func(p *Parameter) { p.Name = "a b" })}, "Parameter name"},
		"bad key":           {[]Parameter{with(func(p *Parameter) { p.Type, p.KeyID = "SecureString", "alias/mine" })}, "is neither a KMS key's ARN or id"},
		"key of a String":   {[]Parameter{with(func(p *Parameter) { p.KeyID = testKeyARN })}, "the type is not SecureString"},
		"bad type":          {[]Parameter{with(func(p *Parameter) { p.Type = "string" })}, "is not String"},
		"twice":             {[]Parameter{ok, ok}, "is there twice"},
		"no value":          {[]Parameter{with(func(p *Parameter) { p.Value = "" })}, "either a value or versions"},
		"value, versions":   {[]Parameter{with(func(p *Parameter) { p.Versions = []string{"w"} })}, "either a value or versions"},
		"empty version":     {[]Parameter{{Region: "r", Name: "n", Versions: []string{"v", ""}}}, "version 2: value is not 1 to 8192 bytes"},
		"too large":         {[]Parameter{with(func(p *Parameter) { p.Value = strings.Repeat("x", 8193) })}, "value is not 1 to 8192 bytes"},
		"too many versions": {[]Parameter{{Region: "r", Name: "n", Versions: strings.Split(strings.Repeat("v ", 100), " ")}}, "more than 100 versions"},
		"bad label":         {[]Parameter{with(func(p *Parameter) { p.Labels = map[string]int64{"1st": 1} })}, `label "1st" is not valid`},
		"label, no version": {[]Parameter{with(func(p *Parameter) { p.Labels = map[string]int64{"a": 2} })}, "there is no version 2"},
		"advanced":          {[]Parameter{with(func(p *Parameter) { p.Value = strings.Repeat("x", 8192) })}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newParameterStore(storeAccount, e.seeds, storeNow)
			switch {
			case e.want == "" && err != nil:
				t.Error(err)
			case e.want != "" && (err == nil || !strings.Contains(err.Error(), e.want)):
				t.Errorf("error %v does not contain %q", err, e.want)
			}
		})
	}
}

func TestParameterYAML(t *testing.T) {
	var got []Parameter
	if err := yaml.Unmarshal([]byte(`[{region: eu-west-1, name: /a/b, type: SecureString, versions: [one, two], labels: {prod: 1}, keyID: k}]`), &got); err != nil {
		t.Fatal(err)
	}
	want := []Parameter{{Region: "eu-west-1", Name: "/a/b", Type: "SecureString", Versions: []string{"one", "two"}, Labels: map[string]int64{"prod": 1}, KeyID: "k"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
}

func TestConcurrentParameterReadsAndWrites(t *testing.T) {
	p := newTestParameters(t)
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			x := &storeClient{service: p}
			for range 20 {
				p.put(storeRegion, "/app/db", fmt.Sprint(i))
				for op, in := range map[string]string{
					"GetParameters":         `{"Names": ["/app/db", "` + parameterARN + `one"]}`,
					"GetParametersByPath":   `{"Path": "/app"}`,
					"LabelParameterVersion": `{"Name": "/app/db", "Labels": ["moving"]}`,
				} {
					if _, failure := x.call(t, op, in); failure != nil {
						t.Errorf("%s: %v", op, failure)
					}
				}
			}
		})
	}
	running.Wait()
}
