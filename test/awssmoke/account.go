package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// account creates and deletes with the credentials of the user.
type account struct {
	secrets    *secretsmanager.Client
	parameters *ssm.Client
	sts        *sts.Client

	madeSecrets, madeParameters []string // names, to delete
}

func newAccount(ctx context.Context, region string) (*account, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return nil, fmt.Errorf("read your AWS configuration: %w", err)
	}
	return &account{secrets: secretsmanager.NewFromConfig(cfg), parameters: ssm.NewFromConfig(cfg), sts: sts.NewFromConfig(cfg)}, nil
}

// create creates everything. A name is noted before its call, because a call can succeed without a response.
func (a *account) create(ctx context.Context, p plan) error {
	for _, s := range []struct{ name, value string }{{p.db, p.json(0)}, {p.denied, p.json(0)}} {
		a.madeSecrets = append(a.madeSecrets, s.name)
		if _, err := a.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
			Name: aws.String(s.name), SecretString: aws.String(s.value), Description: aws.String("of a test of secrets-provider-aws, can be deleted"),
		}); err != nil {
			return fmt.Errorf("create secret %s: %w", s.name, err)
		}
	}
	for _, s := range []struct {
		name, value string
		kind        ssmtypes.ParameterType
	}{{p.url, "https://example.com", ssmtypes.ParameterTypeString}, {p.key, p.passwords[0], ssmtypes.ParameterTypeSecureString}} {
		a.madeParameters = append(a.madeParameters, s.name)
		if _, err := a.parameters.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String(s.name), Value: aws.String(s.value), Type: s.kind}); err != nil {
			return fmt.Errorf("create parameter %s: %w", s.name, err)
		}
	}
	return nil
}

// json is the value of the secrets, before (0) and after (1) the rotation.
func (p plan) json(password int) string {
	text, err := json.Marshal(map[string]string{"user": p.user, "password": p.passwords[password]})
	if err != nil {
		panic(err) // a map of texts is always JSON
	}
	return string(text)
}

// rotate gives the secret its second value.
func (a *account) rotate(ctx context.Context, p plan) error {
	_, err := a.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String(p.db), SecretString: aws.String(p.json(1))})
	if err != nil {
		return fmt.Errorf("rotate secret %s: %w", p.db, err)
	}
	return nil
}

// deleteAll deletes what create made, also after it failed in the middle. Its error names what is left.
func (a *account) deleteAll(ctx context.Context, out io.Writer) error {
	var errs []error
	deleted := 0
	for _, name := range a.madeSecrets {
		_, err := a.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String(name), ForceDeleteWithoutRecovery: aws.Bool(true)})
		if err != nil {
			errs = append(errs, fmt.Errorf("secret %s is left: %w (aws secretsmanager delete-secret --force-delete-without-recovery --secret-id %s)", name, err, name))
			continue
		}
		deleted++
	}
	for _, name := range a.madeParameters {
		_, err := a.parameters.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String(name)})
		missing := (*ssmtypes.ParameterNotFound)(nil)
		if err != nil && !errors.As(err, &missing) { // it was never made
			errs = append(errs, fmt.Errorf("parameter %s is left: %w (aws ssm delete-parameter --name %s)", name, err, name))
			continue
		}
		deleted++
	}
	fmt.Fprintf(out, "deleted %d of %d\n", deleted, len(a.madeSecrets)+len(a.madeParameters))
	return errors.Join(errs...)
}
