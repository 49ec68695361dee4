package provider

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/volume"
)

// readSelection reads all members of a selection, page after page, and stops once they are more than it may have or
// than the volume can hold.
func (b *backend) readSelection(ctx context.Context, credentials aws.CredentialsProvider, t target) result {
	s := &selecting{target: t}
	var err error
	switch {
	case t.kind == class.SSMParameter:
		err = b.selectParameters(ctx, credentials, s)
	case len(t.selected.Tags) > 0:
		err = b.selectTagged(ctx, credentials, s)
	default:
		err = b.selectSecrets(ctx, credentials, s)
	}
	if err == nil {
		err = fault.Join(s.failed)
	}
	switch {
	case err != nil:
		return result{err: err}
	case len(s.members) == 0:
		return result{err: nothingSelected(t)}
	}
	slices.SortFunc(s.members, func(a, b volume.Member) int { return cmp.Compare(a.Name, b.Name) })
	return result{value: volume.Value{Members: s.members, Version: versionOf(s.members)}}
}

// versionOf changes with the names and the versions of members.
func versionOf(members []volume.Member) string {
	h := sha256.New()
	for _, m := range members {
		fmt.Fprintf(h, "%q %q\n", m.Name, m.Version)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// selecting is a selection while it is read.
type selecting struct {
	target  target
	members []volume.Member
	bytes   int
	pages   int
	failed  []error // of secrets that were selected and cannot be read
}

// maxPages is more pages than the members of a volume need. AWS may give pages that hold few of them, or none.
const maxPages = 60

// next reports whether there is another page, or refuses to read it.
func (s *selecting) next(token *string) (bool, error) {
	if aws.ToString(token) == "" {
		return false, nil
	}
	if s.pages++; s.pages < maxPages {
		return true, nil
	}
	return false, &fault.Error{
		Kind: fault.Content, What: s.target.what(), Region: s.target.region,
		Why:  fmt.Sprintf("%d pages of the list do not hold all that it selects", maxPages),
		Hint: "select fewer: write more of the beginning of the names, or a longer path",
	}
}

// take adds a member, or says why the selection ends.
func (s *selecting) take(name string, v volume.Value) error {
	s.members = append(s.members, volume.Member{Name: name, Value: v})
	if err := s.countTo(len(s.members)); err != nil {
		return err
	}
	if s.bytes += len(v.Content); s.bytes > s.target.size.limit {
		return fault.TooLarge(fmt.Sprintf("the first %d %ss of %s take %d bytes, the CSI driver accepts %d",
			len(s.members), s.target.kind.Noun(), fault.Quote(s.target.name), s.bytes, s.target.size.limit))
	}
	return nil
}

// countTo refuses more members than the selection may have.
func (s *selecting) countTo(n int) error {
	most := s.target.selected.Max
	if n <= most {
		return nil
	}
	return &fault.Error{
		Kind: fault.Content, What: s.target.what(), Region: s.target.region,
		Why:  fmt.Sprintf("it selects %d or more, and maxObjects is %d", n, most),
		Hint: "select fewer, or set maxObjects to as many as the volume needs",
	}
}

// nothingSelected is a selection without a member.
func nothingSelected(t target) error {
	e := &fault.Error{Kind: fault.NotFound, What: t.what(), Region: t.region, Why: "it selects nothing"}
	e.Hint = "check the path, the region and the account; names are case-sensitive; set optional: true if it may be empty"
	if t.kind == class.SecretsManager {
		e.Hint = "check the beginning of the names, the tags, the region and the account; set optional: true if it may be empty"
	}
	return e
}

func (b *backend) selectParameters(ctx context.Context, credentials aws.CredentialsProvider, s *selecting) error {
	selected := s.target.selected
	in := &ssm.GetParametersByPathInput{
		Path: aws.String(selected.Path()), Recursive: aws.Bool(selected.Recursive),
		WithDecryption: aws.Bool(true), MaxResults: aws.Int32(parametersPerCall),
	}
	for {
		page, err := b.parameters.In(s.target.region).GetParametersByPath(ctx, in, func(o *ssm.Options) { o.Credentials = credentials })
		if err != nil {
			return readFault(err, s.target.what(), s.target.region, "ssm:GetParametersByPath")
		}
		for _, p := range page.Parameters {
			if p.Value == nil {
				return noValue(s.target.what(), s.target.region)
			}
			if err := s.take(strings.Clone(aws.ToString(p.Name)), volume.Value{Content: Content(*p.Value), Version: strconv.FormatInt(p.Version, 10)}); err != nil {
				return err
			}
		}
		in.NextToken = page.NextToken
		if more, err := s.next(in.NextToken); !more {
			return err
		}
	}
}

// selectSecrets reads the secrets by the beginning of their names.
func (b *backend) selectSecrets(ctx context.Context, credentials aws.CredentialsProvider, s *selecting) error {
	in := &secretsmanager.BatchGetSecretValueInput{Filters: filters(s.target.selected), MaxResults: aws.Int32(secretsPerCall)}
	for {
		page, err := b.readPage(ctx, credentials, s, in)
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
func (b *backend) selectTagged(ctx context.Context, credentials aws.CredentialsProvider, s *selecting) error {
	in := &secretsmanager.ListSecretsInput{Filters: filters(s.target.selected), MaxResults: aws.Int32(100)}
	var ids []string
	for {
		page, err := b.secrets.In(s.target.region).ListSecrets(ctx, in, func(o *secretsmanager.Options) { o.Credentials = credentials })
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
		if _, err := b.readPage(ctx, credentials, s, &secretsmanager.BatchGetSecretValueInput{SecretIdList: some}); err != nil {
			return err
		}
	}
	return nil
}

// readPage reads one page of secrets.
func (b *backend) readPage(ctx context.Context, credentials aws.CredentialsProvider, s *selecting, in *secretsmanager.BatchGetSecretValueInput) (
	*secretsmanager.BatchGetSecretValueOutput, error,
) {
	page, err := b.secrets.In(s.target.region).BatchGetSecretValue(ctx, in, func(o *secretsmanager.Options) { o.Credentials = credentials })
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

// has reports whether the selection has a secret of that name: a filter may match more.
func (s *selecting) has(name string) bool {
	return strings.HasPrefix(name, s.target.selected.Prefix)
}

// filters narrow a list to what a selection may have, and no further.
func filters(s *class.Selection) []secretstypes.Filter {
	var list []secretstypes.Filter
	add := func(key secretstypes.FilterNameStringType, value string) {
		if value != "" {
			list = append(list, secretstypes.Filter{Key: key, Values: []string{value}})
		}
	}
	add(secretstypes.FilterNameStringTypeName, s.Prefix)
	for _, tag := range s.Tags {
		add(secretstypes.FilterNameStringTypeTagKey, tag.Key)
		add(secretstypes.FilterNameStringTypeTagValue, tag.Value)
	}
	return list
}

// hasTags reports whether a secret has all wanted tags.
func hasTags(tags []secretstypes.Tag, want []class.Tag) bool {
	return !slices.ContainsFunc(want, func(w class.Tag) bool {
		return !slices.ContainsFunc(tags, func(t secretstypes.Tag) bool { return aws.ToString(t.Key) == w.Key && aws.ToString(t.Value) == w.Value })
	})
}
