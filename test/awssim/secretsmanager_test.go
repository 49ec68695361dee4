package awssim

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"
	yaml "go.yaml.in/yaml/v3"
)

const (
	version1  = "11111111-1111-4111-8111-111111111111"
	version2  = "22222222-2222-4222-8222-222222222222"
	version3  = "33333333-3333-4333-8333-333333333333"
	secretARN = "arn:aws:secretsmanager:" + storeRegion + ":" + storeAccount + ":secret:"
)

func newTestSecrets(t *testing.T, more ...Secret) *secretStore {
	t.Helper()
	s, err := newSecretStore(storeAccount, append([]Secret{
		{Region: storeRegion, Name: "text", Suffix: "AbCd12", Versions: []SecretVersion{
			{ID: version1, Value: "old", Stages: []string{"AWSPREVIOUS", "green"}},
			{ID: version2, Value: "new"},
		}},
		{Region: storeRegion, Name: "app/binary", Suffix: "zzzzzz", Versions: []SecretVersion{{ID: version1, Binary: Base64{0, 255}}}},
		{Region: storeRegion, Name: "empty", Suffix: "yyyyyy"},
		{Region: storeRegion, Name: "ends-in-sixsix", Suffix: "xxxxxx", Versions: []SecretVersion{{ID: version1, Value: "trap"}}},
		{Region: "us-east-1", Name: "text", Suffix: "Other1", Versions: []SecretVersion{{ID: version1, Value: "over there"}}},
	}, more...), storeNow)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestA1_GetSecretValue(t *testing.T) {
	const (
		current  = `{"ARN": "` + secretARN + `text-AbCd12", "Name": "text", "VersionId": "` + version2 + `", "SecretString": "new", "VersionStages": ["AWSCURRENT"], "CreatedDate": 1795435200.25}`
		previous = `{"ARN": "` + secretARN + `text-AbCd12", "Name": "text", "VersionId": "` + version1 + `", "SecretString": "old", "VersionStages": ["AWSPREVIOUS", "green"], "CreatedDate": 1795435200.25}`
		missing  = "ResourceNotFoundException: Secrets Manager can't find the specified secret."
	)
	x := &storeClient{service: newTestSecrets(t)}
	for _, e := range []storeExchange{
		{name: "by name", in: `{"SecretId": "text"}`, want: current},
		{name: "by complete ARN", in: `{"SecretId": "` + secretARN + `text-AbCd12"}`, want: current},
		{name: "by partial ARN", in: `{"SecretId": "` + secretARN + `text"}`, want: current},
		{name: "by ARN with another suffix", in: `{"SecretId": "` + secretARN + `text-XXXXXX"}`, fault: missing},
		{name: "partial ARN that looks complete", in: `{"SecretId": "` + secretARN + `ends-in-sixsix"}`, fault: missing},
		{name: "its complete ARN", in: `{"SecretId": "` + secretARN + `ends-in-sixsix-xxxxxx"}`,
			want: `{"ARN": "` + secretARN + `ends-in-sixsix-xxxxxx", "Name": "ends-in-sixsix", "VersionId": "` + version1 + `", "SecretString": "trap", "VersionStages": ["AWSCURRENT"], "CreatedDate": 1795435200.25}`},
		{name: "ARN of another region", in: `{"SecretId": "arn:aws:secretsmanager:us-east-1:` + storeAccount + `:secret:text-Other1"}`, fault: missing},
		{name: "ARN of another account", in: `{"SecretId": "arn:aws:secretsmanager:eu-west-1:999999999999:secret:text-AbCd12"}`, fault: missing},
		{name: "missing", in: `{"SecretId": "nothing"}`, fault: missing},
		{name: "not a name", in: `{"SecretId": "a b"}`, fault: "ValidationException: Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"},
		{name: "name too long", in: `{"SecretId": "` + strings.Repeat("x", 2049) + `"}`, fault: "ValidationException: 1 validation error detected: Value '" +
			strings.Repeat("x", 2049) + "' at 'secretId' failed to satisfy constraint: Member must have length less than or equal to 2048"},
		{name: "binary", in: `{"SecretId": "app/binary"}`,
			want: `{"ARN": "` + secretARN + `app/binary-zzzzzz", "Name": "app/binary", "VersionId": "` + version1 + `", "SecretBinary": "AP8=", "VersionStages": ["AWSCURRENT"], "CreatedDate": 1795435200.25}`},
		{name: "without a value", in: `{"SecretId": "empty"}`, fault: "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"},
		{name: "by version", in: `{"SecretId": "text", "VersionId": "` + version1 + `"}`, want: previous},
		{name: "by label", in: `{"SecretId": "text", "VersionStage": "green"}`, want: previous},
		{name: "by both, they agree", in: `{"SecretId": "text", "VersionId": "` + version1 + `", "VersionStage": "AWSPREVIOUS"}`, want: previous},
		{name: "by both, they disagree", in: `{"SecretId": "text", "VersionId": "` + version1 + `", "VersionStage": "AWSCURRENT"}`,
			fault: "InvalidRequestException: You provided a VersionStage that is not associated to the provided VersionId."},
		{name: "missing version", in: `{"SecretId": "text", "VersionId": "` + version3 + `"}`,
			fault: "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: " + version3},
		{name: "missing label", in: `{"SecretId": "text", "VersionStage": "blue"}`,
			fault: "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: blue"},
		{name: "version id too long", in: `{"SecretId": "text", "VersionId": "` + strings.Repeat("a", 65) + `"}`, fault: "ValidationException: 1 validation error detected: Value '" +
			strings.Repeat("a", 65) + "' at 'versionId' failed to satisfy constraint: Member must have length less than or equal to 64"},
		{name: "label empty", in: `{"SecretId": "text", "VersionStage": ""}`, fault: "ValidationException: 1 validation error detected: Value '' at 'versionStage' " +
			"failed to satisfy constraint: Member must have length greater than or equal to 1"},
	} {
		t.Run(e.name, func(t *testing.T) { e.op = "GetSecretValue"; e.run(t, x) })
	}
}

func TestSecretARNHasTheRegionsPartition(t *testing.T) {
	s := newTestSecrets(t,
		Secret{Region: "cn-north-1", Name: "x", Suffix: "aaaaaa", Value: "v"},
		Secret{Region: "us-gov-west-1", Name: "x", Suffix: "aaaaaa", Value: "v"})
	for region, arn := range map[string]string{
		"cn-north-1":    "arn:aws-cn:secretsmanager:cn-north-1:" + storeAccount + ":secret:x-aaaaaa",
		"us-gov-west-1": "arn:aws-us-gov:secretsmanager:us-gov-west-1:" + storeAccount + ":secret:x-aaaaaa",
	} {
		x := &storeClient{service: s, region: region}
		if got := x.must(t, "GetSecretValue", `{"SecretId": "`+arn+`"}`); !strings.Contains(got, arn) {
			t.Errorf("%s: %s does not contain %s", region, got, arn)
		}
	}
}

func TestSecretPermissions(t *testing.T) {
	denied := func(resource string) string {
		return "AccessDeniedException: User: me is not authorized to perform: secretsmanager:GetSecretValue on resource: " + resource
	}
	for _, e := range []struct{ name, id, checked, fault string }{
		{"by name, with the real ARN", "text", secretARN + "text-AbCd12", denied(secretARN + "text-AbCd12")},
		{"by partial ARN, with the real ARN", secretARN + "text", secretARN + "text-AbCd12", denied(secretARN + "text-AbCd12")},
		{"missing is not told, the name is repeated", "nothing", secretARN + "nothing", denied("nothing")},
		{"missing ARN is repeated", secretARN + "nothing-AbCd12", secretARN + "nothing-AbCd12", denied(secretARN + "nothing-AbCd12")},
	} {
		t.Run(e.name, func(t *testing.T) {
			x := &storeClient{service: newTestSecrets(t), deny: func(string, string) bool { return true }}
			storeExchange{op: "GetSecretValue", in: `{"SecretId": "` + e.id + `"}`, fault: e.fault}.run(t, x)
			if diff := cmp.Diff([]string{"secretsmanager:GetSecretValue " + e.checked}, x.checked); diff != "" {
				t.Errorf("checked permissions (-want +got):\n%s", diff)
			}
			if x.object != e.id {
				t.Errorf("object for the call log = %q, want %q", x.object, e.id)
			}
		})
	}
	for op, in := range map[string]string{
		"DescribeSecret":           `{"SecretId": "text"}`,
		"PutSecretValue":           `{"SecretId": "text", "SecretString": "x", "ClientRequestToken": "` + version3 + `"}`,
		"UpdateSecretVersionStage": `{"SecretId": "text", "VersionStage": "x"}`,
		"DeleteSecret":             `{"SecretId": "text"}`,
		"RestoreSecret":            `{"SecretId": "text"}`,
	} {
		t.Run(op, func(t *testing.T) {
			x := &storeClient{service: newTestSecrets(t), deny: func(string, string) bool { return true }}
			storeExchange{op: op, in: in, fault: "AccessDeniedException: User: me is not authorized to perform: secretsmanager:" + op + " on resource: " + secretARN + "text-AbCd12"}.run(t, x)
		})
	}
}

func TestDescribeSecret(t *testing.T) {
	x := &storeClient{service: newTestSecrets(t)}
	storeExchange{op: "DescribeSecret", in: `{"SecretId": "empty"}`,
		want: `{"ARN": "` + secretARN + `empty-yyyyyy", "Name": "empty", "CreatedDate": 1795435200.25, "LastChangedDate": 1795435200.25}`}.run(t, x)
	x.must(t, "GetSecretValue", `{"SecretId": "text"}`)
	storeExchange{op: "DescribeSecret", in: `{"SecretId": "text"}`, want: `{
		"ARN": "` + secretARN + `text-AbCd12", "Name": "text", "CreatedDate": 1795435200.25, "LastChangedDate": 1795435200.25, "LastAccessedDate": 1795392000,
		"VersionIdsToStages": {"` + version1 + `": ["AWSPREVIOUS", "green"], "` + version2 + `": ["AWSCURRENT"]}}`}.run(t, x)
}

func TestA3_BatchGetSecretValue(t *testing.T) {
	const entry = `{"ARN": "` + secretARN + `text-AbCd12", "Name": "text", "VersionId": "` + version2 + `", "SecretString": "new", "VersionStages": ["AWSCURRENT"], "CreatedDate": 1795435200.25}`
	many := `"a"` + strings.Repeat(`, "a"`, 20)
	x := &storeClient{service: newTestSecrets(t), deny: func(_, arn string) bool { return strings.Contains(arn, "app/binary") }}
	for _, e := range []storeExchange{
		{name: "values and errors per id", in: `{"SecretIdList": ["text", "nothing", "empty", "app/binary", "a b"]}`, want: `{"SecretValues": [` + entry + `], "Errors": [
			{"SecretId": "nothing", "ErrorCode": "ResourceNotFoundException", "Message": "Secrets Manager can't find the specified secret."},
			{"SecretId": "empty", "ErrorCode": "ResourceNotFoundException", "Message": "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"},
			{"SecretId": "app/binary", "ErrorCode": "AccessDeniedException",
			 "Message": "User: me is not authorized to perform: secretsmanager:GetSecretValue on resource: ` + secretARN + `app/binary-zzzzzz"},
			{"SecretId": "a b", "ErrorCode": "ValidationException",
			 "Message": "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"}]}`},
		{name: "more than twenty", in: `{"SecretIdList": [` + many + `]}`, fault: "ValidationException: 1 validation error detected: Value '[" + strings.Repeat("a, ", 20) + "a]' at 'secretIdList' " +
			"failed to satisfy constraint: Member must have length less than or equal to 20"},
		{name: "empty list", in: `{"SecretIdList": []}`, fault: "ValidationException: 1 validation error detected: Value '[]' at 'secretIdList' " +
			"failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{name: "neither list nor filters", in: `{}`, fault: "InvalidParameterException: Either 'SecretIdList' or 'Filters' must be provided, but not both."},
		{name: "both", in: `{"SecretIdList": ["text"], "Filters": [{"Key": "name"}]}`, fault: "InvalidParameterException: Either 'SecretIdList' or 'Filters' must be provided, but not both."},
		{name: "list with MaxResults", in: `{"SecretIdList": ["text"], "MaxResults": 1}`,
			fault: "InvalidParameterException: 'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided."},
		{name: "MaxResults out of range", in: `{"SecretIdList": ["text"], "MaxResults": 21}`, fault: "ValidationException: 1 validation error detected: Value '21' at 'maxResults' " +
			"failed to satisfy constraint: Member must have value less than or equal to 20"},
	} {
		t.Run(e.name, func(t *testing.T) { e.op = "BatchGetSecretValue"; e.run(t, x) })
	}
	t.Run("needs a permission on all resources", func(t *testing.T) {
		x := &storeClient{service: newTestSecrets(t), deny: func(action, _ string) bool { return action == "secretsmanager:BatchGetSecretValue" }}
		storeExchange{op: "BatchGetSecretValue", in: `{"SecretIdList": ["text"]}`,
			fault: "AccessDeniedException: User: me is not authorized to perform: secretsmanager:BatchGetSecretValue on resource: *"}.run(t, x)
	})
}

func TestSDKReadsSecretResponses(t *testing.T) {
	s, ctx := newTestSecrets(t), t.Context()
	sdk := sdkSecrets(s)
	text, err := sdk.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("text")})
	if err != nil {
		t.Fatal(err)
	}
	if *text.SecretString != "new" || !text.CreatedDate.Equal(storeTime) || *text.VersionId != version2 || !slices.Equal(text.VersionStages, []string{"AWSCURRENT"}) {
		t.Errorf("got %+v", text)
	}
	blob, err := sdk.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("app/binary")})
	if err != nil || blob.SecretString != nil || !slices.Equal(blob.SecretBinary, []byte{0, 255}) {
		t.Errorf("got %+v, %v", blob, err)
	}
	batch, err := sdk.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"text", "nothing"}})
	if err != nil || len(batch.SecretValues) != 1 || *batch.SecretValues[0].Name != "text" || len(batch.Errors) != 1 || *batch.Errors[0].SecretId != "nothing" {
		t.Errorf("got %+v, %v", batch, err)
	}
	_, err = sdk.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("nothing")})
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok {
		t.Errorf("got %v, want ResourceNotFoundException", err)
	}
	created, err := sdk.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("made"), SecretString: aws.String("1")})
	if err != nil || !regexp.MustCompile("^"+secretARN+"made-[A-Za-z0-9]{6}$").MatchString(*created.ARN) {
		t.Fatalf("got %+v, %v", created, err)
	}
	put, err := sdk.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: created.ARN, SecretBinary: []byte("2")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sdk.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: created.ARN, VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: put.VersionId, MoveToVersionId: created.VersionId,
	}); err != nil {
		t.Fatal(err)
	}
	described, err := sdk.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("made")})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{*created.VersionId: {"AWSCURRENT"}, *put.VersionId: {"AWSPREVIOUS"}}
	if diff := cmp.Diff(want, described.VersionIdsToStages); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	deleted, err := sdk.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String("made")})
	if err != nil || !deleted.DeletionDate.Equal(storeTime.Add(30*24*time.Hour)) {
		t.Errorf("got %+v, %v", deleted, err)
	}
	if _, err := sdk.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: aws.String("made")}); err != nil {
		t.Error(err)
	}
}

func TestA2_SecretSeedsAreChecked(t *testing.T) {
	ok := Secret{Region: "r", Name: "n", Value: "v"}
	with := func(change func(*Secret)) Secret { s := ok; change(&s); return s }
	versions := func(v ...SecretVersion) Secret { return Secret{Region: "r", Name: "n", Versions: v} }
	for name, e := range map[string]struct {
		seeds []Secret
		want  string
	}{
		"no region":       {[]Secret{with(func(s *Secret) { s.Region = "" })}, `secret "n" in region "": region is missing`},
		"bad name":        {[]Secret{with(func(s *Secret) { s.Name = "a b" })}, "name must be"},
		"bad suffix":      {[]Secret{with(func(s *Secret) { s.Suffix = "short" })}, "not six letters and digits"},
		"twice":           {[]Secret{ok, ok}, "is there twice"},
		"two values":      {[]Secret{with(func(s *Secret) { s.Binary = Base64("x") })}, "either a value or a binary"},
		"value, versions": {[]Secret{with(func(s *Secret) { s.Versions = []SecretVersion{{Value: "w"}} })}, "beside a value"},
		"bad key":         {[]Secret{with(func(s *Secret) { s.KMSKeyID = "alias/mine" })}, "is not a KMS key's ARN or id"},
		"too large":       {[]Secret{with(func(s *Secret) { s.Value = strings.Repeat("x", 65537) })}, "larger than 65536 bytes"},
		"empty version":   {[]Secret{versions(SecretVersion{})}, "version 1: needs either"},
		"bad version id":  {[]Secret{versions(SecretVersion{ID: "x", Value: "v"})}, "not 32 to 64 characters"},
		"same version id": {[]Secret{versions(SecretVersion{ID: version1, Value: "v"}, SecretVersion{ID: version1, Value: "w"})}, "is there twice"},
		"label twice":     {[]Secret{versions(SecretVersion{Value: "v", Stages: []string{"a"}}, SecretVersion{Value: "w", Stages: []string{"a"}})}, "stands on another version"},
		"label empty":     {[]Secret{versions(SecretVersion{Value: "v", Stages: []string{""}})}, "1 to 256"},
		"too many labels": {[]Secret{versions(SecretVersion{Value: "v", Stages: strings.Split(strings.Repeat("x,", 20), ",")})}, "more than 20 labels"},
		"all faults":      {[]Secret{{Region: "r", Name: "a b"}, {Name: "c"}}, "region is missing"},
		"largest allowed": {[]Secret{with(func(s *Secret) { s.Value = strings.Repeat("x", 65536) })}, ""},
		"managed by RDS":  {[]Secret{with(func(s *Secret) { s.Name = "rds!db-1" })}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newSecretStore(storeAccount, e.seeds, storeNow)
			switch {
			case e.want == "" && err != nil:
				t.Error(err)
			case e.want != "" && (err == nil || !strings.Contains(err.Error(), e.want)):
				t.Errorf("error %v does not contain %q", err, e.want)
			}
		})
	}
}

func TestSecretYAML(t *testing.T) {
	var got []Secret
	if err := yaml.Unmarshal([]byte(`
- {region: eu-west-1, name: a, suffix: AbCd12, value: v, description: d, tags: {team: pay}, owningService: rds, primaryRegion: us-east-1, kmsKeyID: k}
- region: eu-west-1
  name: b
  versions:
  - {id: one, binary: AP8=, stages: [AWSCURRENT, x]}
`), &got); err != nil {
		t.Fatal(err)
	}
	want := []Secret{
		{Region: "eu-west-1", Name: "a", Suffix: "AbCd12", Value: "v", Description: "d", Tags: map[string]string{"team": "pay"}, OwningService: "rds", PrimaryRegion: "us-east-1", KMSKeyID: "k"},
		{Region: "eu-west-1", Name: "b", Versions: []SecretVersion{{ID: "one", Binary: Base64{0, 255}, Stages: []string{"AWSCURRENT", "x"}}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if err := yaml.Unmarshal([]byte(`[{binary: "%"}]`), &got); err == nil || !strings.Contains(err.Error(), "not base64") {
		t.Errorf("error %v does not say that the binary is not base64", err)
	}
}

func TestPutSecretForTests(t *testing.T) {
	s := newTestSecrets(t)
	x := &storeClient{service: s}
	id := s.put(storeRegion, "text", "newer")
	if got := x.must(t, "GetSecretValue", `{"SecretId": "text"}`); !strings.Contains(got, `"SecretString":"newer"`) || !strings.Contains(got, id) {
		t.Errorf("got %s", got)
	}
	if got := x.must(t, "GetSecretValue", `{"SecretId": "text", "VersionStage": "AWSPREVIOUS"}`); !strings.Contains(got, version2) {
		t.Errorf("got %s", got)
	}
	s.put(storeRegion, "brand-new", "v")
	x.must(t, "GetSecretValue", `{"SecretId": "brand-new"}`)
	x.must(t, "DeleteSecret", `{"SecretId": "brand-new"}`)
	s.put(storeRegion, "brand-new", "w")
	x.must(t, "GetSecretValue", `{"SecretId": "brand-new"}`)
}

func TestConcurrentSecretReadsAndWrites(t *testing.T) {
	s := newTestSecrets(t)
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			x := &storeClient{service: s}
			for range 20 {
				s.put(storeRegion, "text", fmt.Sprint(i))
				for op, in := range map[string]string{
					"GetSecretValue":      `{"SecretId": "text"}`,
					"DescribeSecret":      `{"SecretId": "text"}`,
					"BatchGetSecretValue": `{"SecretIdList": ["text", "app/binary"]}`,
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
