package awssim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	testKeyID   = "11111111-2222-3333-4444-555555555555"
	testKeyARN  = "arn:aws:kms:" + storeRegion + ":" + storeAccount + ":key/" + testKeyID
	invalidPath = `ValidationException: The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "/". It can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). It must use only letters, numbers, or the following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All sub-paths, if specified, must use the forward slash symbol "/". Valid example: /get/parameters2-/by1./path0_.`
)

// byPath returns a page as "name=value" and the token of the next one.
func (x *storeClient) byPath(t *testing.T, in string) (page []string, next string) {
	t.Helper()
	var out struct {
		Parameters []struct{ Name, Value, Selector string }
		NextToken  string
	}
	if err := json.Unmarshal([]byte(x.must(t, "GetParametersByPath", in)), &out); err != nil {
		t.Fatal(err)
	}
	page = []string{}
	for _, p := range out.Parameters {
		page = append(page, p.Name+p.Selector+"="+p.Value)
	}
	return page, out.NextToken
}

func TestA16_GetParametersByPath(t *testing.T) {
	x := &storeClient{service: newTestParameters(t, Parameter{Region: storeRegion, Name: "/application", Value: "not below /app"})}
	for in, want := range map[string][]string{
		`{"Path": "/app"}`:                         {"/app/db=third", "/app/key="},
		`{"Path": "/app/"}`:                        {"/app/db=third", "/app/key="},
		`{"Path": " /app "}`:                       {"/app/db=third", "/app/key="},
		`{"Path": "/app", "Recursive": true}`:      {"/app/db=third", "/app/deep/list=a,b", "/app/key="},
		`{"Path": "/app/deep"}`:                    {"/app/deep/list=a,b"},
		`{"Path": "/app/db"}`:                      {},
		`{"Path": "/ap"}`:                          {},
		`{"Path": "/nothing"}`:                     {},
		`{"Path": "/"}`:                            {"/application=not below /app", "/one=level", "plain=v"},
		`{"Path": "/", "Recursive": true}`:         {"/app/db=third", "/app/deep/list=a,b", "/app/key=", "/application=not below /app", "/one=level", "plain=v"},
		`{"Path": "/app", "WithDecryption": true}`: {"/app/db=third", "/app/key=decrypted-value"},
		`{"Path": "/app", "ParameterFilters": [{"Key": "Type", "Values": ["SecureString", "StringList"]}]}`:                         {"/app/key="},
		`{"Path": "/app", "ParameterFilters": [{"Key": "Type", "Option": "BeginsWith", "Values": ["Str"]}]}`:                        {"/app/db=third"},
		`{"Path": "/app", "ParameterFilters": [{"Key": "KeyId", "Values": ["alias/aws/ssm"]}]}`:                                     {"/app/key="},
		`{"Path": "/app", "ParameterFilters": [{"Key": "KeyId", "Option": "BeginsWith", "Values": ["arn:"]}]}`:                      {},
		`{"Path": "/app", "ParameterFilters": [{"Key": "Label", "Values": ["prod"]}]}`:                                              {"/app/db:prod=second"},
		`{"Path": "/app", "ParameterFilters": [{"Key": "Label", "Values": ["prod", "test"]}]}`:                                      {"/app/db:test=third"},
		`{"Path": "/app", "ParameterFilters": [{"Key": "Label", "Option": "Equals", "Values": ["pro"]}]}`:                           {},
		`{"Path": "/app", "ParameterFilters": [{"Key": "Label", "Values": ["prod"]}, {"Key": "Type", "Values": ["SecureString"]}]}`: {},
	} {
		got, next := x.byPath(t, in)
		for i, p := range got { // ciphertext is tested elsewhere
			if name, value, _ := strings.Cut(p, "="); strings.HasPrefix(value, "AQICAH") {
				got[i] = name + "="
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || next != "" {
			t.Errorf("%s: token %q, parameters (-want +got):\n%s", in, next, diff)
		}
	}
	storeExchange{op: "GetParametersByPath", in: `{"Path": "/app/deep"}`,
		want: `{"Parameters": [` + parameterJSON("/app/deep/list", "StringList", "a,b", 1, "") + `]}`}.run(t, x)
	deepest := strings.Repeat("/l", 15)
	storeExchange{op: "GetParametersByPath", in: `{"Path": "` + deepest + `"}`, want: `{"Parameters": []}`}.run(t, x)
	for _, e := range []storeExchange{
		{name: "no path", in: `{}`, fault: "ValidationException: 1 validation error detected: Value null at 'path' failed to satisfy constraint: Member must not be null"},
		{name: "no leading slash", in: `{"Path": "app"}`, fault: invalidPath},
		{name: "empty level", in: `{"Path": "/app//db"}`, fault: invalidPath},
		{name: "a star is no wildcard", in: `{"Path": "/app/*"}`, fault: invalidPath},
		{name: "an ARN is no path", in: `{"Path": "` + parameterARN + `app"}`, fault: invalidPath},
		{name: "sixteen levels", in: `{"Path": "` + deepest + `/l"}`, fault: "ValidationException: A hierarchy can have a maximum of 15 levels."},
		{name: "eleven a page", in: `{"Path": "/", "MaxResults": 11}`, fault: "ValidationException: 1 validation error detected: Value '11' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 10"},
		{name: "none a page", in: `{"Path": "/", "MaxResults": 0}`, fault: "ValidationException: 1 validation error detected: Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{name: "filter key that exists nowhere", in: `{"Path": "/", "ParameterFilters": [{"Key": "type", "Values": ["x"]}]}`,
			fault: "ValidationException: 1 validation error detected: Value 'type' at 'parameterFilters.1.member.key' failed to satisfy constraint: Member must satisfy regular expression pattern: tag:.+|Name|Type|KeyId|Path|Label|Tier|DataType"},
		{name: "filter without a key", in: `{"Path": "/", "ParameterFilters": [{"Values": ["x"]}]}`,
			fault: "ValidationException: 1 validation error detected: Value null at 'parameterFilters.1.member.key' failed to satisfy constraint: Member must not be null"},
		{name: "filter with an empty list", in: `{"Path": "/", "ParameterFilters": [{"Key": "Type", "Values": []}]}`,
			fault: "ValidationException: 1 validation error detected: Value '[]' at 'parameterFilters.1.member.values' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{name: "filter key of DescribeParameters", in: `{"Path": "/", "ParameterFilters": [{"Key": "Name", "Values": ["x"]}]}`,
			fault: "InvalidFilterKey: The following filter key is not valid: Name. Valid filter keys include: [Type, KeyId]."},
		{name: "filter by tag", in: `{"Path": "/", "ParameterFilters": [{"Key": "tag:team", "Values": ["x"]}]}`,
			fault: "InvalidFilterKey: The following filter key is not valid: tag:team. Valid filter keys include: [Type, KeyId]."},
		{name: "the same filter twice", in: `{"Path": "/", "ParameterFilters": [{"Key": "Label", "Values": ["x"]}, {"Key": "Label", "Values": ["y"]}]}`,
			fault: "InvalidFilterKey: The following filter is duplicated in the request: Label. A request can contain only one occurrence of a specific filter."},
		{name: "filter without values", in: `{"Path": "/", "ParameterFilters": [{"Key": "Label"}]}`,
			fault: "InvalidFilterValue: The following filter values are missing : null for filter key Label."},
		{name: "labels have no prefix", in: `{"Path": "/", "ParameterFilters": [{"Key": "Label", "Option": "BeginsWith", "Values": ["x"]}]}`,
			fault: "InvalidFilterOption: The following filter option is not valid: BeginsWith. Valid options include: [Equals]."},
		{name: "option of DescribeParameters", in: `{"Path": "/", "ParameterFilters": [{"Key": "Type", "Option": "Contains", "Values": ["x"]}]}`,
			fault: "InvalidFilterOption: The following filter option is not valid: Contains. Valid options include: [BeginsWith, Equals]."},
		{name: "type that does not exist", in: `{"Path": "/", "ParameterFilters": [{"Key": "Type", "Values": ["Secret"]}]}`,
			fault: "InvalidFilterOption: The following filter value is not valid: Secret. Valid values include: [String, StringList, SecureString]."},
	} {
		t.Run(e.name, func(t *testing.T) { e.op = "GetParametersByPath"; e.run(t, x) })
	}
}

// The service checks the path of the request as it stands, and nothing else.
func TestA16_ThePathIsWhatAPolicyAllows(t *testing.T) {
	for path, arn := range map[string]string{"/app": "app", "/app/": "app/", "/": "", "/app/deep": "app/deep"} {
		x := &storeClient{service: newTestParameters(t), deny: func(_, resource string) bool { return resource == parameterARN+"app/db" }}
		x.must(t, "GetParametersByPath", `{"Path": "`+path+`", "Recursive": true, "WithDecryption": true}`)
		if diff := cmp.Diff([]string{"ssm:GetParametersByPath " + parameterARN + arn}, x.checked); diff != "" {
			t.Errorf("%s: checked permissions (-want +got):\n%s", path, diff)
		}
	}
	x := &storeClient{service: newTestParameters(t), deny: func(_, resource string) bool { return resource == parameterARN+"app/db" }}
	page, _ := x.byPath(t, `{"Path": "/app", "Recursive": true, "ParameterFilters": [{"Key": "Type", "Values": ["String"]}]}`)
	if diff := cmp.Diff([]string{"/app/db=third"}, page); diff != "" {
		t.Errorf("a Deny on one parameter has an effect on its path (-want +got):\n%s", diff)
	}
}

func TestA20_ParameterWithItsOwnKey(t *testing.T) {
	p := newTestParameters(t, Parameter{Region: storeRegion, Name: "/kms/own", Type: "SecureString", Value: "v", KeyID: testKeyID},
		Parameter{Region: storeRegion, Name: "/kms/plain", Value: "w"})
	denied := &storeClient{service: p, deny: func(action, arn string) bool { return action == "kms:Decrypt" && arn == testKeyARN }}
	for op, in := range map[string]string{
		"GetParametersByPath": `{"Path": "/kms", "WithDecryption": true}`,
		"GetParameters":       `{"Names": ["/kms/plain", "/kms/own"], "WithDecryption": true}`,
		"GetParameter":        `{"Name": "/kms/own", "WithDecryption": true}`,
	} {
		_, failure := denied.call(t, op, in)
		want := "User: me is not authorized to perform: kms:Decrypt on resource: " + testKeyARN + " (Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException; Request ID: "
		if failure == nil || failure.Code != "AccessDeniedException" || !strings.HasPrefix(failure.Message, want) {
			t.Errorf("%s: got %v, want AccessDeniedException: %s…", op, failure, want)
		}
		denied.must(t, op, strings.Replace(in, `"WithDecryption": true`, `"WithDecryption": false`, 1))
		(&storeClient{service: p}).must(t, op, in)
	}
	page, _ := (&storeClient{service: p}).byPath(t, `{"Path": "/kms", "WithDecryption": true, "ParameterFilters": [{"Key": "KeyId", "Values": ["`+testKeyID+`"]}]}`)
	if diff := cmp.Diff([]string{"/kms/own=v"}, page); diff != "" {
		t.Errorf("by key (-want +got):\n%s", diff)
	}
	x := &storeClient{service: p}
	x.must(t, "PutParameter", `{"Name": "/kms/own", "Value": "x", "Type": "SecureString", "Overwrite": true, "KeyId": "`+testKeyARN+`"}`)
	storeExchange{op: "PutParameter", in: `{"Name": "/new", "Value": "x", "Type": "SecureString", "KeyId": "alias/mine"}`, fault: "InvalidKeyId: Invalid keyId alias/mine"}.run(t, x)
}

// parameterPages is a store with /many/00 to /many/24, every fifth a StringList.
func parameterPages(t *testing.T) *parameterStore {
	t.Helper()
	var seeds []Parameter
	for i := range 25 {
		kind := "String"
		if i%5 == 0 {
			kind = "StringList"
		}
		seeds = append(seeds, Parameter{Region: storeRegion, Name: fmt.Sprintf("/many/%02d", i), Type: kind, Value: fmt.Sprint(i)})
	}
	return newTestParameters(t, seeds...)
}

func TestA17_PagesOfAPath(t *testing.T) {
	for _, e := range []struct {
		name, in  string
		scanLimit int
		want      []int // parameters on each page
	}{
		{"default size", `{"Path": "/many"`, 0, []int{10, 10, 5}},
		{"the last page is full", `{"Path": "/many", "MaxResults": 5`, 0, []int{5, 5, 5, 5, 5}},
		{"filtered", `{"Path": "/many", "MaxResults": 2, "ParameterFilters": [{"Key": "Type", "Values": ["StringList"]}]`, 0, []int{2, 2, 1}},
		{"short pages", `{"Path": "/many"`, 7, []int{7, 7, 7, 4}},
		{"empty pages", `{"Path": "/many", "ParameterFilters": [{"Key": "Type", "Values": ["StringList"]}]`, 3, []int{1, 1, 0, 1, 0, 1, 1, 0, 0}},
	} {
		t.Run(e.name, func(t *testing.T) {
			p := parameterPages(t)
			p.scanLimit = e.scanLimit
			x := &storeClient{service: p}
			var sizes []int
			var all []string
			for token := ""; ; {
				page, next := x.byPath(t, e.in+token+"}")
				sizes, all = append(sizes, len(page)), append(all, page...)
				if next == "" {
					break
				}
				token = fmt.Sprintf(`, "NextToken": %q`, next)
			}
			if diff := cmp.Diff(e.want, sizes); diff != "" {
				t.Errorf("sizes of pages (-want +got):\n%s", diff)
			}
			if !isSortedSet(all) {
				t.Errorf("parameters are repeated or not sorted: %v", all)
			}
		})
	}
}

func isSortedSet(all []string) bool {
	for i := 1; i < len(all); i++ {
		if all[i-1] >= all[i] {
			return false
		}
	}
	return len(all) > 0
}

// A parameter that is removed or added between two pages moves no other one.
func TestA17_PagesOfAPathThatChanges(t *testing.T) {
	p := parameterPages(t)
	x := &storeClient{service: p}
	_, next := x.byPath(t, `{"Path": "/many"}`)
	for name, want := range map[string]bool{"/many/09": true, "/many/10": true, "/many/99": false} {
		if got := p.remove(storeRegion, name); got != want {
			t.Errorf("remove %s = %t", name, got)
		}
	}
	p.put(storeRegion, "/many/05x", "too early for the second page")
	p.put(storeRegion, "/many/11x", "new")
	page, _ := x.byPath(t, fmt.Sprintf(`{"Path": "/many", "MaxResults": 3, "NextToken": %q}`, next))
	if diff := cmp.Diff([]string{"/many/11=11", "/many/11x=new", "/many/12=12"}, page); diff != "" {
		t.Errorf("second page (-want +got):\n%s", diff)
	}
}

func TestA17_TokensOfAPathAreBoundToTheRequest(t *testing.T) {
	p := parameterPages(t)
	x := &storeClient{service: p}
	_, token := x.byPath(t, `{"Path": "/many", "Recursive": true, "WithDecryption": true}`)
	if strings.Contains(token, "many") || len(token) < 40 {
		t.Errorf("token %q is not opaque", token)
	}
	if _, other := x.byPath(t, `{"Path": "/many", "Recursive": true, "WithDecryption": true}`); other == token {
		t.Error("two requests get the same token")
	}
	x.must(t, "GetParametersByPath", fmt.Sprintf(`{"Path": "/many", "Recursive": true, "WithDecryption": true, "MaxResults": 1, "NextToken": %q}`, token))
	for name, e := range map[string]struct {
		client storeClient
		in     string
	}{
		"another path":      {storeClient{}, `{"Path": "/app", "Recursive": true, "WithDecryption": true, "NextToken": %q}`},
		"another depth":     {storeClient{}, `{"Path": "/many", "WithDecryption": true, "NextToken": %q}`},
		"no decryption":     {storeClient{}, `{"Path": "/many", "Recursive": true, "NextToken": %q}`},
		"another filter":    {storeClient{}, `{"Path": "/many", "Recursive": true, "WithDecryption": true, "ParameterFilters": [{"Key": "Label", "Values": ["x"]}], "NextToken": %q}`},
		"another region":    {storeClient{region: "us-east-1"}, `{"Path": "/many", "Recursive": true, "WithDecryption": true, "NextToken": %q}`},
		"after a day":       {storeClient{now: storeTime.Add(24 * time.Hour)}, `{"Path": "/many", "Recursive": true, "WithDecryption": true, "NextToken": %q}`},
		"a changed token":   {storeClient{}, `{"Path": "/many", "Recursive": true, "WithDecryption": true, "NextToken": "A%.20s"}`},
		"a number":          {storeClient{}, `{"Path": "/many", "Recursive": true, "WithDecryption": true, "NextToken": "%.0s10"}`},
		"an empty token":    {storeClient{}, `{"Path": "/many", "Recursive": true, "WithDecryption": true, "NextToken": "%.0s"}`},
		"a parameter's own": {storeClient{}, `{"Path": "/many", "Recursive": true, "WithDecryption": true, "NextToken": "%.0s/many/09"}`},
	} {
		t.Run(name, func(t *testing.T) {
			client := e.client
			client.service = p
			storeExchange{op: "GetParametersByPath", in: fmt.Sprintf(e.in, token), fault: "InvalidNextToken: The specified token isn't valid."}.run(t, &client)
		})
	}
	t.Run("another simulator's", func(t *testing.T) {
		storeExchange{op: "GetParametersByPath", in: fmt.Sprintf(`{"Path": "/many", "Recursive": true, "WithDecryption": true, "NextToken": %q}`, token),
			fault: "InvalidNextToken: The specified token isn't valid."}.run(t, &storeClient{service: parameterPages(t)})
	})
	t.Run("a minute before it expires", func(t *testing.T) {
		x := &storeClient{service: p, now: storeTime.Add(24*time.Hour - time.Minute)}
		x.must(t, "GetParametersByPath", fmt.Sprintf(`{"Path": "/many", "Recursive": true, "WithDecryption": true, "NextToken": %q}`, token))
	})
}
