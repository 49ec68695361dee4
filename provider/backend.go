package provider

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/volume"
)

// backend reads objects from the two AWS services. It remembers nothing.
type backend struct {
	secrets    *awsclient.Regional[*secretsmanager.Client]
	parameters *awsclient.Regional[*ssm.Client]
	batches    bool // read secrets with BatchGetSecretValue
}

func newBackend(cfg aws.Config, batch bool) *backend {
	return &backend{
		secrets: awsclient.NewRegional(func(region string) *secretsmanager.Client {
			return secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.Region = region })
		}),
		parameters: awsclient.NewRegional(func(region string) *ssm.Client {
			return ssm.NewFromConfig(cfg, func(o *ssm.Options) { o.Region = region })
		}),
		batches: batch,
	}
}

// result is what AWS gave for one object.
type result struct {
	value volume.Value
	err   error // a *fault.Error
}

// calls shares targets out to calls: each is a list of indexes of targets.
func (b *backend) calls(targets []target) [][]int {
	var calls [][]int
	var parameters, batched []int
	for i, o := range targets {
		switch {
		case o.selected != nil:
			calls = append(calls, []int{i})
		case o.kind == class.SSMParameter:
			parameters = append(parameters, i)
		case b.batches && o.version == "" && o.label == "":
			batched = append(batched, i)
		default:
			calls = append(calls, []int{i})
		}
	}
	calls = append(calls, slices.Collect(slices.Chunk(batched, secretsPerCall))...)
	return append(calls, batchParameters(targets, parameters)...)
}

// call makes one call, for targets of one kind in one region, and gives the result for each.
func (b *backend) call(ctx context.Context, credentials aws.CredentialsProvider, targets []target) []result {
	region, objects := targets[0].region, make([]object, len(targets))
	for i, t := range targets {
		objects[i] = t.object
	}
	switch {
	case targets[0].selected != nil:
		return []result{b.readSelection(ctx, credentials, targets[0])}
	case objects[0].kind == class.SSMParameter:
		return b.readParameters(ctx, credentials, region, objects)
	case len(objects) > 1:
		return b.readSecrets(ctx, credentials, region, objects)
	default:
		return []result{b.readSecret(ctx, credentials, region, objects[0])}
	}
}

// weight is how many calls a call counts as, of those of a volume that run at a time: its response holds more than one
// value, and the memory for a volume's reads is one value for each call.
func (b *backend) weight(targets []target, indexes []int) int64 {
	switch t := targets[indexes[0]]; {
	case t.kind == class.SSMParameter: // ten of these take little more than one secret
		return 1
	case t.selected != nil:
		return secretsPerCall
	default:
		return int64(min(len(indexes), 8))
	}
}
