package provider

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"golang.org/x/sync/errgroup"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/fault"
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

// read reads objects of one region, up to limit calls at a time, and hands over the result for objects[i] with
// done(i, …), at once and from several goroutines. The error is a panic in one of them.
func (b *backend) read(ctx context.Context, credentials aws.CredentialsProvider, region string, objects []object, limit int, done func(int, value, error)) error {
	var group errgroup.Group
	group.SetLimit(limit)
	for _, call := range b.calls(objects) {
		group.Go(func() (panicked error) {
			growStack()
			defer fault.Recover(&panicked)
			for i, got := range b.call(ctx, credentials, region, pick(objects, call)) {
				done(call[i], got.value, got.err)
			}
			return nil
		})
	}
	return group.Wait()
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

func pick(objects []object, indexes []int) []object {
	picked := make([]object, len(indexes))
	for n, i := range indexes {
		picked[n] = objects[i]
	}
	return picked
}

// growStack makes the goroutine's stack as large as a call of the SDK needs, at once. The call itself would
// copy it three times, with more on it each time.
//
//go:noinline
func growStack() {
	var room [20 << 10]byte
	runtime.KeepAlive(&room)
}

// whatTogether names the objects of a call that failed as a whole: AWS's own message names the one it refused.
func whatTogether(objects []object) string {
	what := objects[0].what()
	if len(objects) > 1 {
		what += fmt.Sprintf(" and %d more with it", len(objects)-1)
	}
	return what
}

// noValue is a response without a value in it.
func noValue(what, region string) error {
	return &fault.Error{
		Kind: fault.Transient, What: what, Region: region,
		Why: "the response holds no value: is a proxy in between?",
	}
}

// readFault explains a read that AWS refused.
func readFault(err error, what, region, action string) error {
	e := fault.FromAWS(err, what, region)
	switch {
	case e.Kind == fault.Denied && strings.Contains(strings.ToLower(e.Message), "kms"), e.Code == "DecryptionFailure", strings.HasPrefix(e.Code, "KMS"):
		e.Hint = "allow kms:Decrypt on the key that encrypts it to the pod's role, in the key's policy too"
	case e.Kind == fault.Denied && strings.Contains(e.Message, "explicit deny"):
		e.Hint = "a policy denies it explicitly: an Allow does not help, remove the Deny"
	case e.Kind == fault.Denied:
		e.Hint = "allow " + action + " on it in a policy of the pod's role"
	case e.Kind == fault.NotFound && strings.Contains(e.Message, "secret value for"):
		e.Hint = "the secret exists; check its versions and staging labels with describe-secret"
	case e.Kind == fault.NotFound:
		e.Hint = "check the name, the region and the account; names are case-sensitive"
	case e.Kind == fault.Rejected && strings.Contains(e.Message, "'versionId'"):
		e.Hint = "objectVersion of a secret is a VersionId as describe-secret shows it, not a number"
	default:
		e.HintRetry()
	}
	return e
}
