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
		return answer{err: readFault(err, r.what(), region, r.kind.Action())}
	}
	return secretAnswer(r, region, out.SecretString, out.SecretBinary, out.VersionId)
}

// secretAnswer copies what is kept: the SDK's strings are parts of a larger piece of memory, up to 4 KiB of
// the answer, which a version of 36 bytes would hold on to for as long as the value is cached.
func secretAnswer(r read, region string, text *string, binary []byte, version *string) answer {
	v := value{content: binary, version: strings.Clone(aws.ToString(version))}
	switch {
	case text != nil:
		v.content = Content(*text)
	case binary == nil: // AWS always sends one of them; a file must not be empty because something in between did
		return answer{err: noValue(r.what(), region)}
	}
	return answer{value: v}
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
			answers[i] = secretAnswer(r, region, s.SecretString, s.SecretBinary, s.VersionId)
		} else if at := slices.IndexFunc(out.Errors, func(e types.APIErrorType) bool { return aws.ToString(e.SecretId) == r.name }); at >= 0 {
			e := out.Errors[at]
			refused := &smithy.GenericAPIError{Code: aws.ToString(e.ErrorCode), Message: aws.ToString(e.Message)}
			answers[i].err = readFault(refused, r.what(), region, r.kind.Action())
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

// noValue is an answer without a value in it.
func noValue(what, region string) error {
	return &fault.Error{
		Kind: fault.Transient, What: what, Region: region,
		Why: "the answer holds no value: is a proxy in between?",
	}
}

// readFault explains a read that AWS refused.
func readFault(err error, what, region, action string) error {
	e := fault.FromAWS(err, what, region)
	switch {
	case e.Kind == fault.Denied && strings.Contains(strings.ToLower(e.Message), "kms"), e.Code == "DecryptionFailure", strings.HasPrefix(e.Code, "KMS"):
		e.Hint = "allow kms:Decrypt on the key that encrypts it to the pod's role, in the key's policy too"
	case e.Kind == fault.Denied && strings.Contains(e.Message, "explicit deny"):
		e.Hint = "a policy denies it outright: an Allow does not help, the Deny has to go"
	case e.Kind == fault.Denied:
		e.Hint = "allow " + action + " on it in a policy of the pod's role"
	case e.Kind == fault.NotFound && strings.Contains(e.Message, "secret value for"):
		e.Hint = "the secret is there; check its versions and staging labels with describe-secret"
	case e.Kind == fault.NotFound:
		e.Hint = "check the name, the region and the account; names are case-sensitive"
	case e.Kind == fault.Rejected && strings.Contains(e.Message, "'versionId'"):
		e.Hint = "objectVersion of a secret is a VersionId as describe-secret shows it, not a number"
	default:
		e.HintRetry()
	}
	return e
}

// Action is the one permission that reading such an object takes.
func (t Type) Action() string {
	if t == SSMParameter {
		return "ssm:GetParameters"
	}
	return "secretsmanager:GetSecretValue"
}
