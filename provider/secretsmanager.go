package provider

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"secrets-provider-aws/provider/volume"
)

// readSecret reads one secret with GetSecretValue. VersionId and VersionStage are sent as the class has
// them, both where both are set: Secrets Manager checks that they agree.
func (b *backend) readSecret(ctx context.Context, credentials aws.CredentialsProvider, region string, o object) result {
	out, err := b.secrets.In(region).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId:     aws.String(o.name),
		VersionId:    orNil(o.version),
		VersionStage: orNil(o.label),
	}, func(options *secretsmanager.Options) { options.Credentials = credentials })
	if err != nil {
		return result{err: readFault(err, o.what(), region, o.kind.Action())}
	}
	return secretResult(o, region, out.SecretString, out.SecretBinary, out.VersionId)
}

// secretResult copies the version: the SDK's strings are parts of a larger piece of memory, up to 4 KiB of
// the response, which 36 bytes would keep alive for as long as the value is cached.
func secretResult(o object, region string, text *string, binary []byte, version *string) result {
	v := volume.Value{Content: binary, Version: strings.Clone(aws.ToString(version))}
	switch {
	case text != nil:
		v.Content = Content(*text)
	case binary == nil: // AWS always sends one of them; a file must not be empty because of something in between
		return result{err: noValue(o.what(), region)}
	}
	return result{value: v}
}

// secretsPerCall is the limit of BatchGetSecretValue (Secrets Manager API reference).
const secretsPerCall = 20

// readSecrets reads current versions with one BatchGetSecretValue. A secret that the response leaves out
// is read on its own: the service may cut a long response short.
func (b *backend) readSecrets(ctx context.Context, credentials aws.CredentialsProvider, region string, objects []object) []result {
	ids := make([]string, len(objects))
	for i, o := range objects {
		ids[i] = o.name
	}
	results := make([]result, len(objects))
	out, err := b.secrets.In(region).BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: ids},
		func(options *secretsmanager.Options) { options.Credentials = credentials })
	if err != nil {
		err = readFault(err, whatTogether(objects), region, "secretsmanager:BatchGetSecretValue")
		for i := range results {
			results[i].err = err
		}
		return results
	}
	for i, o := range objects {
		if at := slices.IndexFunc(out.SecretValues, func(s types.SecretValueEntry) bool { return isNamed(s, o.name) }); at >= 0 {
			s := out.SecretValues[at]
			results[i] = secretResult(o, region, s.SecretString, s.SecretBinary, s.VersionId)
		} else if at := slices.IndexFunc(out.Errors, func(e types.APIErrorType) bool { return aws.ToString(e.SecretId) == o.name }); at >= 0 {
			e := out.Errors[at]
			refused := &smithy.GenericAPIError{Code: aws.ToString(e.ErrorCode), Message: aws.ToString(e.Message)}
			results[i].err = readFault(refused, o.what(), region, o.kind.Action())
		} else {
			results[i] = b.readSecret(ctx, credentials, region, o)
		}
	}
	return results
}

// isNamed reports whether id, a name, an ARN or an ARN without its six random characters, means s.
func isNamed(s types.SecretValueEntry, id string) bool {
	arn := aws.ToString(s.ARN)
	return id == aws.ToString(s.Name) || id == arn || len(arn) == len(id)+7 && strings.HasPrefix(arn, id+"-")
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
