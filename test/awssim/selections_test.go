package awssim_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/awssim"
)

const (
	selectorRole = "arn:aws:iam::" + account + ":role/selector"
	keyARN       = "arn:aws:kms:" + region + ":" + account + ":key/11111111-2222-3333-4444-555555555555"
)

// The minimal policies of selections, one statement each.
var (
	allowPath    = awssim.AllowPolicy("arn:aws:ssm:"+region+":"+account+":parameter/prod/pay", "ssm:GetParametersByPath")
	allowDecrypt = awssim.AllowPolicy(keyARN, "kms:Decrypt")
	allowBatch   = awssim.AllowPolicy("*", "secretsmanager:BatchGetSecretValue")
	allowList    = awssim.AllowPolicy("*", "secretsmanager:ListSecrets")
	allowValues  = awssim.AllowPolicy("arn:aws:secretsmanager:"+region+":"+account+":secret:prod/pay/*", "secretsmanager:GetSecretValue")
)

// allowTagged allows the values of secrets with a value of the tag "team".
func allowTagged(team string) awssim.Document {
	return awssim.Document(`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*",
		"Condition": {"StringEquals": {"secretsmanager:ResourceTag/team": "` + team + `"}}}}`)
}

// startSelector starts a simulator with 25 parameters and 45 secrets below
// prod/pay, others beside them, and the role selector.
func startSelector(t *testing.T, policies []awssim.Document, change ...func(*awssim.Config)) *bed {
	t.Helper()
	state := awssim.State{
		Parameters: []awssim.Parameter{
			{Region: region, Name: "/prod/pay/deep/secure", Type: "SecureString", Value: "s", KeyID: keyARN},
			{Region: region, Name: "/prod/payroll", Value: "beside"},
		},
		Secrets: []awssim.Secret{{Region: region, Name: "prod/payroll", Value: "beside", Tags: map[string]string{"team": "pay"}}},
	}
	for i := range 24 {
		state.Parameters = append(state.Parameters, awssim.Parameter{Region: region, Name: fmt.Sprintf("/prod/pay/%02d", i), Value: fmt.Sprint(i)})
	}
	for i := range 45 {
		state.Secrets = append(state.Secrets, awssim.Secret{Region: region, Name: fmt.Sprintf("prod/pay/%02d", i), Value: fmt.Sprint(i), Tags: map[string]string{"team": "pay"}})
	}
	b := start(t, append([]func(*awssim.Config){func(c *awssim.Config) { c.State = state }}, change...)...)
	b.addRole(t, awssim.Role{Name: "selector", TrustPolicy: b.issuer.TrustPolicy("payment", "api"), Policies: policies})
	return b
}

// parametersBelow reads all pages of a path with the SDK's paginator.
func parametersBelow(t *testing.T, client *ssm.Client, path string) ([]string, error) {
	t.Helper()
	var names []string
	pages := ssm.NewGetParametersByPathPaginator(client, &ssm.GetParametersByPathInput{
		Path: &path, Recursive: aws.Bool(true), WithDecryption: aws.Bool(true),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			return nil, err
		}
		for _, p := range page.Parameters {
			names = append(names, *p.Name)
		}
	}
	return names, nil
}

// secretsBelow reads all pages of a prefix with the SDK's paginator. It returns
// the names, sorted, and the codes of the entries in Errors.
func secretsBelow(t *testing.T, client *secretsmanager.Client, prefix string) (names, failed []string, err error) {
	t.Helper()
	pages := secretsmanager.NewBatchGetSecretValuePaginator(client, &secretsmanager.BatchGetSecretValueInput{
		Filters: []secretstypes.Filter{{Key: secretstypes.FilterNameStringTypeName, Values: []string{prefix}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			return nil, nil, err
		}
		for _, v := range page.SecretValues {
			names = append(names, *v.Name)
		}
		for _, e := range page.Errors {
			failed = append(failed, *e.SecretId+" "+*e.ErrorCode)
		}
	}
	slices.Sort(names)
	return names, failed, nil
}

func numbered(prefix string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s%02d", prefix, i))
	}
	return out
}

func TestA17_SelectionsCountOnePageAsOneCall(t *testing.T) {
	for name, tc := range map[string]struct {
		scanLimit                 int
		parameterPages, listPages int
	}{
		"full pages":  {0, 3, 3},
		"short pages": {6, 5, 8}, // 25 parameters below the path, 46 secrets in the region
	} {
		t.Run(name, func(t *testing.T) {
			b := startSelector(t, []awssim.Document{allowPath, allowDecrypt, allowBatch, allowList, allowValues}, func(c *awssim.Config) { c.ScanLimit = tc.scanLimit })
			creds := b.session(t, selectorRole)
			b.removeSecretDB(t)
			b.ResetCalls()
			parameters, err := parametersBelow(t, b.ssm(creds), "/prod/pay")
			if diff := cmp.Diff(append(numbered("/prod/pay/", 24), "/prod/pay/deep/secure"), parameters); diff != "" || err != nil {
				t.Errorf("%v, parameters (-want +got):\n%s", err, diff)
			}
			secrets, failed, err := secretsBelow(t, b.secrets(creds), "prod/pay/")
			if diff := cmp.Diff(numbered("prod/pay/", 45), secrets); diff != "" || err != nil || len(failed) != 0 {
				t.Errorf("%v, errors %v, secrets (-want +got):\n%s", err, failed, diff)
			}
			want := map[string]int{"ssm:GetParametersByPath": tc.parameterPages, "secretsmanager:BatchGetSecretValue": tc.listPages}
			if diff := cmp.Diff(want, b.Calls()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			for _, c := range b.CallLog() {
				if want := map[string]string{"ssm": "/prod/pay", "secretsmanager": "name=prod/pay/"}[c.Service]; c.Object != want {
					t.Errorf("a call of %s has the object %q, want %q", c.Operation, c.Object, want)
				}
			}
		})
	}
}

// removeSecretDB removes the secret that every bed has.
func (b *bed) removeSecretDB(t *testing.T) {
	t.Helper()
	if err := b.RemoveSecret(region, "db"); err != nil {
		t.Fatal(err)
	}
}

// A minimal policy is sufficient, and each of its statements is necessary.
func TestA18_SelectionsNeedEachStatement(t *testing.T) {
	const session = "User: arn:aws:sts::" + account + ":assumed-role/selector/payment-api is not authorized to perform: "
	parameters := func(t *testing.T, b *bed) error {
		t.Helper()
		_, err := parametersBelow(t, b.ssm(b.session(t, selectorRole)), "/prod/pay")
		return err
	}
	secrets := func(t *testing.T, b *bed) error {
		t.Helper()
		_, failed, err := secretsBelow(t, b.secrets(b.session(t, selectorRole)), "prod/pay/")
		if len(failed) > 0 && err == nil {
			return fmt.Errorf("%d errors, the first: %s", len(failed), failed[0])
		}
		return err
	}
	for name, tc := range map[string]struct {
		read     func(*testing.T, *bed) error
		policies []awssim.Document
		want     string // part of the error; "" = no error
	}{
		"path: all": {parameters, []awssim.Document{allowPath, allowDecrypt}, ""},
		"path: without the path": {parameters, []awssim.Document{allowDecrypt},
			session + "ssm:GetParametersByPath on resource: arn:aws:ssm:" + region + ":" + account + ":parameter/prod/pay because no identity-based policy allows the ssm:GetParametersByPath action"},
		"path: without the key": {parameters, []awssim.Document{allowPath},
			session + "kms:Decrypt on resource: " + keyARN + " because no identity-based policy allows the kms:Decrypt action (Service: AWSKMS; "},
		"path: only what is below it": {parameters, []awssim.Document{allowDecrypt, awssim.AllowPolicy("arn:aws:ssm:*:*:parameter/prod/pay/*", "ssm:GetParametersByPath")},
			session + "ssm:GetParametersByPath on resource: arn:aws:ssm:" + region + ":" + account + ":parameter/prod/pay because"},
		"path: the permission of single reads": {parameters, []awssim.Document{allowDecrypt, awssim.AllowPolicy("*", "ssm:GetParameter", "ssm:GetParameters")},
			session + "ssm:GetParametersByPath on resource: "},
		"path: a denied child is shown": {parameters, []awssim.Document{allowPath, allowDecrypt,
			awssim.DenyPolicy("arn:aws:ssm:*:*:parameter/prod/pay/deep/*", "ssm:GetParameter*")}, ""},
		"secrets: all": {secrets, []awssim.Document{allowBatch, allowList, allowValues}, ""},
		"secrets: without the batch": {secrets, []awssim.Document{allowList, allowValues},
			session + "secretsmanager:BatchGetSecretValue because no identity-based policy allows the secretsmanager:BatchGetSecretValue action"},
		"secrets: without the list": {secrets, []awssim.Document{allowBatch, allowValues},
			session + "secretsmanager:ListSecrets because no identity-based policy allows the secretsmanager:ListSecrets action"},
		"secrets: without the values": {secrets, []awssim.Document{allowBatch, allowList}, "45 errors, the first: arn:aws:secretsmanager:" + region},
		"secrets: the batch on ARNs": {secrets, []awssim.Document{allowList, allowValues, awssim.AllowPolicy("arn:aws:secretsmanager:*:*:secret:*", "secretsmanager:BatchGetSecretValue")},
			session + "secretsmanager:BatchGetSecretValue because no identity-based policy allows"},
		"secrets: only those with a tag":                  {secrets, []awssim.Document{allowBatch, allowList, allowTagged("pay")}, ""},
		"secrets: only those with another value of a tag": {secrets, []awssim.Document{allowBatch, allowList, allowTagged("web")}, "45 errors, the first: arn:aws:secretsmanager:" + region},
		"secrets: the list only with a tag": {secrets, []awssim.Document{allowBatch, allowValues, `{"Version": "2012-10-17", "Statement": {
			"Effect": "Allow", "Action": "secretsmanager:ListSecrets", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/team": "pay"}}}}`},
			session + "secretsmanager:ListSecrets because no identity-based policy allows"},
		"secrets: one denied": {secrets, []awssim.Document{allowBatch, allowList, allowValues,
			awssim.DenyPolicy("arn:aws:secretsmanager:*:*:secret:prod/pay/07-??????", "secretsmanager:GetSecretValue")}, "1 errors, the first: arn:aws:secretsmanager:" + region + ":" + account + ":secret:prod/pay/07-"},
	} {
		t.Run(name, func(t *testing.T) {
			b := startSelector(t, tc.policies)
			err := tc.read(t, b)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

// Objects that appear and disappear between two reads of a selection.
func TestSelectionsFollowTheAccount(t *testing.T) {
	b := startSelector(t, []awssim.Document{awssim.AllowPolicy("*", "*")})
	admin, ctx, creds := awssim.Admin{URL: b.URL()}, t.Context(), b.session(t, selectorRole)
	read := func() []string {
		t.Helper()
		parameters, err := parametersBelow(t, b.ssm(creds), "/prod/pay")
		if err != nil {
			t.Fatal(err)
		}
		secrets, failed, err := secretsBelow(t, b.secrets(creds), "prod/pay/")
		if err != nil || len(failed) > 0 {
			t.Fatal(failed, err)
		}
		return append(parameters, secrets...)
	}
	before := read()
	for name, change := range map[string]func() error{
		"add a parameter":    func() error { return admin.PutParameter(ctx, region, "/prod/pay/new", "v") },
		"add a secret":       func() error { return admin.PutSecret(ctx, region, "prod/pay/new", "v") },
		"remove a parameter": func() error { return admin.RemoveParameter(ctx, region, "/prod/pay/00") },
		"remove a secret":    func() error { return admin.RemoveSecret(ctx, region, "prod/pay/00") },
	} {
		if err := change(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	want := slices.DeleteFunc(append(before, "/prod/pay/new", "prod/pay/new"), func(s string) bool { return strings.HasSuffix(s, "/00") })
	got := read()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after the changes (-want +got):\n%s", diff)
	}

	if err := admin.TagSecret(ctx, region, "prod/pay/new", map[string]string{"env": "test"}); err != nil {
		t.Fatal(err)
	}
	out, err := b.secrets(creds).ListSecrets(ctx, &secretsmanager.ListSecretsInput{
		Filters: []secretstypes.Filter{{Key: secretstypes.FilterNameStringTypeTagKey, Values: []string{"env"}}},
	})
	if err != nil || len(out.SecretList) != 1 || *out.SecretList[0].Name != "prod/pay/new" || *out.SecretList[0].Tags[0].Value != "test" {
		t.Errorf("the tagged secret: %+v, %v", out, err)
	}
	for name, change := range map[string]func() error{
		"remove a parameter": func() error { return admin.RemoveParameter(ctx, region, "/prod/pay/00") },
		"remove a secret":    func() error { return admin.RemoveSecret(ctx, region, "prod/pay/00") },
		"tag a secret":       func() error { return admin.TagSecret(ctx, region, "prod/pay/00", nil) },
	} {
		if err := change(); err == nil || !strings.Contains(err.Error(), "there is no such") {
			t.Errorf("%s that does not exist: %v", name, err)
		}
	}
}

func TestSelectionsWithFaultsAndQuotas(t *testing.T) {
	for name, tc := range map[string]struct {
		operation string
		fault     awssim.Fault
		read      func(*testing.T, *bed) error
	}{
		"path": {"GetParametersByPath", awssim.Fault{Service: "ssm", Object: "/prod/pay"}, func(t *testing.T, b *bed) error {
			t.Helper()
			_, err := parametersBelow(t, b.ssm(b.session(t, selectorRole)), "/prod/pay")
			return err
		}},
		"batch": {"BatchGetSecretValue", awssim.Fault{Service: "secretsmanager", Object: "prod/pay/"}, func(t *testing.T, b *bed) error {
			t.Helper()
			_, _, err := secretsBelow(t, b.secrets(b.session(t, selectorRole)), "prod/pay/")
			return err
		}},
		"list": {"ListSecrets", awssim.Fault{Service: "secretsmanager"}, func(t *testing.T, b *bed) error {
			t.Helper()
			pages := secretsmanager.NewListSecretsPaginator(b.secrets(b.session(t, selectorRole)), &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(20)})
			for pages.HasMorePages() {
				if _, err := pages.NextPage(t.Context()); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := startSelector(t, []awssim.Document{awssim.AllowPolicy("*", "*")})
			tc.fault.Operation, tc.fault.Status, tc.fault.Count = tc.operation, 503, 1
			remove := b.Inject(tc.fault)
			wantError(t, tc.read(t, b), 503, "ServiceUnavailable", "")
			remove()
			if err := tc.read(t, b); err != nil {
				t.Fatalf("after the fault: %v", err)
			}
			quota := awssim.Quota{Service: tc.fault.Service, Operation: tc.operation, Rate: slow, Burst: 2}
			if err := b.SetQuota(quota); err != nil {
				t.Fatal(err)
			}
			b.ResetCalls()
			wantError(t, tc.read(t, b), 400, "ThrottlingException", "Rate exceeded")
			if got := b.Calls()[tc.fault.Service+":"+tc.operation]; got != 3 {
				t.Errorf("%d calls, want 3: two pages and the throttled one", got)
			}
		})
	}
}

// A client gets the modelled error for every misuse of a token. The tests of the
// stores have more cases, such as expiry.
func TestSDKMisusesTokens(t *testing.T) {
	b := startSelector(t, []awssim.Document{awssim.AllowPolicy("*", "*")})
	creds, ctx := b.session(t, selectorRole), t.Context()
	parameters, secrets := b.ssm(creds), b.secrets(creds)
	path, err := parameters.GetParametersByPath(ctx, &ssm.GetParametersByPathInput{Path: aws.String("/prod/pay")})
	if err != nil {
		t.Fatal(err)
	}
	prefix := []secretstypes.Filter{{Key: secretstypes.FilterNameStringTypeName, Values: []string{"prod/"}}}
	batch, err := secrets.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{Filters: prefix})
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]*string{"the other service's": batch.NextToken, "cut": aws.String((*path.NextToken)[:20]), "made up": aws.String("10")} {
		_, err := parameters.GetParametersByPath(ctx, &ssm.GetParametersByPathInput{Path: aws.String("/prod/pay"), NextToken: token})
		if _, ok := errors.AsType[*ssmtypes.InvalidNextToken](err); !ok {
			t.Errorf("Parameter Store, token %s: %v, want InvalidNextToken", name, err)
		}
	}
	for name, token := range map[string]*string{"the other service's": path.NextToken, "cut": aws.String((*batch.NextToken)[:20]), "made up": aws.String("20")} {
		_, err := secrets.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{Filters: prefix, NextToken: token})
		if _, ok := errors.AsType[*secretstypes.InvalidNextTokenException](err); !ok {
			t.Errorf("Secrets Manager, token %s: %v, want InvalidNextTokenException", name, err)
		}
	}
	next := &ssm.GetParametersByPathInput{Path: aws.String("/prod/pay"), NextToken: path.NextToken}
	for range 2 { // a retry uses the same token again
		if page, err := parameters.GetParametersByPath(ctx, next); err != nil || *page.Parameters[0].Name != "/prod/pay/10" {
			t.Fatalf("second page: %v, %v", page, err)
		}
	}
}
