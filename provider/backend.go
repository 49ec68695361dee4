package provider

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"

	"secrets-provider-aws/provider/class"
)

// backend reads objects from the two AWS services. It remembers nothing.
type backend struct {
	secrets    secretsManager
	parameters parameterStore
	batches    bool // read secrets with BatchGetSecretValue
}

func newBackend(cfg aws.Config, batch bool) *backend {
	return &backend{secrets: newSecretsManager(cfg), parameters: newParameterStore(cfg), batches: batch}
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
		return b.parameters.read(ctx, credentials, region, objects)
	case len(objects) > 1:
		return b.secrets.readBatch(ctx, credentials, region, objects)
	default:
		return []result{b.secrets.read(ctx, credentials, region, objects[0])}
	}
}

// readSelection reads all members of a selection, page after page, and stops once they are more than it may have or
// than the volume can hold.
func (b *backend) readSelection(ctx context.Context, credentials aws.CredentialsProvider, t target) result {
	s := &selecting{target: t}
	var err error
	switch {
	case t.kind == class.SSMParameter:
		err = b.parameters.selectPath(ctx, credentials, s)
	case len(t.selected.Tags) > 0:
		err = b.secrets.selectTagged(ctx, credentials, s)
	default:
		err = b.secrets.selectNamed(ctx, credentials, s)
	}
	return s.result(err)
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
