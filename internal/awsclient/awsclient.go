// Package awsclient is how the process talks to AWS: one loaded configuration, one HTTP
// transport, one client for each service and region, a bound on the calls at a time that identities share
// fairly, and retries that are each identity's own.
//
// Everything the AWS SDK reads from its environment holds for every client, STS included:
// AWS_ENDPOINT_URL and its service forms, AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT,
// AWS_CA_BUNDLE, HTTPS_PROXY, NO_PROXY, AWS_REGION.
package awsclient

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
)

// Options configure Load. The zero value of each field means its default.
type Options struct {
	Version         string        // of the provider, for the user agent
	EKSAddonVersion string        // of the EKS add-on, for the user agent; empty outside of one
	MaxCalls        int64         // requests to AWS at a time for the whole process, 7/8 of them to one region; 32
	AttemptTimeout  time.Duration // for one attempt, from connecting to the last byte; 5 s
	MaxAttempts     int           // attempts of one call, see call; 4
	Metrics         *Metrics      // counts every request; nil counts nowhere
	Trace           bool          // make spans of the calls of traced mounts
	Log             *slog.Logger  // gets a line for each attempt, and for each wait for a slot, at debug; nil for none
}

// Load reads the SDK's configuration once for the process. It never looks for credentials
// of its own: each call brings the pod's.
func Load(ctx context.Context, o Options) (aws.Config, error) {
	o = o.withDefaults()
	retries, err := newRetries(o)
	if err != nil {
		return aws.Config{}, err
	}
	// Each is put right behind the retry loop, before those that stand here above it.
	stack := []func(*middleware.Stack) error{
		awsmiddleware.AddUserAgentKeyValue("secrets-provider-aws", o.Version),
		logAttempts(o.Log),
		o.Metrics.count,
		retries.install,
		newLimiter(o).install,
	}
	if o.Trace { // each middleware costs every call something
		stack = append([]func(*middleware.Stack) error{traceCalls}, stack...)
	}
	if o.EKSAddonVersion != "" {
		stack = append(stack, awsmiddleware.AddUserAgentKeyValue("eks-addon", o.EKSAddonVersion))
	}
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithHTTPClient(transport(o)),
		config.WithRetryer(func() aws.Retryer { return standardRetryer(o) }), // for who has no client of the SDK
		config.WithCredentialsProvider(aws.AnonymousCredentials{}),
		config.WithAPIOptions(stack),
		config.WithLogger(logging.Nop{}), // the SDK's wire logs would hold secrets
	)
	if err != nil {
		return aws.Config{}, fmt.Errorf("read the AWS configuration from the environment: %w", err)
	}
	cfg.HTTPClient = wholeRequests{cfg.HTTPClient} // not before: AWS_CA_BUNDLE has to find the SDK's own
	return cfg, nil
}

func (o Options) withDefaults() Options {
	if o.Version == "" {
		o.Version = "0.0.0"
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = 32
	}
	if o.AttemptTimeout == 0 {
		o.AttemptTimeout = 5 * time.Second
	}
	if o.MaxAttempts == 0 {
		o.MaxAttempts = 4
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// transport is the SDK's own, which knows AWS_CA_BUNDLE and the proxy, with warm connections for
// nearly all the calls there may be. One in eight waits for another's: a node that starts has calls
// to STS first and reads then, and a handshake costs more than that wait.
func transport(o Options) *awshttp.BuildableClient {
	perHost := int(most(o.MaxCalls))
	return awshttp.NewBuildableClient().WithTimeout(o.AttemptTimeout).WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = perHost
		t.MaxConnsPerHost = perHost
		t.IdleConnTimeout = 90 * time.Second
	})
}

// most of all the calls there may be is 7/8: what may go to one host, and to one region.
func most(calls int64) int64 { return max(calls*7/8, 1) }

// maxRegions bounds what is kept by region: its name comes from the pod author.
const maxRegions = 64

// Regional keeps one client of a service for each region, or whatever else a region has.
type Regional[Client any] struct {
	open    func(region string) Client
	mu      sync.Mutex
	clients map[string]Client
}

// NewRegional makes clients with open, which is called once for a region.
func NewRegional[Client any](open func(region string) Client) *Regional[Client] {
	return &Regional[Client]{open: open, clients: map[string]Client{}}
}

// In gives the client of a region.
func (r *Regional[Client]) In(region string) Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	client, ok := r.clients[region]
	if !ok {
		if len(r.clients) >= maxRegions {
			clear(r.clients)
		}
		client = r.open(region)
		r.clients[region] = client
	}
	return client
}
