package awssim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stagesOf returns version id → labels from DescribeSecret.
func stagesOf(t *testing.T, x *storeClient, id string) map[string][]string {
	t.Helper()
	var out struct{ VersionIdsToStages map[string][]string }
	if err := json.Unmarshal([]byte(x.must(t, "DescribeSecret", `{"SecretId": "`+id+`"}`)), &out); err != nil {
		t.Fatal(err)
	}
	return out.VersionIdsToStages
}

func putInput(token, value, stages string) string {
	in := `{"SecretId": "text", "ClientRequestToken": "` + token + `", "SecretString": "` + value + `"`
	if stages != "" {
		in += `, "VersionStages": ` + stages
	}
	return in + "}"
}

func TestPutSecretValueMovesLabels(t *testing.T) {
	for _, e := range []struct {
		name, stages string
		want         map[string][]string
		response     string
	}{
		{"AWSCURRENT by itself", "", map[string][]string{version1: {"green"}, version2: {"AWSPREVIOUS"}, version3: {"AWSCURRENT"}}, `["AWSCURRENT"]`},
		{"AWSPENDING leaves AWSCURRENT", `["AWSPENDING"]`,
			map[string][]string{version1: {"AWSPREVIOUS", "green"}, version2: {"AWSCURRENT"}, version3: {"AWSPENDING"}}, `["AWSPENDING"]`},
		{"own labels move, sorted in the response", `["two", "green"]`,
			map[string][]string{version1: {"AWSPREVIOUS"}, version2: {"AWSCURRENT"}, version3: {"green", "two"}}, `["green", "two"]`},
		{"a version without a label is deprecated", `["green", "AWSPREVIOUS"]`,
			map[string][]string{version2: {"AWSCURRENT"}, version3: {"AWSPREVIOUS", "green"}}, `["AWSPREVIOUS", "green"]`},
	} {
		t.Run(e.name, func(t *testing.T) {
			x := &storeClient{service: newTestSecrets(t)}
			storeExchange{op: "PutSecretValue", in: putInput(version3, "newest", e.stages),
				want: `{"ARN": "` + secretARN + `text-AbCd12", "Name": "text", "VersionId": "` + version3 + `", "VersionStages": ` + e.response + `}`}.run(t, x)
			if diff := cmp.Diff(e.want, stagesOf(t, x, "text")); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
			x.must(t, "GetSecretValue", `{"SecretId": "text", "VersionId": "`+version1+`"}`) // deprecated versions are still readable
		})
	}
}

func TestRotationEndsWithoutPending(t *testing.T) {
	x := &storeClient{service: newTestSecrets(t)}
	x.must(t, "PutSecretValue", putInput(version3, "rotated", `["AWSPENDING"]`))
	x.must(t, "UpdateSecretVersionStage", `{"SecretId": "text", "VersionStage": "AWSCURRENT", "RemoveFromVersionId": "`+version2+`", "MoveToVersionId": "`+version3+`"}`)
	want := map[string][]string{version1: {"green"}, version2: {"AWSPREVIOUS"}, version3: {"AWSCURRENT", "AWSPENDING"}}
	if diff := cmp.Diff(want, stagesOf(t, x, "text")); diff != "" {
		t.Errorf("labels after the rotation (-want +got):\n%s", diff)
	}
	next := strings.Repeat("4", 32)
	x.must(t, "PutSecretValue", putInput(next, "by hand", ""))
	want = map[string][]string{version1: {"green"}, version3: {"AWSPREVIOUS"}, next: {"AWSCURRENT"}}
	if diff := cmp.Diff(want, stagesOf(t, x, "text")); diff != "" {
		t.Errorf("labels after the next value (-want +got):\n%s", diff)
	}
}

func TestFirstVersionIsAlwaysCurrent(t *testing.T) {
	x := &storeClient{service: newTestSecrets(t)}
	x.must(t, "PutSecretValue", strings.Replace(putInput(version3, "v", `["mine"]`), `"text"`, `"empty"`, 1))
	want := map[string][]string{version3: {"AWSCURRENT", "mine"}}
	if diff := cmp.Diff(want, stagesOf(t, x, "empty")); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestClientRequestTokenMakesPutSecretValueIdempotent(t *testing.T) {
	x := &storeClient{service: newTestSecrets(t)}
	first := x.must(t, "PutSecretValue", putInput(version3, "newest", ""))
	if again := x.must(t, "PutSecretValue", putInput(version3, "newest", "")); again != first {
		t.Errorf("second response %s, want %s", again, first)
	}
	storeExchange{op: "PutSecretValue", in: putInput(version3, "other", ""), fault: "ResourceExistsException: You can't use ClientRequestToken " + version3 +
		" because that value is already in use for a version of secret " + secretARN + "text-AbCd12."}.run(t, x)
	x.must(t, "PutSecretValue", putInput(strings.Repeat("4", 32), "later", ""))
	x.must(t, "PutSecretValue", putInput(version3, "newest", ""))
	if got := x.must(t, "GetSecretValue", `{"SecretId": "text"}`); !strings.Contains(got, "later") {
		t.Errorf("a repeated request moved AWSCURRENT back: %s", got)
	}
}

func TestPutSecretValueRefuses(t *testing.T) {
	x := &storeClient{service: newTestSecrets(t)}
	const token = `"SecretId": "text", "ClientRequestToken": "` + version3 + `"`
	for _, e := range []storeExchange{
		{name: "no token", in: `{"SecretId": "text", "SecretString": "v"}`, fault: "InvalidRequestException: You must provide a ClientRequestToken value. We recommend a UUID-type value."},
		{name: "short token", in: putInput("short", "v", ""), fault: "ValidationException: 1 validation error detected: Value 'short' at 'clientRequestToken' " +
			"failed to satisfy constraint: Member must have length greater than or equal to 32"},
		{name: "no value", in: `{` + token + `}`, fault: "InvalidRequestException: You must provide either SecretString or SecretBinary."},
		{name: "two values", in: `{` + token + `, "SecretString": "v", "SecretBinary": "AA=="}`,
			fault: "InvalidParameterException: You can't specify both a binary secret value and a string secret value in the same secret."},
		{name: "too large, error omits the value", in: putInput(version3, strings.Repeat("x", 65537), ""),
			fault: "ValidationException: 1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536"},
		{name: "too large in bytes", in: putInput(version3, strings.Repeat("é", 32769), ""),
			fault: "ValidationException: 1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536"},
		{name: "empty binary", in: `{` + token + `, "SecretBinary": ""}`,
			fault: "ValidationException: 1 validation error detected: Value at 'secretBinary' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{name: "no labels", in: putInput(version3, "v", `[]`), fault: "ValidationException: 1 validation error detected: Value '[]' at 'versionStages' " +
			"failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{name: "empty label", in: putInput(version3, "v", `[""]`), fault: "ValidationException: 1 validation error detected: Value '[]' at 'versionStages' failed to satisfy constraint: " +
			"Member must satisfy constraint: [Member must have length less than or equal to 256, Member must have length greater than or equal to 1]"},
		{name: "missing secret", in: strings.Replace(putInput(version3, "v", ""), `"text"`, `"nothing"`, 1), fault: "ResourceNotFoundException: Secrets Manager can't find the specified secret."},
	} {
		t.Run(e.name, func(t *testing.T) { e.op = "PutSecretValue"; e.run(t, x) })
	}
	x.must(t, "PutSecretValue", putInput(version3, strings.Repeat("x", 65536), ""))
}

func TestCreateSecret(t *testing.T) {
	s := newTestSecrets(t)
	x := &storeClient{service: s}
	in := func(name, rest string) string {
		return `{"Name": "` + name + `", "ClientRequestToken": "` + version3 + `"` + rest + `}`
	}
	made := x.must(t, "CreateSecret", in("made", `, "SecretString": "v", "Description": "why"`))
	if got := x.must(t, "DescribeSecret", `{"SecretId": "made"}`); !strings.Contains(got, `"Description":"why"`) {
		t.Errorf("got %s", got)
	}
	if again := x.must(t, "CreateSecret", in("made", `, "SecretString": "v"`)); again != made {
		t.Errorf("second response %s, want %s", again, made)
	}
	if got := x.must(t, "CreateSecret", in("hollow", ``)); strings.Contains(got, "VersionId") {
		t.Errorf("a secret without a value has a version: %s", got)
	}
	x.must(t, "DeleteSecret", `{"SecretId": "hollow"}`)
	for _, e := range []storeExchange{
		{name: "exists", in: strings.Replace(in("made", `, "SecretString": "v"`), version3, version1, 1), fault: "ResourceExistsException: The operation failed because the secret made already exists."},
		{name: "same token, other value", in: in("made", `, "SecretString": "w"`), fault: "ResourceExistsException: You can't use ClientRequestToken " + version3 +
			" because that value is already in use for a version of secret " + s.arn(s.regions[storeRegion]["made"]) + "."},
		{name: "scheduled for deletion", in: in("hollow", ``), fault: "InvalidRequestException: You can't create this secret because a secret with this name is already scheduled for deletion."},
		{name: "bad name", in: in("a b", ``), fault: "ValidationException: Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"},
		{name: "name of a managed secret", in: in("rds!db", ``), fault: "ValidationException: Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"},
		{name: "no name", in: `{}`, fault: "ValidationException: 1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"},
		{name: "no token", in: `{"Name": "other"}`, fault: "InvalidRequestException: You must provide a ClientRequestToken value. We recommend a UUID-type value."},
	} {
		t.Run(e.name, func(t *testing.T) { e.op = "CreateSecret"; e.run(t, x) })
	}
	storeExchange{op: "CreateSecret", in: in("forbidden", ``), fault: "AccessDeniedException: User: me is not authorized to perform: secretsmanager:CreateSecret on resource: forbidden"}.
		run(t, &storeClient{service: s, deny: func(string, string) bool { return true }})
}

func TestUpdateSecretVersionStage(t *testing.T) {
	in := func(stage, from, to string) string {
		out := `{"SecretId": "text", "VersionStage": "` + stage + `"`
		if from != "" {
			out += `, "RemoveFromVersionId": "` + from + `"`
		}
		if to != "" {
			out += `, "MoveToVersionId": "` + to + `"`
		}
		return out + `}`
	}
	unchanged := map[string][]string{version1: {"AWSPREVIOUS", "green"}, version2: {"AWSCURRENT"}}
	for _, e := range []struct {
		name, in, fault string
		want            map[string][]string
	}{
		{"rollback", in("AWSCURRENT", version2, version1), "", map[string][]string{version1: {"AWSCURRENT", "green"}, version2: {"AWSPREVIOUS"}}},
		{"new label", in("blue", "", version1), "", map[string][]string{version1: {"AWSPREVIOUS", "blue", "green"}, version2: {"AWSCURRENT"}}},
		{"label taken off", in("green", version1, ""), "", map[string][]string{version1: {"AWSPREVIOUS"}, version2: {"AWSCURRENT"}}},
		{"label that is there already", in("green", "", version1), "", unchanged},
		{"current version not given", in("green", "", version2), "InvalidParameterException: The parameter RemoveFromVersionId can't be empty. Staging label green is currently attached to version " +
			version1 + ", so you must explicitly reference that version in RemoveFromVersionId.", unchanged},
		{"wrong current version given", in("green", version2, version1), "InvalidParameterException: Staging label green is not currently attached to version " + version2 + ".", unchanged},
		{"AWSCURRENT cannot go", in("AWSCURRENT", version2, ""), "InvalidParameterException: You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.", unchanged},
		{"neither from nor to", in("green", "", ""), "InvalidParameterException: You must provide RemoveFromVersionId, MoveToVersionId, or both.", unchanged},
		{"missing version", in("green", version1, version3), "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: " + version3, unchanged},
		{"no label", `{"SecretId": "text"}`, "ValidationException: 1 validation error detected: Value null at 'versionStage' failed to satisfy constraint: Member must not be null", unchanged},
	} {
		t.Run(e.name, func(t *testing.T) {
			x := &storeClient{service: newTestSecrets(t)}
			storeExchange{op: "UpdateSecretVersionStage", in: e.in, fault: e.fault, want: `{"ARN": "` + secretARN + `text-AbCd12", "Name": "text"}`}.run(t, x)
			if diff := cmp.Diff(e.want, stagesOf(t, x, "text")); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeletedSecretCannotBeReadUntilItIsRestored(t *testing.T) {
	const marked = "InvalidRequestException: You can't perform this operation on the secret because it was marked for deletion."
	x := &storeClient{service: newTestSecrets(t)}
	storeExchange{op: "DeleteSecret", in: `{"SecretId": "text", "RecoveryWindowInDays": 7}`,
		want: `{"ARN": "` + secretARN + `text-AbCd12", "Name": "text", "DeletionDate": 1796040000.25}`}.run(t, x)
	for op, in := range map[string]string{
		"GetSecretValue":           `{"SecretId": "text"}`,
		"PutSecretValue":           putInput(version3, "v", ""),
		"UpdateSecretVersionStage": `{"SecretId": "text", "VersionStage": "x", "MoveToVersionId": "` + version1 + `"}`,
		"DeleteSecret":             `{"SecretId": "text"}`,
	} {
		storeExchange{op: op, in: in, fault: marked}.run(t, x)
	}
	if got := x.must(t, "DescribeSecret", `{"SecretId": "text"}`); !strings.Contains(got, `"DeletedDate":1796040000.25`) {
		t.Errorf("got %s", got)
	}
	if got := x.must(t, "BatchGetSecretValue", `{"SecretIdList": ["text"]}`); !strings.Contains(got, "InvalidRequestException") {
		t.Errorf("got %s", got)
	}
	storeExchange{op: "RestoreSecret", in: `{"SecretId": "text"}`, want: `{"ARN": "` + secretARN + `text-AbCd12", "Name": "text"}`}.run(t, x)
	x.must(t, "GetSecretValue", `{"SecretId": "text"}`)
}

func TestSecretIsGoneAfterItsRecoveryWindow(t *testing.T) {
	x := &storeClient{service: newTestSecrets(t)}
	x.must(t, "DeleteSecret", `{"SecretId": "text", "RecoveryWindowInDays": 7}`)
	x.now = storeTime.Add(7 * 24 * time.Hour)
	storeExchange{op: "RestoreSecret", in: `{"SecretId": "text"}`, fault: "ResourceNotFoundException: Secrets Manager can't find the specified secret."}.run(t, x)
	x.must(t, "CreateSecret", `{"Name": "text", "ClientRequestToken": "`+version3+`"}`)
}

func TestDeleteSecretRules(t *testing.T) {
	x := &storeClient{service: newTestSecrets(t)}
	for _, e := range []storeExchange{
		{name: "window too short", in: `{"SecretId": "text", "RecoveryWindowInDays": 6}`, fault: "InvalidParameterException: The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."},
		{name: "window of zero", in: `{"SecretId": "text", "RecoveryWindowInDays": 0}`, fault: "InvalidParameterException: The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."},
		{name: "window too long", in: `{"SecretId": "text", "RecoveryWindowInDays": 31}`, fault: "InvalidParameterException: The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."},
		{name: "window and force", in: `{"SecretId": "text", "RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": true}`,
			fault: "InvalidParameterException: You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."},
		{name: "missing", in: `{"SecretId": "nothing"}`, fault: "ResourceNotFoundException: Secrets Manager can't find the specified secret."},
		{name: "force", in: `{"SecretId": "text", "ForceDeleteWithoutRecovery": true}`, want: `{"ARN": "` + secretARN + `text-AbCd12", "Name": "text", "DeletionDate": 1795435200.25}`},
		{name: "force, missing secret", in: `{"SecretId": "` + secretARN + `text-AbCd12", "ForceDeleteWithoutRecovery": true}`,
			want: `{"ARN": "` + secretARN + `text-AbCd12", "Name": "` + secretARN + `text-AbCd12", "DeletionDate": 1795435200.25}`},
	} {
		t.Run(e.name, func(t *testing.T) { e.op = "DeleteSecret"; e.run(t, x) })
	}
	storeExchange{op: "GetSecretValue", in: `{"SecretId": "text"}`, fault: "ResourceNotFoundException: Secrets Manager can't find the specified secret."}.run(t, x)
}

func TestOldVersionsWithoutLabelsAreDeleted(t *testing.T) {
	s := newTestSecrets(t)
	first := s.put(storeRegion, "busy", "0")
	second := s.put(storeRegion, "busy", "1")
	for i := range 101 { // AWSCURRENT, AWSPREVIOUS, and a hundred versions before them
		s.put(storeRegion, "busy", fmt.Sprint(i))
	}
	x := &storeClient{service: s}
	storeExchange{op: "GetSecretValue", in: `{"SecretId": "busy", "VersionId": "` + first + `"}`,
		fault: "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: " + first}.run(t, x)
	x.must(t, "GetSecretValue", `{"SecretId": "busy", "VersionId": "`+second+`"}`)
}
