package conformance_test

import (
	"errors"
	"fmt"
	"maps"
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
	"secrets-provider-aws/test/rig"
)

func TestSelectionsAgainstOurSimulator(t *testing.T) {
	r := rig.New(t, rig.Options{State: awssim.State{Users: []awssim.User{admin}}})
	testSelections(t, newBackend(t, r, r.AWS.URL()))
}

// Moto binds no token to its request, does not limit MaxResults of a batch, returns an empty page of parameters after
// a full last one, and fails a whole batch on a secret that is scheduled for deletion. The tests depend on none of
// these.
func TestSelectionsAgainstMoto(t *testing.T) {
	url := startMoto(t)
	testSelections(t, newBackend(t, rig.New(t, rig.Options{Endpoint: url}), url))
}

// testSelections tests what a client may rely on when it lists parameters by path and secrets by filter, with any
// AWS. The order of secrets and the number of pages are not part of it.
func testSelections(t *testing.T, b backend) {
	t.Helper()
	wantParameters, wantSecrets := map[string]string{}, map[string]string{}
	for i := range 25 {
		name := fmt.Sprintf("select/%02d", i)
		wantParameters["/"+name], wantSecrets[name] = fmt.Sprintf("parameter %d", i), fmt.Sprintf("secret %d", i)
		b.putParameter(t, "/"+name, wantParameters["/"+name], ssmtypes.ParameterTypeString)
		b.createSecret(t, name, &secretsmanager.CreateSecretInput{SecretString: aws.String(wantSecrets[name])})
	}
	b.putParameter(t, "/select/deep/pin", "s3cret", ssmtypes.ParameterTypeSecureString)
	b.putParameter(t, "/selection", "beside", ssmtypes.ParameterTypeString)
	b.createSecret(t, "selection", &secretsmanager.CreateSecretInput{SecretBinary: []byte{0, 0xff}, Tags: tags("team", "payments")})
	b.createSecret(t, "tagged", &secretsmanager.CreateSecretInput{SecretString: aws.String("t"), Tags: tags("team", "payments-eu", "owner", "web")})

	below := maps.Clone(wantParameters)
	below["/select/deep/pin"] = "s3cret"
	byType := []ssmtypes.ParameterStringFilter{{Key: aws.String("Type"), Values: []string{"SecureString"}}}
	for name, tc := range map[string]struct {
		in   ssm.GetParametersByPathInput
		want map[string]string
	}{
		"one level":          {ssm.GetParametersByPathInput{Path: aws.String("/select")}, wantParameters},
		"with a last slash":  {ssm.GetParametersByPathInput{Path: aws.String("/select/")}, wantParameters},
		"three a page":       {ssm.GetParametersByPathInput{Path: aws.String("/select"), MaxResults: aws.Int32(3)}, wantParameters},
		"full last page":     {ssm.GetParametersByPathInput{Path: aws.String("/select"), MaxResults: aws.Int32(5)}, wantParameters},
		"all levels":         {ssm.GetParametersByPathInput{Path: aws.String("/select"), Recursive: aws.Bool(true)}, below},
		"by type":            {ssm.GetParametersByPathInput{Path: aws.String("/select"), Recursive: aws.Bool(true), ParameterFilters: byType}, map[string]string{"/select/deep/pin": "s3cret"}},
		"a parameter's name": {ssm.GetParametersByPathInput{Path: aws.String("/selection")}, map[string]string{}},
		"nothing":            {ssm.GetParametersByPathInput{Path: aws.String("/none")}, map[string]string{}},
	} {
		t.Run("parameters/"+name, func(t *testing.T) {
			tc.in.WithDecryption = aws.Bool(true)
			if diff := cmp.Diff(tc.want, b.parametersByPath(t, &tc.in)); diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
		})
	}

	selected := func(key secretstypes.FilterNameStringType, values ...string) secretstypes.Filter {
		return secretstypes.Filter{Key: key, Values: values}
	}
	const byName, byTagKey, byTagValue = secretstypes.FilterNameStringTypeName, secretstypes.FilterNameStringTypeTagKey, secretstypes.FilterNameStringTypeTagValue
	for name, tc := range map[string]struct {
		filters []secretstypes.Filter
		size    int32
		want    map[string]string
	}{
		"by prefix":           {[]secretstypes.Filter{selected(byName, "select/")}, 20, wantSecrets},
		"by prefix, three":    {[]secretstypes.Filter{selected(byName, "select/")}, 3, wantSecrets},
		"full last page":      {[]secretstypes.Filter{selected(byName, "select/")}, 5, wantSecrets},
		"in another case":     {[]secretstypes.Filter{selected(byName, "Select/")}, 20, map[string]string{}},
		"not by the middle":   {[]secretstypes.Filter{selected(byName, "lect/")}, 20, map[string]string{}},
		"one of two prefixes": {[]secretstypes.Filter{selected(byName, "select/00", "tag")}, 20, map[string]string{"select/00": "secret 0", "tagged": "t"}},
		"not by a prefix":     {[]secretstypes.Filter{selected(byName, "!select/")}, 20, map[string]string{"selection": "\x00\xff", "tagged": "t"}},
		"by a tag's key":      {[]secretstypes.Filter{selected(byTagKey, "team")}, 20, map[string]string{"selection": "\x00\xff", "tagged": "t"}},
		"a tag's value is a prefix": {[]secretstypes.Filter{selected(byTagKey, "team"), selected(byTagValue, "payments")}, 20,
			map[string]string{"selection": "\x00\xff", "tagged": "t"}},
		"tags are no pairs":     {[]secretstypes.Filter{selected(byTagKey, "team"), selected(byTagValue, "web")}, 20, map[string]string{"tagged": "t"}},
		"by prefix and by tags": {[]secretstypes.Filter{selected(byName, "sel"), selected(byTagKey, "team")}, 20, map[string]string{"selection": "\x00\xff"}},
		"nothing":               {[]secretstypes.Filter{selected(byName, "none")}, 20, map[string]string{}},
	} {
		t.Run("secrets/"+name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, b.secretsByFilter(t, tc.filters, tc.size)); diff != "" {
				t.Errorf("secrets (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("secrets by id, an error each", func(t *testing.T) {
		out, err := b.secrets.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"select/00", "none"}})
		must(t, err)
		if len(out.SecretValues) != 1 || len(out.Errors) != 1 || *out.Errors[0].SecretId != "none" || *out.Errors[0].ErrorCode != "ResourceNotFoundException" {
			t.Errorf("got %+v and %+v", out.SecretValues, out.Errors)
		}
	})
	t.Run("ids and filters exclude each other", func(t *testing.T) {
		_, err := b.secrets.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{
			SecretIdList: []string{"select/00"}, Filters: []secretstypes.Filter{selected(byName, "select/")},
		})
		if _, ok := errors.AsType[*secretstypes.InvalidParameterException](err); !ok {
			t.Errorf("got %v, want InvalidParameterException", err)
		}
	})
	t.Run("only a list has tags", func(t *testing.T) {
		out, err := b.secrets.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{Filters: []secretstypes.Filter{selected(byTagKey, "owner")}})
		must(t, err)
		if len(out.SecretList) != 1 || *out.SecretList[0].Name != "tagged" || len(out.SecretList[0].Tags) != 2 || len(out.SecretList[0].SecretVersionsToStages) != 1 {
			t.Errorf("got %+v", out.SecretList)
		}
	})
	t.Run("filters that do not exist", func(t *testing.T) {
		_, err := b.parameters.GetParametersByPath(t.Context(), &ssm.GetParametersByPathInput{
			Path: aws.String("/select"), ParameterFilters: []ssmtypes.ParameterStringFilter{{Key: aws.String("Name"), Values: []string{"x"}}},
		})
		if _, ok := errors.AsType[*ssmtypes.InvalidFilterKey](err); !ok {
			t.Errorf("got %v, want InvalidFilterKey", err)
		}
	})
	t.Run("objects come and go", func(t *testing.T) {
		b.putParameter(t, "/select/new", "n", ssmtypes.ParameterTypeString)
		_, err := b.parameters.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/select/00")})
		must(t, err)
		b.createSecret(t, "select/new", &secretsmanager.CreateSecretInput{SecretString: aws.String("n")})
		_, err = b.secrets.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("select/00"), ForceDeleteWithoutRecovery: aws.Bool(true)})
		must(t, err)
		for prefix, want := range map[string]map[string]string{"/": wantParameters, "": wantSecrets} {
			want[prefix+"select/new"] = "n"
			delete(want, prefix+"select/00")
		}
		if diff := cmp.Diff(wantParameters, b.parametersByPath(t, &ssm.GetParametersByPathInput{Path: aws.String("/select")})); diff != "" {
			t.Errorf("parameters (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(wantSecrets, b.secretsByFilter(t, []secretstypes.Filter{selected(byName, "select/")}, 20)); diff != "" {
			t.Errorf("secrets (-want +got):\n%s", diff)
		}
	})
}

// tags returns tags from keys and values in turn.
func tags(pairs ...string) []secretstypes.Tag {
	var out []secretstypes.Tag
	for pair := range slices.Chunk(pairs, 2) {
		out = append(out, secretstypes.Tag{Key: aws.String(pair[0]), Value: aws.String(pair[1])})
	}
	return out
}

// parametersByPath reads all pages. It checks that each name comes once, in alphabetical order, with all attributes.
func (b backend) parametersByPath(t *testing.T, in *ssm.GetParametersByPathInput) map[string]string {
	t.Helper()
	got, last := map[string]string{}, ""
	pages := ssm.NewGetParametersByPathPaginator(b.parameters, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		if most := aws.ToInt32(in.MaxResults); most > 0 && len(page.Parameters) > int(most) || len(page.Parameters) > 10 {
			t.Errorf("a page has %d parameters", len(page.Parameters))
		}
		for _, p := range page.Parameters {
			name := aws.ToString(p.Name)
			if name <= last || p.Version != 1 || p.Type == "" || !strings.HasSuffix(aws.ToString(p.ARN), ":parameter"+name) || p.LastModifiedDate == nil {
				t.Errorf("after %q: %+v", last, p)
			}
			last, got[name] = name, aws.ToString(p.Value)
		}
	}
	return got
}

// secretsByFilter reads all pages. It checks that each secret comes once, with all attributes, and that none failed.
func (b backend) secretsByFilter(t *testing.T, filters []secretstypes.Filter, size int32) map[string]string {
	t.Helper()
	got := map[string]string{}
	pages := secretsmanager.NewBatchGetSecretValuePaginator(b.secrets, &secretsmanager.BatchGetSecretValueInput{Filters: filters, MaxResults: &size})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		if len(page.SecretValues) > int(size) || len(page.Errors) > 0 {
			t.Errorf("a page has %d secrets and the errors %+v", len(page.SecretValues), page.Errors)
		}
		for _, v := range page.SecretValues {
			name := aws.ToString(v.Name)
			if _, twice := got[name]; twice || !strings.Contains(aws.ToString(v.ARN), ":secret:"+name+"-") || aws.ToString(v.VersionId) == "" || !slices.Equal(v.VersionStages, []string{"AWSCURRENT"}) {
				t.Errorf("secret %q: %+v", name, v)
			}
			if got[name] = aws.ToString(v.SecretString); v.SecretString == nil {
				got[name] = string(v.SecretBinary)
			}
		}
	}
	return got
}
