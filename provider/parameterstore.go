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

// batchParameters shares flights out to calls, each at most once per parameter: the answer names the
// parameter, and only newer services say which version or label of it was meant.
func batchParameters(flights []*flight) [][]*flight {
	var batches [][]*flight
	var names []map[string]bool
	for _, fl := range flights {
		name := bareName(fl.key.name)
		fits := slices.IndexFunc(names, func(taken map[string]bool) bool {
			return len(taken) < parametersPerCall && !taken[name]
		})
		if fits < 0 {
			fits = len(batches)
			batches = append(batches, nil)
			names = append(names, map[string]bool{})
		}
		batches[fits] = append(batches[fits], fl)
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

// readParameters reads one batch.
func (f *Fetcher) readParameters(ctx context.Context, credentials aws.CredentialsProvider, region string, reads []read) []answer {
	names := make([]string, len(reads))
	for i, r := range reads {
		names[i] = r.selector()
	}
	answers := make([]answer, len(reads))
	out, err := f.parameters.In(region).GetParameters(ctx, &ssm.GetParametersInput{
		Names:          names,
		WithDecryption: aws.Bool(true),
	}, func(o *ssm.Options) { o.Credentials = credentials })
	if err != nil {
		err = readFault(err, whatTogether(reads), region, SSMParameter.Action())
		for i := range answers {
			answers[i].err = err
		}
		return answers
	}
	answered := make(map[string]types.Parameter, len(out.Parameters))
	for _, p := range out.Parameters {
		answered[bareName(aws.ToString(p.Name))] = p
	}
	for i, r := range reads {
		p, ok := answered[bareName(r.name)]
		if !ok {
			answers[i].err = &fault.Error{
				Kind: fault.NotFound, What: r.what(), Region: region,
				Why:  "there is no such parameter, version or label",
				Hint: "check the name with its leading slash, the version or label, the region and the account; names are case-sensitive",
			}
			continue
		}
		if p.Value == nil {
			answers[i].err = noValue(r.what(), region)
			continue
		}
		answers[i].value = value{content: Content(*p.Value), version: strconv.FormatInt(p.Version, 10)}
	}
	return answers
}

// whatTogether names the objects of a call that failed as a whole: AWS's own message names the one it refused.
func whatTogether(reads []read) string {
	what := reads[0].what()
	if len(reads) > 1 {
		what += fmt.Sprintf(" and %d more with it", len(reads)-1)
	}
	return what
}
