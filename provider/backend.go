package provider

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/provider/class"
)

// backend reads objects from the two AWS services. It remembers nothing.
type backend struct {
	secrets    *awsclient.Regional[*secretsmanager.Client]
	parameters *awsclient.Regional[*ssm.Client]
	batch      bool // read secrets with BatchGetSecretValue
}

func newBackend(cfg aws.Config, batch bool) *backend {
	return &backend{
		secrets: awsclient.NewRegional(func(region string) *secretsmanager.Client {
			return secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.Region = region })
		}),
		parameters: awsclient.NewRegional(func(region string) *ssm.Client {
			return ssm.NewFromConfig(cfg, func(o *ssm.Options) { o.Region = region })
		}),
		batch: batch,
	}
}

// result is what AWS gave for one object.
type result struct {
	value value
	err   error // a *fault.Error
}

// calls shares objects out to calls: each is a list of indexes of objects.
func (b *backend) calls(objects []object) [][]int {
	var calls [][]int
	var parameters, batched []int
	for i, o := range objects {
		switch {
		case o.kind == class.SSMParameter:
			parameters = append(parameters, i)
		case b.batch && o.version == "" && o.label == "":
			batched = append(batched, i)
		default:
			calls = append(calls, []int{i})
		}
	}
	calls = append(calls, slices.Collect(slices.Chunk(batched, secretsPerCall))...)
	return append(calls, batchParameters(objects, parameters)...)
}

// call makes one call, for objects of one kind, and gives the result for each.
func (b *backend) call(ctx context.Context, credentials aws.CredentialsProvider, region string, objects []object) []result {
	switch {
	case objects[0].kind == class.SSMParameter:
		return b.readParameters(ctx, credentials, region, objects)
	case len(objects) > 1:
		return b.readSecrets(ctx, credentials, region, objects)
	default:
		return []result{b.readSecret(ctx, credentials, region, objects[0])}
	}
}
