package provider

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/volume"
)

// parametersPerCall is the limit of GetParameters (Systems Manager API reference).
const parametersPerCall = 10

// batchParameters shares the parameters at indexes of targets out to calls, each at most once per parameter:
// the response names the parameter, and only newer services say which version or label of it they mean.
func batchParameters(targets []target, indexes []int) [][]int {
	var batches [][]int
	var names []map[string]bool
	for _, i := range indexes {
		name := class.BareName(targets[i].name)
		fits := slices.IndexFunc(names, func(taken map[string]bool) bool {
			return len(taken) < parametersPerCall && !taken[name]
		})
		if fits < 0 {
			fits = len(batches)
			batches = append(batches, nil)
			names = append(names, map[string]bool{})
		}
		batches[fits] = append(batches[fits], i)
		names[fits][name] = true
	}
	return batches
}

// selector returns the name that GetParameters accepts: name, name:version or name:label.
func (o object) selector() string {
	if part := cmp.Or(o.version, o.label); part != "" {
		return o.name + ":" + part
	}
	return o.name
}

// parameterStore reads parameters.
type parameterStore struct {
	clients *awsclient.Regional[*ssm.Client]
}

func newParameterStore(cfg aws.Config) parameterStore {
	return parameterStore{awsclient.NewRegional(func(region string) *ssm.Client {
		return ssm.NewFromConfig(cfg, func(o *ssm.Options) { o.Region = region })
	})}
}

// read reads one batch.
func (c parameterStore) read(ctx context.Context, credentials aws.CredentialsProvider, region string, objects []object) []result {
	names := make([]string, len(objects))
	for i, o := range objects {
		names[i] = o.selector()
	}
	results := make([]result, len(objects))
	out, err := c.clients.In(region).GetParameters(ctx, &ssm.GetParametersInput{
		Names:          names,
		WithDecryption: aws.Bool(true),
	}, func(options *ssm.Options) { options.Credentials = credentials })
	if err != nil {
		err = readFault(err, whatTogether(objects), region, class.SSMParameter.Action())
		for i := range results {
			results[i].err = err
		}
		return results
	}
	found := make(map[string]types.Parameter, len(out.Parameters))
	for _, p := range out.Parameters {
		found[class.BareName(aws.ToString(p.Name))] = p
	}
	for i, o := range objects {
		p, ok := found[class.BareName(o.name)]
		if !ok {
			results[i].err = &fault.Error{
				Kind: fault.NotFound, What: o.what(), Region: region,
				Why:  "there is no such parameter, version or label",
				Hint: "check the name with its leading slash, the version or label, the region and the account; names are case-sensitive",
			}
			continue
		}
		if p.Value == nil {
			results[i].err = noValue(o.what(), region)
			continue
		}
		results[i].value = volume.Value{Content: Content(*p.Value), Version: strconv.FormatInt(p.Version, 10)}
	}
	return results
}

// selectPath reads the parameters below a path.
func (c parameterStore) selectPath(ctx context.Context, credentials aws.CredentialsProvider, s *selecting) error {
	selected := s.target.selected
	in := &ssm.GetParametersByPathInput{
		Path: aws.String(selected.Path()), Recursive: aws.Bool(selected.Recursive),
		WithDecryption: aws.Bool(true), MaxResults: aws.Int32(parametersPerCall),
	}
	for {
		page, err := c.clients.In(s.target.region).GetParametersByPath(ctx, in, func(o *ssm.Options) { o.Credentials = credentials })
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
