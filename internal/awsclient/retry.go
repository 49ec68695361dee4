package awsclient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/maypok86/otter/v2"
)

const (
	// firstBackoff, doubled with each throttled attempt of a call up to maxBackoff, bounds the wait before the next.
	firstBackoff = 250 * time.Millisecond
	minBackoff   = 50 * time.Millisecond
	maxBackoff   = 2 * time.Second
	// maxRetryAfter bounds how long one response can hold up the calls of an identity.
	maxRetryAfter = time.Minute
	// spare is how long before its deadline a call stops to wait, so that its error goes out.
	spare = 100 * time.Millisecond
	// maxStates is far more identities, services and regions than a node has.
	maxStates = 4096
)

// stateKey is what retry state is kept by. What one identity suffers at one service in one region slows or
// fails nothing else.
type stateKey struct{ tenant, service, region string }

// state is the retry state of a stateKey.
type state struct {
	*pace
	// standard counts the retries after failures other than throttling: a quota of 500 tokens, of which a retry
	// takes 5 or 10 and a success gives some back.
	standard *retry.Standard
}

// retries makes the retryers of calls. It keeps a bounded number of states, those used last.
type retries struct {
	options Options
	states  *otter.Cache[stateKey, *state]
}

func newRetries(o Options) (*retries, error) {
	states, err := otter.New(&otter.Options[stateKey, *state]{
		MaximumSize: maxStates,
		Executor:    func(task func()) { task() },
	})
	if err != nil {
		return nil, fmt.Errorf("make the cache of retry states: %w", err)
	}
	return &retries{options: o, states: states}, nil
}

func (r *retries) state(ctx context.Context) *state {
	key := stateKey{tenantOf(ctx).Key, awsmiddleware.GetServiceID(ctx), awsmiddleware.GetRegion(ctx)}
	if s, ok := r.states.GetIfPresent(key); ok {
		return s
	}
	s, added := r.states.SetIfAbsent(key, &state{newPace(), standardRetryer(r.options)})
	if added {
		r.options.Metrics.retryStates(r.states.EstimatedSize())
	}
	return s
}

// standardRetryer is the SDK's own, which takes no long waits: a pod is waiting.
func standardRetryer(o Options) *retry.Standard {
	return retry.NewStandard(func(s *retry.StandardOptions) {
		s.MaxAttempts = o.MaxAttempts
		s.MaxBackoff = maxBackoff
		s.Retryables = append(s.Retryables, retry.IsErrorRetryableFunc(tooManyRequests))
	})
}

// throttles tell that AWS wants fewer calls.
var throttles = retry.IsErrorThrottles(append([]retry.IsErrorThrottle{retry.IsErrorThrottleFunc(tooManyRequests)}, retry.DefaultThrottles...))

// tooManyRequests finds the HTTP status that says so, whatever the code beside it.
func tooManyRequests(err error) aws.Ternary {
	if status(err) == http.StatusTooManyRequests {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// status is that of the response, or 0 where there was none.
func status(err error) int {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) {
		return 0
	}
	return response.HTTPStatusCode()
}

func throttled(err error) bool { return throttles.IsErrorThrottle(err) == aws.TrueTernary }

// install puts a call of its own into the SDK's retry loop, which is made anew for each call of an operation.
func (r *retries) install(stack *middleware.Stack) error {
	m, _ := stack.Finalize.Get("Retry")
	loop, ok := m.(*retry.Attempt)
	if !ok {
		return fmt.Errorf("the retry loop of the AWS SDK is a %T", m)
	}
	c := &call{states: r.state, maxAttempts: r.options.MaxAttempts}
	if err := stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("Outcome", c.attempt), "Retry", middleware.After); err != nil {
		return err
	}
	_, err := stack.Finalize.Swap("Retry", retry.NewAttemptMiddleware(c, smithyhttp.RequestCloner, func(a *retry.Attempt) {
		a.LogAttempts, a.OperationMeter = loop.LogAttempts, loop.OperationMeter
		a.ClientSkew, a.DisableClockSkewCorrection = loop.ClientSkew, loop.DisableClockSkewCorrection
	}))
	return err
}

// call decides on the attempts of one call. It is an aws.RetryerV2, used by one goroutine, that waits where it has
// a context: before an attempt.
//
//   - A throttled attempt of a first mount is repeated while there is time, after a random wait that grows, at
//     the pace of the identity.
//   - Any other failure that passes is repeated as the SDK does, up to MaxAttempts in all. So is a throttled
//     attempt of a republish, as its pod has its files, and of a call without a deadline. MaxAttempts 1
//     repeats nothing.
//   - A wait that would end after the deadline is not begun: the call fails at once, with what AWS has said.
type call struct {
	states      func(context.Context) *state
	maxAttempts int

	state     *state    // of the tenant, service and region; set by the first attempt
	throttles int       // attempts that AWS throttled
	failures  int       // attempts that count against maxAttempts
	again     time.Time // when the next attempt may be sent
	last      error     // of the last attempt
}

// Beside the error of the last attempt: why there was no other.
var (
	errNoTime     = errors.New("no time for another attempt")
	errNoAttempts = errors.New("no attempts left")
)

// GetAttemptToken waits until an attempt may be sent.
func (c *call) GetAttemptToken(ctx context.Context) (func(error) error, error) {
	if c.state == nil {
		c.state = c.states(ctx)
	}
	if c.again.IsZero() && !c.state.limited() {
		return c.state.standard.GetAttemptToken(ctx) // a success gives a little of the quota back
	}
	early, cancel := withSpare(ctx)
	defer cancel()
	if (c.again.IsZero() || sleepUntil(early, c.again)) && c.state.wait(early) {
		return c.state.standard.GetAttemptToken(ctx)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.last == nil {
		c.last = c.state.lastCause()
	}
	return nil, errors.Join(c.last, errNoTime)
}

// withSpare ends a little before ctx does.
func withSpare(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-spare))
	}
	return context.WithCancel(ctx)
}

// GetRetryToken decides whether a call that failed with err is repeated, and when.
func (c *call) GetRetryToken(ctx context.Context, err error) (func(error) error, error) {
	c.last = err
	throttled := throttled(err)
	if throttled {
		c.throttles++
	}
	if _, hasDeadline := ctx.Deadline(); !throttled || !hasDeadline || !tenantOf(ctx).First || c.maxAttempts == 1 {
		c.failures++
	}
	if c.failures >= c.maxAttempts {
		return nil, errNoAttempts
	}
	release, delay := done, backoff(c.throttles)
	if !throttled { // else the pace is the stricter bound
		var err1, err2 error
		release, err1 = c.state.standard.GetRetryToken(ctx, err)
		delay, err2 = c.state.standard.RetryDelay(c.failures, err)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
	}
	c.again = time.Now().Add(max(delay, retryAfter(err)))
	early, cancel := withSpare(ctx)
	defer cancel()
	if deadline, ok := early.Deadline(); ok && c.again.After(deadline) {
		return nil, errNoTime
	}
	return release, nil
}

// attempt tells the state how an attempt went.
func (c *call) attempt(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	out middleware.FinalizeOutput, meta middleware.Metadata, err error,
) {
	sent := time.Now()
	out, meta, err = next.HandleFinalize(ctx, in)
	switch {
	case throttled(err):
		c.state.throttled(sent, err, retryAfter(err))
	case err == nil || status(err) != 0 && status(err) < http.StatusInternalServerError:
		c.state.succeeded()
	case throttled(c.last) && errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = c.last // it says more than that this attempt was cut short
	}
	return out, meta, err
}

// IsErrorRetryable implements aws.Retryer.
func (c *call) IsErrorRetryable(err error) bool { return c.state.standard.IsErrorRetryable(err) }

// MaxAttempts implements aws.Retryer: GetRetryToken counts.
func (c *call) MaxAttempts() int { return 0 }

// RetryDelay implements aws.Retryer: GetAttemptToken waits.
func (c *call) RetryDelay(int, error) (time.Duration, error) { return 0, nil }

// GetInitialToken implements aws.Retryer.
func (c *call) GetInitialToken() func(error) error { return done }

func done(error) error { return nil }

// backoff is a random wait after so many throttled attempts ("full jitter"), but never none.
func backoff(throttles int) time.Duration {
	most := min(firstBackoff<<min(throttles, 10), maxBackoff)
	return minBackoff + rand.N(most-minBackoff) //nolint:gosec // spreads load, guards nothing
}

// retryAfter is how long AWS, or a proxy in between, asks to wait: X-Amz-Retry-After in milliseconds, or
// Retry-After in seconds or as a date (RFC 9110, 10.2.3). It is 0 without either, and maxRetryAfter at most.
func retryAfter(err error) time.Duration {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) || response.Response == nil {
		return 0
	}
	var after time.Duration
	header := response.Response.Header
	if ms, err := strconv.ParseInt(header.Get("X-Amz-Retry-After"), 10, 32); err == nil {
		after = time.Duration(ms) * time.Millisecond
	} else if s, err := strconv.ParseInt(header.Get("Retry-After"), 10, 32); err == nil {
		after = time.Duration(s) * time.Second
	} else if date, err := http.ParseTime(header.Get("Retry-After")); err == nil {
		after = time.Until(date)
	}
	return min(max(after, 0), maxRetryAfter)
}
