package auth

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"secrets-provider-aws/internal/fault"
)

// secondAfter is how long STS in the first region may take before the second region is called too.
const secondAfter = time.Second

// inEither calls STS in the first region. If that fails transiently or does not respond within secondAfter, it calls the
// next region too. The first credentials win, and inEither returns their region. A failure that is not transient is
// final, because STS in the other region would refuse too.
func inEither(ctx context.Context, regions []string, call func(context.Context, string) (aws.Credentials, error)) (aws.Credentials, string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // stops the slower call
	type response struct {
		credentials aws.Credentials
		region      string
		err         error
	}
	responses := make(chan response, len(regions)) // has room for the slower response, which nobody reads
	start := func(region string) {
		go func() {
			r := response{region: region}
			defer func() { responses <- r }()
			defer fault.Recover(&r.err)
			r.credentials, r.err = call(ctx, region)
		}()
	}
	slow := time.NewTimer(secondAfter)
	defer slow.Stop()
	start(regions[0])
	pending, others := 1, regions[1:]
	var failures []error
	for pending > 0 {
		select {
		case r := <-responses:
			pending--
			if r.err == nil || fault.KindOf(r.err) != fault.Transient {
				return r.credentials, r.region, r.err
			}
			failures = append(failures, r.err)
		case <-slow.C:
		}
		if len(others) > 0 {
			start(others[0])
			pending, others = pending+1, others[1:]
		}
	}
	return aws.Credentials{}, "", fault.Join(failures)
}
