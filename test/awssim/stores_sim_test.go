package awssim

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
)

// This test runs the policies that AWS documents for readers of secrets and
// parameters, with the real SDK against the whole simulator.
func TestDocumentedPoliciesThroughTheSimulator(t *testing.T) {
	sim, err := Start(Config{PodIdentityListen: "-", State: State{
		Account: storeAccount,
		Users: []User{{Name: "reader", AccessKeyID: "AKIAEXAMPLEEXAMPLE00", SecretAccessKey: "secret", Policies: []Document{`{
			"Version": "2012-10-17", "Statement": [
				{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "` + secretARN + `app/*-??????"},
				{"Effect": "Allow", "Action": "secretsmanager:BatchGetSecretValue", "Resource": "*"},
				{"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "` + parameterARN + `app/*"}]}`}}},
		Secrets: []Secret{
			{Region: storeRegion, Name: "app/db", Suffix: "AbCd12", Value: "s3cret"},
			{Region: storeRegion, Name: "other", Suffix: "AbCd12", Value: "not yours"},
		},
		Parameters: []Parameter{
			{Region: storeRegion, Name: "/app/db", Type: "SecureString", Value: "p4ram"},
			{Region: storeRegion, Name: "other", Value: "not yours"},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	cfg := aws.Config{
		Region: storeRegion, BaseEndpoint: aws.String(sim.URL()),
		Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLEEXAMPLE00", "secret", ""),
	}
	secrets, parameters, ctx := secretsmanager.NewFromConfig(cfg), ssm.NewFromConfig(cfg), t.Context()

	for _, id := range []string{"app/db", secretARN + "app/db-AbCd12", secretARN + "app/db"} {
		got, err := secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
		if err != nil || *got.SecretString != "s3cret" {
			t.Errorf("secret %s: %+v, %v", id, got, err)
		}
	}
	for id, resource := range map[string]string{"other": secretARN + "other-AbCd12", "nothing": "nothing", "app/nothing": "app/nothing"} {
		_, err := secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
		wantDenied(t, err, "secretsmanager:GetSecretValue on resource: "+resource+" because no identity-based policy allows")
	}
	batch, err := secrets.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"app/db", "other"}})
	if err != nil || len(batch.SecretValues) != 1 || len(batch.Errors) != 1 || *batch.Errors[0].ErrorCode != "AccessDeniedException" {
		t.Errorf("batch: %+v, %v", batch, err)
	}

	in := &ssm.GetParametersInput{Names: []string{"/app/db", "/app/nothing"}, WithDecryption: aws.Bool(true)}
	got, err := parameters.GetParameters(ctx, in)
	if err != nil || len(got.Parameters) != 1 || *got.Parameters[0].Value != "p4ram" || !slices.Equal(got.InvalidParameters, []string{"/app/nothing"}) {
		t.Errorf("parameters: %+v, %v", got, err)
	}
	in.Names = append(in.Names, "other")
	_, err = parameters.GetParameters(ctx, in)
	wantDenied(t, err, "ssm:GetParameters on resource: "+parameterARN+"other because no identity-based policy allows")
}

func wantDenied(t *testing.T, err error, text string) {
	t.Helper()
	denied, ok := errors.AsType[smithy.APIError](err)
	if !ok || denied.ErrorCode() != "AccessDeniedException" || !strings.Contains(denied.ErrorMessage(), text) {
		t.Errorf("got %v, want AccessDeniedException with %q", err, text)
	}
}
