package provider

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"secrets-provider-aws/provider/fault"
)

// readSecret reads one secret with GetSecretValue. VersionId and VersionStage are sent as they
// are asked for, both where both are: Secrets Manager checks that they agree.
func (f *Fetcher) readSecret(ctx context.Context, credentials aws.CredentialsProvider, region string, r read) (value, error) {
	out, err := f.secrets.In(region).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId:     aws.String(r.name),
		VersionId:    optional(r.version),
		VersionStage: optional(r.label),
	}, func(o *secretsmanager.Options) { o.Credentials = credentials })
	if err != nil {
		return value{}, readFault(err, r.what(), region, r.kind)
	}
	v := value{content: out.SecretBinary, version: aws.ToString(out.VersionId)}
	switch {
	case out.SecretString != nil:
		v.content = Content(*out.SecretString)
	case out.SecretBinary == nil: // AWS always sends one of them; a file must not be empty because something in between did
		return value{}, noValue(r.what(), region)
	}
	return v, nil
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
		Why: "the answer holds no value: is a proxy in between?", Hint: "the kubelet tries again by itself",
	}
}

// readFault explains a read that AWS refused.
func readFault(err error, what, region string, kind Type) error {
	e := fault.FromAWS(err, what, region)
	switch {
	case e.Kind == fault.Denied && strings.Contains(e.Message, "KMS"), e.Code == "DecryptionFailure", strings.HasPrefix(e.Code, "KMS"):
		e.Hint = "allow kms:Decrypt on the key that encrypts it to the pod's role, in the key's policy too"
	case e.Kind == fault.Denied && strings.Contains(e.Message, "explicit deny"):
		e.Hint = "a policy denies it outright: an Allow does not help, the Deny has to go"
	case e.Kind == fault.Denied:
		e.Hint = "allow " + kind.action() + " on it in a policy of the pod's role"
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
