package auth

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"secrets-provider-aws/internal/fault"
)

// secondAfter is how long STS of the first region may take before the second region's is asked too.
const secondAfter = time.Second

// inEither asks STS of the first region and, once that has failed transiently or has been silent for a
// second, of the next one too. The first credentials win, with the region that gave them. A refusal is
// final, wherever it comes from: STS of the other region would say the same.
func inEither(ctx context.Context, regions []string, ask func(context.Context, string) (aws.Credentials, error)) (aws.Credentials, string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the slower one
	type answer struct {
		credentials aws.Credentials
		region      string
		err         error
	}
	answers := make(chan answer, len(regions)) // the slower one's goes nowhere
	begin := func(region string) {
		go func() {
			a := answer{region: region}
			defer func() { answers <- a }()
			defer fault.Recover(&a.err)
			a.credentials, a.err = ask(ctx, region)
		}()
	}
	silent := time.NewTimer(secondAfter)
	defer silent.Stop()
	begin(regions[0])
	underWay, others := 1, regions[1:]
	var failures []error
	for underWay > 0 {
		select {
		case a := <-answers:
			underWay--
			if a.err == nil || fault.KindOf(a.err) != fault.Transient {
				return a.credentials, a.region, a.err
			}
			failures = append(failures, a.err)
		case <-silent.C:
		}
		if len(others) > 0 {
			begin(others[0])
			underWay, others = underWay+1, others[1:]
		}
	}
	return aws.Credentials{}, "", fault.Join(failures)
}
