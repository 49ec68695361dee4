package provider

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/volume"
)

// secretsManager reads secrets.
type secretsManager struct {
	clients *awsclient.Regional[*secretsmanager.Client]
}

func newSecretsManager(cfg aws.Config) secretsManager {
	return secretsManager{awsclient.NewRegional(func(region string) *secretsmanager.Client {
		return secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.Region = region })
	})}
}

// read reads one secret with GetSecretValue. VersionId and VersionStage are sent as the class has
// them, both where both are set: Secrets Manager checks that they agree.
func (c secretsManager) read(ctx context.Context, credentials aws.CredentialsProvider, region string, o object) result {
	out, err := c.clients.In(region).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
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

// readBatch reads current versions with one BatchGetSecretValue. A secret that the response leaves out
// is read on its own: the service may cut a long response short.
func (c secretsManager) readBatch(ctx context.Context, credentials aws.CredentialsProvider, region string, objects []object) []result {
	ids := make([]string, len(objects))
	for i, o := range objects {
		ids[i] = o.name
	}
	results := make([]result, len(objects))
	out, err := c.clients.In(region).BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: ids},
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
			results[i] = c.read(ctx, credentials, region, o)
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

// selectNamed reads the secrets by the beginning of their names.
func (c secretsManager) selectNamed(ctx context.Context, credentials aws.CredentialsProvider, s *selecting) error {
	in := &secretsmanager.BatchGetSecretValueInput{Filters: filters(s.target.selected), MaxResults: aws.Int32(secretsPerCall)}
	for {
		page, err := c.readPage(ctx, credentials, s, in)
		if err != nil {
			return err
		}
		in.NextToken = page.NextToken
		if more, err := s.next(in.NextToken); !more {
			return err
		}
	}
}

// selectTagged lists the secrets first: a filter matches the beginnings of tags, the key of one and the value of another,
// and only a list has the tags.
func (c secretsManager) selectTagged(ctx context.Context, credentials aws.CredentialsProvider, s *selecting) error {
	in := &secretsmanager.ListSecretsInput{Filters: filters(s.target.selected), MaxResults: aws.Int32(100)}
	var ids []string
	for {
		page, err := c.clients.In(s.target.region).ListSecrets(ctx, in, func(o *secretsmanager.Options) { o.Credentials = credentials })
		if err != nil {
			return readFault(err, s.target.what(), s.target.region, "secretsmanager:ListSecrets")
		}
		for _, listed := range page.SecretList {
			if s.has(aws.ToString(listed.Name)) && hasTags(listed.Tags, s.target.selected.Tags) {
				ids = append(ids, aws.ToString(listed.ARN))
			}
		}
		if err := s.countTo(len(ids)); err != nil {
			return err
		}
		in.NextToken = page.NextToken
		more, err := s.next(in.NextToken)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	for some := range slices.Chunk(ids, secretsPerCall) {
		if _, err := c.readPage(ctx, credentials, s, &secretsmanager.BatchGetSecretValueInput{SecretIdList: some}); err != nil {
			return err
		}
	}
	return nil
}

// readPage reads one page of secrets.
func (c secretsManager) readPage(ctx context.Context, credentials aws.CredentialsProvider, s *selecting, in *secretsmanager.BatchGetSecretValueInput) (
	*secretsmanager.BatchGetSecretValueOutput, error,
) {
	page, err := c.clients.In(s.target.region).BatchGetSecretValue(ctx, in, func(o *secretsmanager.Options) { o.Credentials = credentials })
	if err != nil {
		return nil, readFault(err, s.target.what(), s.target.region, "secretsmanager:BatchGetSecretValue")
	}
	for _, secret := range page.SecretValues {
		name := strings.Clone(aws.ToString(secret.Name))
		if !s.has(name) {
			continue
		}
		got := secretResult(object{kind: s.target.kind, name: name}, s.target.region, secret.SecretString, secret.SecretBinary, secret.VersionId)
		if got.err != nil {
			return nil, got.err
		}
		if err := s.take(name, got.value); err != nil {
			return nil, err
		}
	}
	for _, refused := range page.Errors {
		o := object{kind: s.target.kind, name: aws.ToString(refused.SecretId)}
		err := readFault(&smithy.GenericAPIError{Code: aws.ToString(refused.ErrorCode), Message: aws.ToString(refused.Message)}, o.what(), s.target.region, o.kind.Action())
		if fault.KindOf(err) != fault.NotFound { // deleted since it was listed
			s.failed = append(s.failed, err)
		}
	}
	return page, nil
}

// filters narrow a list to what a selection may have, and no further.
func filters(s *class.Selection) []types.Filter {
	var list []types.Filter
	add := func(key types.FilterNameStringType, value string) {
		if value != "" {
			list = append(list, types.Filter{Key: key, Values: []string{value}})
		}
	}
	add(types.FilterNameStringTypeName, s.Prefix)
	for _, tag := range s.Tags {
		add(types.FilterNameStringTypeTagKey, tag.Key)
		add(types.FilterNameStringTypeTagValue, tag.Value)
	}
	return list
}

// hasTags reports whether a secret has all wanted tags.
func hasTags(tags []types.Tag, want []class.Tag) bool {
	return !slices.ContainsFunc(want, func(w class.Tag) bool {
		return !slices.ContainsFunc(tags, func(t types.Tag) bool { return aws.ToString(t.Key) == w.Key && aws.ToString(t.Value) == w.Value })
	})
}
