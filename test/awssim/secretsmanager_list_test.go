package awssim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newTaggedSecrets is a store with secrets of two teams. Creation times increase
// by name, so that the default order of listings is the reverse of the names'.
func newTaggedSecrets(t *testing.T) *secretStore {
	t.Helper()
	created := storeTime
	s, err := newSecretStore(storeAccount, []Secret{
		{Region: storeRegion, Name: "prod/pay/card", Suffix: "aaaaaa", Value: "1", Description: "Key of my cardProcessor", Tags: map[string]string{"team": "payments", "env": "prod"}},
		{Region: storeRegion, Name: "prod/pay/db", Suffix: "bbbbbb", Value: "2", Tags: map[string]string{"team": "payments-eu"}},
		{Region: storeRegion, Name: "prod/pay/empty", Suffix: "cccccc"},
		{Region: storeRegion, Name: "prod/paypal", Suffix: "dddddd", Value: "4", Tags: map[string]string{"owner": "payments", "team": "web"}},
		{Region: storeRegion, Name: "prod/web/db", Suffix: "eeeeee", Value: "5", PrimaryRegion: "us-east-1"},
		{Region: storeRegion, Name: "rds!db-1", Suffix: "ffffff", Value: "6", OwningService: "rds"},
		{Region: storeRegion, Name: "zz-gone", Suffix: "gggggg", Value: "7", Tags: map[string]string{"team": "payments"}},
		{Region: "us-east-1", Name: "prod/pay/card", Suffix: "hhhhhh", Value: "over there"},
	}, func() time.Time { created = created.Add(time.Second); return created })
	if err != nil {
		t.Fatal(err)
	}
	(&storeClient{service: s}).must(t, "DeleteSecret", `{"SecretId": "zz-gone"}`)
	return s
}

// batch returns the names with values, the ids and codes of errors, and the token
// of the next page.
func (x *storeClient) batch(t *testing.T, in string) (found, failed []string, next string) {
	t.Helper()
	var out struct {
		SecretValues []struct{ Name, SecretString string }
		Errors       []struct{ SecretID, ErrorCode string }
		NextToken    string
	}
	if err := json.Unmarshal([]byte(x.must(t, "BatchGetSecretValue", in)), &out); err != nil {
		t.Fatal(err)
	}
	for _, v := range out.SecretValues {
		found = append(found, v.Name+"="+v.SecretString)
	}
	for _, e := range out.Errors {
		failed = append(failed, e.SecretID+" "+e.ErrorCode)
	}
	return found, failed, out.NextToken
}

func TestA19_Filters(t *testing.T) {
	const card, db, paypal, web, rds = "prod/pay/card=1", "prod/pay/db=2", "prod/paypal=4", "prod/web/db=5", "rds!db-1=6"
	x := &storeClient{service: newTaggedSecrets(t)}
	for in, want := range map[string][]string{
		`[{"Key": "name", "Values": ["prod/pay/"]}]`:                                                 {db, card},
		`[{"Key": "name", "Values": ["prod/pay"]}]`:                                                  {paypal, db, card},
		`[{"Key": "name", "Values": ["Prod/"]}]`:                                                     nil,
		`[{"Key": "name", "Values": ["pay"]}]`:                                                       nil,
		`[{"Key": "name", "Values": ["prod/web", "rds"]}]`:                                           {rds, web},
		`[{"Key": "name", "Values": ["!prod/"]}]`:                                                    {rds},
		`[{"Key": "name", "Values": ["prod/"]}, {"Key": "name", "Values": ["!prod/pay"]}]`:           {web},
		`[{"Key": "tag-key", "Values": ["team"]}]`:                                                   {paypal, db, card},
		`[{"Key": "tag-key", "Values": ["Team"]}]`:                                                   nil,
		`[{"Key": "tag-key", "Values": ["env"]}]`:                                                    {card},
		`[{"Key": "tag-key", "Values": ["!te"]}, {"Key": "name", "Values": ["prod"]}]`:               {web},
		`[{"Key": "tag-value", "Values": ["payments-"]}]`:                                            {db},
		`[{"Key": "tag-key", "Values": ["team"]}, {"Key": "tag-value", "Values": ["payments"]}]`:     {paypal, db, card}, // neither a pair nor exact
		`[{"Key": "primary-region", "Values": ["us-"]}]`:                                             {web},
		`[{"Key": "owning-service", "Values": ["RD"]}]`:                                              {rds},
		`[{"Key": "description", "Values": ["my key"]}]`:                                             {card},
		`[{"Key": "description", "Values": ["PROCESS"]}]`:                                            {card},
		`[{"Key": "description", "Values": ["my door"]}]`:                                            nil,
		`[{"Key": "all", "Values": ["WEB"]}]`:                                                        {web, paypal},
		`[{"Key": "all", "Values": ["card"]}]`:                                                       {card},
		`[{"Key": "name", "Values": ["nothing"]}]`:                                                   nil,
		`[{"Key": "name", "Values": [""]}, {"Key": "tag-key", "Values": ["!"]}]`:                     {rds, web}, // no tags
		`[{"Key": "name", "Values": ["prod/pay/"]}, {"Key": "tag-value", "Values": ["prod"]}]`:       {card},
		`[{"Key": "name", "Values": ["rds", "!rds"]}, {"Key": "owning-service", "Values": ["rds"]}]`: {rds},
		`[{"Key": "tag-value", "Values": ["payments"]}, {"Key": "tag-value", "Values": ["prod"]}]`:   {card},
		`[{"Key": "name", "Values": ["zz-gone"]}]`:                                                   nil, // scheduled for deletion
	} {
		found, failed, next := x.batch(t, `{"Filters": `+in+`}`)
		failed = slices.DeleteFunc(failed, func(f string) bool { return strings.Contains(f, "prod/pay/empty-") })
		if diff := cmp.Diff(want, found); diff != "" || len(failed) > 0 || next != "" {
			t.Errorf("%s: errors %v, token %q, values (-want +got):\n%s", in, failed, next, diff)
		}
	}
}

func TestWordsOfFilters(t *testing.T) {
	for text, want := range map[string][]string{
		"credsDatabase#892": {"creds", "database", "892"},
		"prod/my_db-2a":     {"prod", "my", "db", "2", "a"},
		"/-_":               nil,
		"":                  nil,
		"Überweisung":       {"überweisung"},
	} {
		if diff := cmp.Diff(want, words(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestA18_FilteredBatchReportsWhatItMayNotRead(t *testing.T) {
	const prefix = `{"Filters": [{"Key": "name", "Values": ["prod/pay/"]}]`
	cardARN, emptyARN := secretARN+"prod/pay/card-aaaaaa", secretARN+"prod/pay/empty-cccccc"
	x := &storeClient{service: newTaggedSecrets(t), deny: func(action, arn string) bool { return action == "secretsmanager:GetSecretValue" && arn == cardARN }}
	storeExchange{op: "BatchGetSecretValue", in: prefix + `}`, want: `{
		"SecretValues": [{"ARN": "` + secretARN + `prod/pay/db-bbbbbb", "Name": "prod/pay/db", "VersionId": "` + currentID(t, x, "prod/pay/db") + `",
			"SecretString": "2", "VersionStages": ["AWSCURRENT"], "CreatedDate": 1795435202.25}],
		"Errors": [
			{"SecretId": "` + emptyARN + `", "ErrorCode": "ResourceNotFoundException", "Message": "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"},
			{"SecretId": "` + cardARN + `", "ErrorCode": "AccessDeniedException", "Message": "User: me is not authorized to perform: secretsmanager:GetSecretValue on resource: ` + cardARN + `"}]}`}.run(t, x)
	if x.object != "name=prod/pay/" {
		t.Errorf("object for the call log = %q", x.object)
	}
	x.checked = nil
	x.batch(t, prefix+`, "MaxResults": 2}`)
	want := []string{"secretsmanager:BatchGetSecretValue *", "secretsmanager:ListSecrets *", "secretsmanager:GetSecretValue " + emptyARN, "secretsmanager:GetSecretValue " + secretARN + "prod/pay/db-bbbbbb"}
	if diff := cmp.Diff(want, x.checked); diff != "" {
		t.Errorf("checked permissions (-want +got):\n%s", diff)
	}
	// A denied secret takes its place in a page.
	found, failed, next := x.batch(t, prefix+`, "MaxResults": 1, "NextToken": "`+x.tokenAfter(t, prefix, 2)+`"}`)
	if len(found) != 0 || len(failed) != 1 || next != "" {
		t.Errorf("the page of the denied secret: %v, %v, token %q", found, failed, next)
	}
	for _, action := range []string{"BatchGetSecretValue", "ListSecrets"} {
		x.deny = func(checked, _ string) bool { return checked == "secretsmanager:"+action }
		storeExchange{op: "BatchGetSecretValue", in: prefix + `}`, fault: "AccessDeniedException: User: me is not authorized to perform: secretsmanager:" + action + " on resource: *"}.run(t, x)
	}
}

// currentID is the id of a secret's current version.
func currentID(t *testing.T, x *storeClient, name string) string {
	t.Helper()
	var out struct{ VersionID string }
	if err := json.Unmarshal([]byte(x.must(t, "GetSecretValue", `{"SecretId": "`+name+`"}`)), &out); err != nil {
		t.Fatal(err)
	}
	return out.VersionID
}

// tokenAfter reads n pages of one secret and returns the last token. in lacks its
// closing brace.
func (x *storeClient) tokenAfter(t *testing.T, in string, n int) string {
	t.Helper()
	token := ""
	for range n {
		more := `, "MaxResults": 1}`
		if token != "" {
			more = fmt.Sprintf(`, "MaxResults": 1, "NextToken": %q}`, token)
		}
		_, _, token = x.batch(t, in+more)
	}
	return token
}

func TestBatchRefuses(t *testing.T) {
	x := &storeClient{service: newTaggedSecrets(t)}
	eleven := strings.Repeat(`{"Key": "name", "Values": ["a"]},`, 10) + `{"Key": "name", "Values": ["a"]}`
	const pattern = `failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 512, Member must satisfy regular expression pattern: ^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$]`
	for _, e := range []storeExchange{
		{name: "eleven filters", in: `{"Filters": [` + eleven + `]}`, fault: "ValidationException: 1 validation error detected: Value '[name=a" + strings.Repeat(" name=a", 10) + "]' at 'filters' failed to satisfy constraint: Member must have length less than or equal to 10"},
		{name: "eleven values", in: `{"Filters": [{"Key": "name", "Values": ["1","2","3","4","5","6","7","8","9","10","11"]}]}`,
			fault: "ValidationException: 1 validation error detected: Value '[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]' at 'filters.1.member.values' failed to satisfy constraint: Member must have length less than or equal to 10"},
		{name: "unknown key", in: `{"Filters": [{"Key": "Name", "Values": ["a"]}]}`,
			fault: "ValidationException: 1 validation error detected: Value 'Name' at 'filters.1.member.key' failed to satisfy constraint: Member must satisfy enum value set: [description, name, tag-key, tag-value, primary-region, owning-service, all]"},
		{name: "a star is no wildcard", in: `{"Filters": [{"Key": "name", "Values": ["prod/*"]}]}`, fault: "ValidationException: 1 validation error detected: Value '[prod/*]' at 'filters.1.member.values' " + pattern},
		{name: "value too long", in: `{"Filters": [{"Key": "name", "Values": ["` + strings.Repeat("a", 513) + `"]}]}`,
			fault: "ValidationException: 1 validation error detected: Value '[" + strings.Repeat("a", 513) + "]' at 'filters.1.member.values' " + pattern},
		{name: "no key", in: `{"Filters": [{"Values": ["a"]}]}`, fault: "InvalidParameterException: Invalid filter key"},
		{name: "no values", in: `{"Filters": [{"Key": "name"}]}`, fault: "InvalidParameterException: Invalid filter values for key: name"},
		{name: "empty values", in: `{"Filters": [{"Key": "name", "Values": []}]}`,
			fault: "ValidationException: 1 validation error detected: Value '[]' at 'filters.1.member.values' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{name: "no filter", in: `{"Filters": []}`, fault: "InvalidParameterException: Either 'SecretIdList' or 'Filters' must be provided, but not both."},
		{name: "both", in: `{"SecretIdList": ["a"], "Filters": [{"Key": "name", "Values": ["a"]}]}`, fault: "InvalidParameterException: Either 'SecretIdList' or 'Filters' must be provided, but not both."},
		{name: "ids with a token", in: `{"SecretIdList": ["a"], "NextToken": "x"}`, fault: "InvalidParameterException: 'Filters' not specified. 'Filters' must also be specified when 'NextToken' is provided."},
		{name: "twenty-one a page", in: `{"Filters": [{"Key": "name", "Values": ["a"]}], "MaxResults": 21}`,
			fault: "ValidationException: 1 validation error detected: Value '21' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 20"},
		{name: "empty token", in: `{"Filters": [{"Key": "name", "Values": ["a"]}], "NextToken": ""}`,
			fault: "ValidationException: 1 validation error detected: Value '' at 'nextToken' failed to satisfy constraint: Member must have length greater than or equal to 1"},
	} {
		t.Run(e.name, func(t *testing.T) { e.op = "BatchGetSecretValue"; e.run(t, x) })
	}
}

func TestA17_TokensOfABatchAreBoundToTheRequest(t *testing.T) {
	const prefix = `{"Filters": [{"Key": "name", "Values": ["prod/"]}]`
	s := newTaggedSecrets(t)
	token := (&storeClient{service: s}).tokenAfter(t, prefix, 1)
	for name, e := range map[string]struct {
		client storeClient
		op, in string
	}{
		"another filter":    {storeClient{}, "BatchGetSecretValue", `{"Filters": [{"Key": "name", "Values": ["prod"]}], "NextToken": %q}`},
		"another operation": {storeClient{}, "ListSecrets", prefix + `, "NextToken": %q}`},
		"another region":    {storeClient{region: "us-east-1"}, "BatchGetSecretValue", prefix + `, "NextToken": %q}`},
		"after a day":       {storeClient{now: storeTime.Add(24 * time.Hour)}, "BatchGetSecretValue", prefix + `, "NextToken": %q}`},
		"a number":          {storeClient{}, "BatchGetSecretValue", prefix + `, "NextToken": "%.0s1"}`},
		"a changed token":   {storeClient{}, "BatchGetSecretValue", prefix + `, "NextToken": "%.40s"}`},
	} {
		t.Run(name, func(t *testing.T) {
			client := e.client
			client.service = s
			storeExchange{op: e.op, in: fmt.Sprintf(e.in, token), fault: "InvalidNextTokenException: The NextToken value is invalid."}.run(t, &client)
		})
	}
}

func TestListSecrets(t *testing.T) {
	s := newTaggedSecrets(t)
	list := func(in string) (names []string, next string) {
		t.Helper()
		var out struct {
			SecretList []struct{ Name string }
			NextToken  string
		}
		if err := json.Unmarshal([]byte((&storeClient{service: s}).must(t, "ListSecrets", in)), &out); err != nil {
			t.Fatal(err)
		}
		for _, e := range out.SecretList {
			names = append(names, e.Name)
		}
		return names, out.NextToken
	}
	byName := []string{"prod/pay/card", "prod/pay/db", "prod/pay/empty", "prod/paypal", "prod/web/db", "rds!db-1"}
	newestFirst := slices.Clone(byName)
	slices.Reverse(newestFirst)
	for in, want := range map[string][]string{
		`{}`:                                     newestFirst,
		`{"SortOrder": "asc"}`:                   byName,
		`{"SortBy": "name", "SortOrder": "asc"}`: byName,
		`{"SortBy": "name", "SortOrder": "desc"}`:                                   newestFirst,
		`{"SortBy": "last-changed-date"}`:                                           newestFirst,
		`{"IncludePlannedDeletion": true, "SortOrder": "asc"}`:                      append(slices.Clone(byName), "zz-gone"),
		`{"Filters": [{"Key": "tag-key", "Values": ["team"]}], "SortOrder": "asc"}`: {"prod/pay/card", "prod/pay/db", "prod/paypal"},
	} {
		got, next := list(in)
		if diff := cmp.Diff(want, got); diff != "" || next != "" {
			t.Errorf("%s: token %q, names (-want +got):\n%s", in, next, diff)
		}
	}
	var pages [][]string
	for token := ""; ; {
		page, next := list(`{"SortBy": "name", "SortOrder": "asc", "MaxResults": 4` + token + `}`)
		pages = append(pages, page)
		if next == "" {
			break
		}
		token = fmt.Sprintf(`, "NextToken": %q`, next)
	}
	if diff := cmp.Diff([][]string{byName[:4], byName[4:]}, pages); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}

	x := &storeClient{service: s}
	storeExchange{op: "ListSecrets", in: `{"Filters": [{"Key": "tag-key", "Values": ["env"]}]}`, want: `{"SecretList": [{
		"ARN": "` + secretARN + `prod/pay/card-aaaaaa", "Name": "prod/pay/card", "Description": "Key of my cardProcessor",
		"CreatedDate": 1795435201.25, "LastChangedDate": 1795435201.25,
		"Tags": [{"Key": "env", "Value": "prod"}, {"Key": "team", "Value": "payments"}],
		"SecretVersionsToStages": {"` + secretVersionOf(s, "prod/pay/card") + `": ["AWSCURRENT"]}}]}`}.run(t, x)
	for _, e := range []storeExchange{
		{in: `{"MaxResults": 101}`, fault: "ValidationException: 1 validation error detected: Value '101' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100"},
		{in: `{"SortBy": "size", "SortOrder": "up"}`, fault: "ValidationException: 2 validation errors detected: Value 'size' at 'sortBy' failed to satisfy constraint: " +
			"Member must satisfy enum value set: [created-date, last-accessed-date, last-changed-date, name]; Value 'up' at 'sortOrder' failed to satisfy constraint: Member must satisfy enum value set: [asc, desc]"},
		{in: `{"Filters": [{"Key": "name"}]}`, fault: "InvalidParameterException: Invalid filter values for key: name"},
	} {
		e.op = "ListSecrets"
		e.run(t, x)
	}
	x.deny = func(action, arn string) bool { return action == "secretsmanager:ListSecrets" && arn == "*" }
	storeExchange{op: "ListSecrets", in: `{}`, fault: "AccessDeniedException: User: me is not authorized to perform: secretsmanager:ListSecrets on resource: *"}.run(t, x)
}

func secretVersionOf(s *secretStore, name string) string {
	return s.regions[storeRegion][name].staged(stageCurrent).id
}

func TestA20_SecretWithItsOwnKey(t *testing.T) {
	s := newTestSecrets(t, Secret{Region: storeRegion, Name: "own-key", Suffix: "kkkkkk", Value: "v", KMSKeyID: testKeyARN})
	x := &storeClient{service: s, deny: func(action, arn string) bool { return action == "kms:Decrypt" && arn == testKeyARN }}
	storeExchange{op: "GetSecretValue", in: `{"SecretId": "own-key"}`, fault: "AccessDeniedException: Access to KMS is not allowed"}.run(t, x)
	storeExchange{op: "BatchGetSecretValue", in: `{"Filters": [{"Key": "name", "Values": ["own-key"]}]}`,
		want: `{"SecretValues": [], "Errors": [{"SecretId": "` + secretARN + `own-key-kkkkkk", "ErrorCode": "AccessDeniedException", "Message": "Access to KMS is not allowed"}]}`}.run(t, x)
	x.deny = nil
	x.must(t, "GetSecretValue", `{"SecretId": "own-key"}`)
	storeExchange{op: "CreateSecret", in: `{"Name": "n", "KmsKeyId": "alias/mine", "ClientRequestToken": "` + version3 + `"}`,
		fault: "InvalidParameterException: The KMS key alias/mine is not valid."}.run(t, x)
}

func TestTagsOfSecrets(t *testing.T) {
	s := newTestSecrets(t)
	x := &storeClient{service: s}
	x.must(t, "CreateSecret", `{"Name": "tagged", "SecretString": "v", "ClientRequestToken": "`+version3+`", "Tags": [{"Key": "team", "Value": "payments"}]}`)
	if diff := cmp.Diff([]string{"secretsmanager:CreateSecret " + secretARN + "tagged", "secretsmanager:TagResource " + secretARN + "tagged"}, x.checked); diff != "" {
		t.Errorf("checked permissions (-want +got):\n%s", diff)
	}
	if got := x.must(t, "DescribeSecret", `{"SecretId": "tagged"}`); !strings.Contains(got, `"Tags":[{"Key":"team","Value":"payments"}]`) {
		t.Errorf("got %s", got)
	}
	storeExchange{op: "CreateSecret", in: `{"Name": "twice", "ClientRequestToken": "` + version3 + `", "Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}`,
		fault: `InvalidParameterException: The request tag "a" is there twice.`}.run(t, x)
	for name, tags := range map[string]map[string]string{"empty key": {"": "x"}, "long value": {"k": strings.Repeat("x", 257)}, "reserved": {"aws:x": "y"}} {
		if err := s.tag(storeRegion, "tagged", tags); err == nil {
			t.Errorf("%s is accepted", name)
		}
		if _, err := newSecretStore(storeAccount, []Secret{{Region: storeRegion, Name: "n", Tags: tags}}, storeNow); err == nil {
			t.Errorf("%s is accepted in a seed", name)
		}
	}
}
