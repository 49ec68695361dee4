package provider_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/test/awssim"
)

// ids matches the request ids in a message, which differ from run to run.
var ids = regexp.MustCompile(`\[request id [0-9a-f-]{36}\]`)

// wantError fails the test unless err has this kind and text. The text has [id] in place of each request id.
func wantError(t testing.TB, err error, kind fault.Kind, text string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", text)
	}
	if got := fault.KindOf(err); got != kind {
		t.Errorf("kind %v, want %v", got, kind)
	}
	if diff := cmp.Diff(text, ids.ReplaceAllString(err.Error(), "[id]")); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

const (
	arnOfA   = "arn:aws:secretsmanager:ap-south-1:123456789012:secret:a-AbCdEf"
	notThere = "check the name, the region and the account; names are case-sensitive"
)

func TestI1_RealCauseInTheMessage_Secrets(t *testing.T) {
	deny := awssim.DenyPolicy(arnOfA, "secretsmanager:GetSecretValue")
	user := "User: arn:aws:iam::123456789012:user/pod is not authorized to perform: secretsmanager:GetSecretValue on resource: "
	again := "the kubelet retries automatically"
	for _, tt := range []struct {
		name     string
		policies []awssim.Document
		fault    awssim.Fault
		object   string
		kind     fault.Kind
		want     string
	}{
		{"missing", nil, awssim.Fault{}, secret("b"), fault.NotFound,
			`cannot read secret "b" in ap-south-1: ResourceNotFoundException: Secrets Manager can't find the specified secret [id] (` + notThere + `)`},
		{"no such version", nil, awssim.Fault{}, secret("a") + "  objectVersion: 99999999-9999-9999-9999-999999999999\n", fault.NotFound,
			`cannot read secret "a" version "99999999-9999-9999-9999-999999999999" in ap-south-1: ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: 99999999-9999-9999-9999-999999999999 [id] (the secret exists; check its versions and staging labels with describe-secret)`},
		{"no such label", nil, awssim.Fault{}, secret("a") + "  objectVersionLabel: AWSPENDING\n", fault.NotFound,
			`cannot read secret "a" label "AWSPENDING" in ap-south-1: ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: AWSPENDING [id] (the secret exists; check its versions and staging labels with describe-secret)`},
		{"version and label do not match", nil, awssim.Fault{}, secret("a") + "  objectVersion: " + versionOne + "\n  objectVersionLabel: AWSCURRENT\n", fault.Rejected,
			`cannot read secret "a" version "` + versionOne + `" label "AWSCURRENT" in ap-south-1: InvalidRequestException: You provided a VersionStage that is not associated to the provided VersionId [id]`},
		{"not allowed", []awssim.Document{awssim.AllowPolicy("*", "ssm:GetParameters")}, awssim.Fault{}, secret("a"), fault.Denied,
			`cannot read secret "a" in ap-south-1: AccessDeniedException: ` + user + arnOfA + ` because no identity-based policy allows the secretsmanager:GetSecretValue action [id] (allow secretsmanager:GetSecretValue on it in a policy of the pod's role)`},
		{"denied", []awssim.Document{readAll, deny}, awssim.Fault{}, secret("a"), fault.Denied,
			`cannot read secret "a" in ap-south-1: AccessDeniedException: ` + user + arnOfA + ` with an explicit deny in an identity-based policy [id] (a policy denies it explicitly: remove that Deny, because no Allow overrides it)`},
		{"key not allowed", nil, awssim.Fault{Code: "AccessDeniedException", Message: "Access to KMS is not allowed"}, secret("a"), fault.Denied,
			`cannot read secret "a" in ap-south-1: AccessDeniedException: Access to KMS is not allowed [id] (allow the pod's role kms:Decrypt on the key that encrypts it, in a policy of the role and in the key policy)`},
		{"key disabled", nil, awssim.Fault{Code: "DecryptionFailure", Message: "Secrets Manager can't decrypt the protected secret text using the provided KMS key."}, secret("a"), fault.Rejected,
			`cannot read secret "a" in ap-south-1: DecryptionFailure: Secrets Manager can't decrypt the protected secret text using the provided KMS key [id] (allow the pod's role kms:Decrypt on the key that encrypts it, in a policy of the role and in the key policy)`},
		{"throttled", nil, awssim.Fault{Code: "ThrottlingException", Message: "Rate exceeded"}, secret("a"), fault.Transient,
			`cannot read secret "a" in ap-south-1: ThrottlingException: Rate exceeded [id] (` + again + `)`},
		{"500", nil, awssim.Fault{Status: http.StatusInternalServerError, Message: "An error occurred on the server side."}, secret("a"), fault.Transient,
			`cannot read secret "a" in ap-south-1: InternalServiceError: An error occurred on the server side [id] (` + again + `)`},
		{"connection closed", nil, awssim.Fault{Cut: true}, secret("a"), fault.Transient,
			`cannot read secret "a" in ap-south-1: the connection was closed before a response (` + again + `)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, awssim.State{Secrets: []awssim.Secret{rotated("a", "SECRET-OLD", "SECRET-NEW")}}, tt.policies...)
			if tt.fault != (awssim.Fault{}) {
				b.Inject(tt.fault)
			}
			wantError(t, b.fetchError(tt.object), tt.kind, tt.want)
		})
	}
}

func TestI1_RealCauseInTheMessage_Parameters(t *testing.T) {
	b := start(t, awssim.State{Parameters: []awssim.Parameter{{Region: region, Name: "/app/level", Value: "v"}}},
		awssim.AllowPolicy("arn:aws:ssm:*:*:parameter/app/*", "ssm:GetParameters"))
	const missing = ` in ap-south-1: there is no such parameter, version or label (check the name with its leading slash, the version or label, the region and the account; names are case-sensitive)`
	for _, tt := range []struct {
		name, objects string
		kind          fault.Kind
		want          string
	}{
		{"missing", object("/app/Level", "ssmparameter"), fault.NotFound, `cannot read parameter "/app/Level"` + missing},
		{"no such version", object("/app/level", "ssmparameter") + "  objectVersion: 7\n", fault.NotFound, `cannot read parameter "/app/level" version "7"` + missing},
		{"no such label", object("/app/level", "ssmparameter") + "  objectVersionLabel: prod\n", fault.NotFound, `cannot read parameter "/app/level" label "prod"` + missing},
		{"not allowed", object("/other", "ssmparameter"), fault.Denied,
			`cannot read parameter "/other" in ap-south-1: AccessDeniedException: User: arn:aws:iam::123456789012:user/pod is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:ap-south-1:123456789012:parameter/other because no identity-based policy allows the ssm:GetParameters action [id] (allow ssm:GetParameters on it in a policy of the pod's role)`},
		// GetParameters refuses the whole call. The message of AWS names the parameter.
		{"one of three not allowed", object("/app/level", "ssmparameter") + object("/other", "ssmparameter") + object("/app/x", "ssmparameter"), fault.Denied,
			`cannot read parameter "/app/level" and 2 more with it in ap-south-1: AccessDeniedException: User: arn:aws:iam::123456789012:user/pod is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:ap-south-1:123456789012:parameter/other because no identity-based policy allows the ssm:GetParameters action [id] (allow ssm:GetParameters on it in a policy of the pod's role)`},
	} {
		t.Run(tt.name, func(t *testing.T) { wantError(t, b.fetchError(tt.objects), tt.kind, tt.want) })
	}
}

func TestK40_AllOrNothingNamesEveryFailure(t *testing.T) {
	b := start(t, awssim.State{})
	b.PutSecret(region, "good", "SECRET-VALUE")
	b.PutParameter(region, "level", "SECRET-VALUE")
	defer b.Inject(awssim.Fault{Object: "slow", Status: 503, Message: "later"})()
	e := b.fetchError(secret("good") + secret("gone") + secret("slow") + object("level", "ssmparameter") + object("lost", "ssmparameter") + secret("missing"))
	wantError(t, e, fault.NotFound, `4 failures: `+
		`(1) cannot read secret "gone" in ap-south-1: ResourceNotFoundException: Secrets Manager can't find the specified secret [id] (`+notThere+`); `+
		`(2) cannot read secret "slow" in ap-south-1: ServiceUnavailable: later [id] (the kubelet retries automatically); `+
		`(3) cannot read parameter "lost" in ap-south-1: there is no such parameter, version or label (check the name with its leading slash, the version or label, the region and the account; names are case-sensitive); `+
		`(4) cannot read secret "missing" in ap-south-1: ResourceNotFoundException: Secrets Manager can't find the specified secret [id] (`+notThere+`)`)
	b.wantCalls(map[string]int{"secretsmanager:GetSecretValue": 4, "ssm:GetParameters": 1})
}

func TestFetch_RequestIDsComeFromAWS(t *testing.T) {
	b := start(t, awssim.State{})
	one, two := b.fetchError(secret("gone")), b.fetchError(secret("gone"))
	if !ids.MatchString(one.Error()) || one.RequestID == "" || one.RequestID == two.RequestID {
		t.Errorf("request ids %q and %q, want one for each call", one.RequestID, two.RequestID)
	}
}

// Each of these failures is transient: the second attempt succeeds.
func TestF23_TransientFailuresAreRetried(t *testing.T) {
	for name, f := range map[string]awssim.Fault{
		"throttled": {Code: "ThrottlingException"}, "500": {Status: 500}, "503": {Status: 503}, "connection closed": {Cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := startWith(t, awssim.State{}, awsclient.Options{MaxAttempts: 2})
			id := b.PutSecret(region, "db", "v")
			f.Count = 1
			b.Inject(f)
			wantContents(t, b.files(secret("db")), "db = v @ "+id)
			b.wantCalls(map[string]int{"secretsmanager:GetSecretValue": 2})
		})
	}
}

// Another attempt cannot succeed after a denial.
func TestF23_DenialsAreNotRetried(t *testing.T) {
	b := startWith(t, awssim.State{}, awsclient.Options{MaxAttempts: 4}, awssim.AllowPolicy("*", "ssm:GetParameters"))
	if e := b.fetchError(secret("db")); e.Kind != fault.Denied {
		t.Errorf("kind %v, want %v", e.Kind, fault.Denied)
	}
	b.wantCalls(map[string]int{"secretsmanager:GetSecretValue": 1})
}

// A region that hangs costs the timeout of one attempt, and the error says so.
func TestFetch_HangingAWSIsTransient(t *testing.T) {
	b := startWith(t, awssim.State{}, awsclient.Options{MaxAttempts: 1, AttemptTimeout: 200 * time.Millisecond})
	b.Inject(awssim.Fault{Hang: true})
	wantError(t, b.fetchError(secret("db")), fault.Transient, `cannot read secret "db" in ap-south-1: no response in time (the kubelet retries automatically)`)
}

func TestFetch_StopsWithContext(t *testing.T) {
	b := start(t, awssim.State{})
	b.Inject(awssim.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := b.fetchAs(ctx, b.user, parse(t, secret("db"), nil))
	wantError(t, err, fault.Transient, `cannot read secret "db" in ap-south-1: no response in time (the kubelet retries automatically)`)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v has lost its cause, want context.DeadlineExceeded", err)
	}
}

// A panic fails one request only. The message contains no part of the panic value.
func TestD30_PanicFailsOneRequest(t *testing.T) {
	b := start(t, awssim.State{})
	id := b.PutSecret(region, "db", "v")
	broken := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { panic(fmt.Sprint("SECRET", "-KEY")) })
	for _, objects := range []string{secret("db"), object("level", "ssmparameter")} {
		_, err := b.fetchAs(t.Context(), broken, parse(t, objects, nil))
		wantError(t, err, fault.Internal, "the provider failed on this request: a defect in it: panic with a string (its log has the details; please report them)")
		var p *fault.Panic
		if !errors.As(err, &p) || !strings.Contains(string(p.Stack), "fetchfault_test.go") {
			t.Errorf("cause %v, want a panic with its stack", p)
		}
	}
	wantContents(t, b.files(secret("db")), "db = v @ "+id)
}

func TestFetch_ExpiredCredentialsAreNamed(t *testing.T) {
	b := start(t, awssim.State{})
	b.Inject(awssim.Fault{Code: "ExpiredTokenException", Message: "The security token included in the request is expired"})
	wantError(t, b.fetchError(secret("db")), fault.Credentials,
		`cannot read secret "db" in ap-south-1: ExpiredTokenException: The security token included in the request is expired [id]`)
}
