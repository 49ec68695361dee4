package provider

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"secrets-provider-aws/provider/fault"
)

// readSecret reads one secret with GetSecretValue. VersionId and VersionStage are sent as they
// are asked for, both where both are: Secrets Manager checks that they agree.
func (f *Fetcher) readSecret(ctx context.Context, credentials aws.CredentialsProvider, region string, r read) answer {
	out, err := f.secrets.In(region).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId:     aws.String(r.name),
		VersionId:    optional(r.version),
		VersionStage: optional(r.label),
	}, func(o *secretsmanager.Options) { o.Credentials = credentials })
	if err != nil {
		return answer{err: readFault(err, r.what(), region, r.kind.action())}
	}
	return answer{value: secretValue(out.SecretString, out.SecretBinary, out.VersionId)}
}

// secretValue copies what is kept: the SDK's strings are parts of a larger piece of memory, up to 4 KiB of
// the answer, which a version of 36 bytes would hold on to for as long as the value is cached.
func secretValue(text *string, binary []byte, version *string) value {
	content := Content(binary)
	if text != nil {
		content = Content(*text)
	}
	return value{content: content, version: strings.Clone(aws.ToString(version))}
}

// secretsPerCall is the most that BatchGetSecretValue takes (Secrets Manager API reference).
const secretsPerCall = 20

// readSecrets reads current versions with one BatchGetSecretValue. A secret that the answer leaves out
// is read by itself: the service may cut a long answer short.
func (f *Fetcher) readSecrets(ctx context.Context, credentials aws.CredentialsProvider, region string, reads []read) []answer {
	ids := make([]string, len(reads))
	for i, r := range reads {
		ids[i] = r.name
	}
	answers := make([]answer, len(reads))
	out, err := f.secrets.In(region).BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: ids},
		func(o *secretsmanager.Options) { o.Credentials = credentials })
	if err != nil {
		err = readFault(err, whatTogether(reads), region, "secretsmanager:BatchGetSecretValue")
		for i := range answers {
			answers[i].err = err
		}
		return answers
	}
	for i, r := range reads {
		if at := slices.IndexFunc(out.SecretValues, func(s types.SecretValueEntry) bool { return names(r.name, s) }); at >= 0 {
			s := out.SecretValues[at]
			answers[i].value = secretValue(s.SecretString, s.SecretBinary, s.VersionId)
		} else if at := slices.IndexFunc(out.Errors, func(e types.APIErrorType) bool { return aws.ToString(e.SecretId) == r.name }); at >= 0 {
			e := out.Errors[at]
			refused := &smithy.GenericAPIError{Code: aws.ToString(e.ErrorCode), Message: aws.ToString(e.Message)}
			answers[i].err = readFault(refused, r.what(), region, r.kind.action())
		} else {
			answers[i] = f.readSecret(ctx, credentials, region, r)
		}
	}
	return answers
}

// names reports whether id, a name, an ARN or an ARN without its six random characters, asks for s.
func names(id string, s types.SecretValueEntry) bool {
	arn := aws.ToString(s.ARN)
	return id == aws.ToString(s.Name) || id == arn || len(arn) == len(id)+7 && strings.HasPrefix(arn, id+"-")
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// readFault explains a read that AWS refused.
func readFault(err error, what, region, action string) error {
	e := fault.FromAWS(err, what, region)
	switch {
	case e.Kind == fault.Denied && strings.Contains(e.Message, "KMS"), e.Code == "DecryptionFailure", strings.HasPrefix(e.Code, "KMS"):
		e.Hint = "allow kms:Decrypt on the key that encrypts it to the pod's role, in the key's policy too"
	case e.Kind == fault.Denied && strings.Contains(e.Message, "explicit deny"):
		e.Hint = "a policy denies it outright: an Allow does not help, the Deny has to go"
	case e.Kind == fault.Denied:
		e.Hint = "allow " + action + " on it in a policy of the pod's role"
	case e.Kind == fault.NotFound:
		e.Hint = "check the name, the region and the account; names are case-sensitive"
	case e.Kind == fault.Transient:
		e.Hint = "the kubelet tries again by itself"
	}
	return e
}

// action is the one permission that reading such an object takes.
func (t Type) action() string {
	if t == SSMParameter {
		return "ssm:GetParameters"
	}
	return "secretsmanager:GetSecretValue"
}
