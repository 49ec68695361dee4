package provider

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"secrets-provider-aws/provider/fault"
)

// parametersPerCall is the most that GetParameters takes (Systems Manager API reference).
const parametersPerCall = 10

// batchParameters shares reads out to calls, each at most once per parameter: the answer names the
// parameter, and only newer services say which version or label of it was meant.
func batchParameters(reads []read, indexes []int) [][]int {
	var batches [][]int
	var names []map[string]bool
	for _, i := range indexes {
		name := bareName(reads[i].name)
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

// bareName is what a parameter's name and its ARN have in common.
func bareName(name string) string {
	if strings.HasPrefix(name, "arn:") {
		_, name, _ = strings.Cut(name, ":parameter/")
	}
	return strings.TrimPrefix(name, "/")
}

// selector is how GetParameters is asked: name, name:version or name:label.
func (r read) selector() string {
	if part := cmp.Or(r.version, r.label); part != "" {
		return r.name + ":" + part
	}
	return r.name
}

// readParameters reads one batch and stores a value or an error for each of its reads.
func (f *Fetcher) readParameters(
	ctx context.Context, credentials aws.CredentialsProvider, region string,
	batch []int, reads []read, values []value, errs []error,
) {
	names := make([]string, len(batch))
	for i, at := range batch {
		names[i] = reads[at].selector()
	}
	out, err := f.parameters.In(region).GetParameters(ctx, &ssm.GetParametersInput{
		Names:          names,
		WithDecryption: aws.Bool(true),
	}, func(o *ssm.Options) { o.Credentials = credentials })
	if err != nil {
		err = readFault(err, whatParameters(batch, reads), region, SSMParameter)
		for _, at := range batch {
			errs[at] = err
		}
		return
	}
	answered := make(map[string]types.Parameter, len(out.Parameters))
	for _, p := range out.Parameters {
		answered[bareName(aws.ToString(p.Name))] = p
	}
	for _, at := range batch {
		p, ok := answered[bareName(reads[at].name)]
		if !ok {
			errs[at] = &fault.Error{
				Kind: fault.NotFound, What: reads[at].what(), Region: region,
				Why:  "there is no such parameter, version or label",
				Hint: "check the name with its leading slash, the region and the account; names are case-sensitive",
			}
			continue
		}
		if p.Value == nil {
			errs[at] = noValue(reads[at].what(), region)
			continue
		}
		values[at] = value{content: Content(*p.Value), version: strconv.FormatInt(p.Version, 10)}
	}
}

// whatParameters names the parameters of a call that failed as a whole: AWS's own message names the one it refused.
func whatParameters(batch []int, reads []read) string {
	what := reads[batch[0]].what()
	if len(batch) > 1 {
		what += fmt.Sprintf(" and %d more with it", len(batch)-1)
	}
	return what
}
