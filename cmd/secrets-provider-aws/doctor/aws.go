package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/net/http/httpproxy"

	"secrets-provider-aws/internal/fault"
)

// response is how a service of AWS responds to a request without a signature.
type response struct {
	err  error
	skew *time.Duration // of the local clock, positive if it is fast; nil if the response has no date
}

// aws calls each service in each region without credentials. A refusal by AWS shows that the endpoint, the proxy and
// the certificates are right, and its date shows whether the clock is.
func (d *doctor) aws(ctx context.Context) []Check {
	if d.ProviderVolume == "" { // an administrator's computer has another network than the node
		return nil
	}
	regions, check := d.region(ctx)
	checks := []Check{check}
	if len(regions) == 0 {
		return append(checks, Check{"aws", NotChecked, "the region is not known", "run doctor with --region"})
	}
	var skew *time.Duration
	for _, region := range regions {
		responses := d.callServices(ctx, region)
		for i, service := range services {
			checks = append(checks, service.judge(region, responses[i].err))
			if skew == nil {
				skew = responses[i].skew
			}
		}
	}
	return append(append(checks, clock(skew)), d.agent(ctx)...)
}

// service is one of the services that the provider calls.
type service struct {
	name    string
	call    func(ctx context.Context, cfg aws.Config) error
	refuses []string // the codes with which it refuses a request without a signature, or with a token that is none
}

// noToken is no token. STS says so before it looks at the role.
const noToken = "doctor"

var services = []service{
	{"sts", func(ctx context.Context, cfg aws.Config) error {
		_, err := sts.NewFromConfig(cfg).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: aws.String("arn:aws:iam::000000000000:role/doctor"), RoleSessionName: aws.String("doctor"), WebIdentityToken: aws.String(noToken),
		})
		return err
	}, []string{"InvalidIdentityToken"}},
	{"secretsmanager", func(ctx context.Context, cfg aws.Config) error {
		_, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("doctor")})
		return err
	}, unsigned},
	{"ssm", func(ctx context.Context, cfg aws.Config) error {
		_, err := ssm.NewFromConfig(cfg).GetParameters(ctx, &ssm.GetParametersInput{Names: []string{"doctor"}})
		return err
	}, unsigned},
}

// unsigned are the codes of a request without a signature ("Common Errors" in the references of both services).
var unsigned = []string{"MissingAuthenticationToken", "MissingAuthenticationTokenException", "IncompleteSignature", "IncompleteSignatureException", "UnrecognizedClientException"}

// callServices calls all services of a region at the same time, in the order of services.
func (d *doctor) callServices(ctx context.Context, region string) []response {
	cfg := d.AWS.Copy()
	cfg.Region, cfg.Credentials = region, aws.AnonymousCredentials{}
	cfg.RetryMaxAttempts = 1
	responses := make([]response, len(services))
	var calls sync.WaitGroup
	for i, s := range services {
		calls.Go(func() {
			ctx, cancel := d.limited(ctx)
			defer cancel()
			sent := d.Now()
			err := s.call(ctx, cfg)
			received := d.Now()
			responses[i] = response{err, skewOf(err, sent.Add(received.Sub(sent)/2))}
		})
	}
	calls.Wait()
	return responses
}

// skewOf compares the local time in the middle of a call with the date of the response.
func skewOf(err error, local time.Time) *time.Duration {
	var answered *awshttp.ResponseError
	if !errors.As(err, &answered) || answered.Response == nil {
		return nil
	}
	date, err := http.ParseTime(answered.Response.Header.Get("Date"))
	if err != nil {
		return nil
	}
	skew := local.Sub(date)
	return &skew
}

// judge says whether a service responded as AWS does.
func (s service) judge(region string, err error) Check {
	name := s.name
	where := s.name + " in " + region
	if err == nil {
		return Check{name, Failure, where + " accepts a request without a signature: it is not AWS", "check AWS_ENDPOINT_URL and the proxy"}
	}
	e := fault.FromAWS(err, "", "")
	for _, code := range s.refuses {
		if e.Code == code {
			return Check{name, OK, where + " responds, and refuses a request without credentials", ""}
		}
	}
	const network = "check the route, the security groups and the VPC endpoints of the node, the network policy, and HTTPS_PROXY, NO_PROXY, AWS_ENDPOINT_URL and AWS_CA_BUNDLE of the provider"
	switch {
	case e.Code == "RegionDisabledException":
		return Check{name, Failure, where + " is not active: " + fault.Foreign(e.Error()), "activate STS in this region in the role's account"}
	case e.Code != "" && e.Kind == fault.Transient:
		return Check{name, Failure, where + " responds with an error: " + fault.Foreign(e.Error()), "try again; if it lasts, see the AWS Health Dashboard"}
	case e.Code != "":
		return Check{name, Warning, where + " responds in an unusual way: " + fault.Foreign(e.Error()), "if it is a VPC endpoint, check its policy"}
	}
	return Check{name, Failure, where + " cannot be reached" + target(err) + ": " + e.Error(), network}
}

// target names the host that a failed request went to, and the proxy in between, without the proxy's credentials.
func target(err error) string {
	var failed *url.Error
	if !errors.As(err, &failed) {
		return ""
	}
	to, err := url.Parse(failed.URL)
	if err != nil {
		return ""
	}
	text := " at " + to.Host
	if proxy, err := httpproxy.FromEnvironment().ProxyFunc()(to); err == nil && proxy != nil {
		text += " through the proxy " + proxy.Host
	}
	return text
}

// The limits of the clock's error. AWS refuses signatures that are 5 minutes off ("Signature Version 4", time stamps).
const (
	skewWarning = 30 * time.Second
	skewFailure = 4 * time.Minute
)

func clock(skew *time.Duration) Check {
	const name = "clock"
	const cure = "synchronise the node's clock: chronyc tracking, or timedatectl"
	if skew == nil {
		return Check{name, NotChecked, "no service of AWS responded with its time", ""}
	}
	off := fmt.Sprintf("the node's clock is %s ahead of AWS", skew.Abs().Round(time.Second))
	if *skew < 0 {
		off = fmt.Sprintf("the node's clock is %s behind AWS", skew.Abs().Round(time.Second))
	}
	switch {
	case skew.Abs() >= skewFailure:
		return Check{name, Failure, off + ": AWS refuses requests that are 5 minutes off, and tokens look expired", cure}
	case skew.Abs() >= skewWarning:
		return Check{name, Warning, off + ": AWS refuses requests that are 5 minutes off", cure}
	}
	return Check{name, OK, "the node's clock agrees with AWS", ""}
}
