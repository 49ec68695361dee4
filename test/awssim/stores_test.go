package awssim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"
)

const (
	storeRegion  = "eu-west-1"
	storeAccount = "111122223333"
)

// storeTime is the default time of the store tests.
var storeTime = time.Date(2026, 11, 23, 12, 0, 0, 250e6, time.UTC)

func storeNow() time.Time { return storeTime }

// storeClient calls a service directly, as one caller. Defaults: test region,
// test time, everything allowed.
type storeClient struct {
	service jsonService
	region  string
	now     time.Time
	deny    func(action, arn string) bool
	checked []string // "action arn" in the order of the checks
	object  string   // of the last call
}

// call returns the response as on the wire, or the error.
func (x *storeClient) call(t *testing.T, op, body string) (string, *apiError) {
	t.Helper()
	c := &call{Region: x.region, Account: storeAccount, Now: x.now, Body: []byte(body)}
	if c.Region == "" {
		c.Region = storeRegion
	}
	if c.Now.IsZero() {
		c.Now = storeTime
	}
	c.Allowed = func(action, arn string, _ ...secretTag) *apiError {
		x.checked = append(x.checked, action+" "+arn)
		if x.deny == nil || !x.deny(action, arn) {
			return nil
		}
		return &apiError{400, "AccessDeniedException", "User: me is not authorized to perform: " + action + " on resource: " + arn}
	}
	out, failure := x.service.handle(op, c)
	x.object = c.Object
	if failure != nil {
		return "", failure
	}
	response, err := json.Marshal(out)
	if err != nil {
		t.Fatalf("%s: cannot marshal the response: %v", op, err)
	}
	return string(response), nil
}

// must is call for calls that must succeed.
func (x *storeClient) must(t *testing.T, op, body string) string {
	t.Helper()
	response, failure := x.call(t, op, body)
	if failure != nil {
		t.Fatalf("%s %s: %v", op, body, failure)
	}
	return response
}

// storeExchange is one call and the expected result: the JSON response, or an
// error "Code: message".
type storeExchange struct {
	name, op, in string
	want         string // JSON
	fault        string
}

func (e storeExchange) run(t *testing.T, x *storeClient) {
	t.Helper()
	got, failure := x.call(t, e.op, e.in)
	if failure != nil {
		if failure.Status != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", e.op, failure.Status)
		}
		if diff := cmp.Diff(e.fault, failure.Error()); diff != "" {
			t.Errorf("%s %s: error (-want +got):\n%s", e.op, e.in, diff)
		}
		return
	}
	if e.fault != "" {
		t.Fatalf("%s %s: got %s, want error %s", e.op, e.in, got, e.fault)
	}
	diffStoreJSON(t, e.want, got)
}

func diffStoreJSON(t *testing.T, want, got string) {
	t.Helper()
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("wanted JSON %s: %v", want, err)
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("JSON %s: %v", got, err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

// storeWire is an HTTP transport that connects real SDK clients to a service. It
// supports only the basics: the operation in X-Amz-Target, errors by __type.
type storeWire struct{ service jsonService }

func (w storeWire) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	out, failure := w.service.handle(op, &call{
		Region: storeRegion, Account: storeAccount, Now: storeTime, Body: body,
		Allowed: func(string, string, ...secretTag) *apiError { return nil },
	})
	status := http.StatusOK
	if failure != nil {
		status, out = failure.Status, map[string]string{"__type": failure.Code, "message": failure.Message}
	}
	response, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body: io.NopCloser(bytes.NewReader(response)), Request: r,
	}, nil
}

func sdkSecrets(service jsonService) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		Region: storeRegion, Credentials: aws.AnonymousCredentials{}, HTTPClient: storeWire{service}, RetryMaxAttempts: 1,
	})
}

func sdkParameters(service jsonService) *ssm.Client {
	return ssm.New(ssm.Options{
		Region: storeRegion, Credentials: aws.AnonymousCredentials{}, HTTPClient: storeWire{service}, RetryMaxAttempts: 1,
	})
}

func TestInputDecodingFollowsTheJSONProtocol(t *testing.T) {
	x := &storeClient{service: newTestSecrets(t)}
	for _, e := range []storeExchange{
		{name: "not JSON", in: `{`, fault: "SerializationException: "},
		{name: "no body", in: ``, fault: "SerializationException: "},
		{name: "not an object", in: `[]`, fault: "SerializationException: "},
		{name: "number for a string", in: `{"SecretId": 1}`, fault: "SerializationException: NUMBER_VALUE can not be converted to a String"},
		{name: "boolean for a string", in: `{"SecretId": true}`, fault: "SerializationException: TRUE_VALUE can not be converted to a String"},
		{name: "object for a string", in: `{"SecretId": {}}`, fault: "SerializationException: Start of structure or map found where not expected."},
		{name: "list for a string", in: `{"SecretId": []}`, fault: "SerializationException: Start of list found where not expected"},
		{name: "members are case-sensitive", in: `{"secretId": "text"}`,
			fault: "ValidationException: 1 validation error detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null"},
		{name: "null means not given", in: `{"SecretId": null}`,
			fault: "ValidationException: 1 validation error detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null"},
		{name: "all violations at once", in: `{"SecretId": "", "VersionId": "short"}`,
			fault: "ValidationException: 2 validation errors detected: " +
				"Value '' at 'secretId' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value 'short' at 'versionId' failed to satisfy constraint: Member must have length greater than or equal to 32"},
		{name: "unknown member", in: `{"SecretId": "missing", "Surprise": [1]}`, fault: "ResourceNotFoundException: Secrets Manager can't find the specified secret."},
	} {
		t.Run(e.name, func(t *testing.T) { e.op = "GetSecretValue"; e.run(t, x) })
	}
	for _, e := range []storeExchange{
		{op: "GetEverything", in: `{}`, fault: "UnknownOperationException: "},
		{op: "DeleteSecret", in: `{"SecretId": "a", "ForceDeleteWithoutRecovery": "yes"}`, fault: "SerializationException: STRING_VALUE can not be converted to a Boolean"},
		{op: "DeleteSecret", in: `{"SecretId": "a", "RecoveryWindowInDays": "7"}`, fault: "SerializationException: STRING_VALUE can not be converted to a Long"},
		{op: "PutSecretValue", in: `{"SecretId": "a", "SecretBinary": "%"}`, fault: "SerializationException: STRING_VALUE can not be converted to a Blob"},
		{op: "PutSecretValue", in: `{"SecretId": "a", "VersionStages": "x"}`, fault: "SerializationException: Expected list or null"},
	} {
		t.Run(e.op, func(t *testing.T) { e.run(t, x) })
	}
}

func TestPartitionOfRegions(t *testing.T) {
	for region, want := range map[string]string{
		"eu-west-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov",
	} {
		if got := regionPartition(region); got != want {
			t.Errorf("partition of %s = %s, want %s", region, got, want)
		}
	}
}
