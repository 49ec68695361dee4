package auth

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/internal/tracing"
)

const (
	// renewBefore is how long before their expiry credentials are renewed.
	renewBefore = 5 * time.Minute
	// maxSessions is more than the identities of any node.
	maxSessions = 4096
	// maxExchange is the timeout of one exchange. The exchange outlives the mount request that started it.
	maxExchange = 30 * time.Second
)

// CredentialOptions say how to get the credentials of an identity. They are not part of the identity.
type CredentialOptions struct {
	Regions     []string // of STS: one, or the primary and the failover region
	AddressType string   // of the Pod Identity agent: "ipv4", "ipv6", or empty for the first that responds
}

// Session provides the credentials of one identity. It gets new ones only when none are valid, and once for all
// concurrent callers. It prints as the identity.
type Session struct {
	a       *Authenticator
	id      Identity
	token   Token
	options CredentialOptions
}

// Session returns a session of id that exchanges token for credentials.
func (a *Authenticator) Session(id Identity, token Token, options CredentialOptions) *Session {
	return &Session{a: a, id: id, token: token, options: options}
}

// String names the identity and shows no credential.
func (s *Session) String() string { return s.id.String() }

// LogValue names the identity and shows no credential.
func (s *Session) LogValue() slog.Value { return slog.StringValue(s.id.String()) }

// Retrieve implements aws.CredentialsProvider. Errors are *fault.Error.
func (s *Session) Retrieve(ctx context.Context) (aws.Credentials, error) {
	known := s.a.sessions
	if c, ok := known.live(s.id); ok {
		s.a.metrics.WithLabelValues(sourceCache, "ok").Inc()
		if s.a.log.Enabled(ctx, slog.LevelDebug) {
			s.a.log.LogAttrs(ctx, slog.LevelDebug, "credentials", slog.String("from", sourceCache), slog.Time("expires", c.Expires))
		}
		return c, nil
	}
	traced, span := tracing.Start(ctx, "credentials")
	span.String("from", s.id.issuer())
	exchanged := known.exchanges.DoChan(s.id.Key(), func() (_ any, err error) {
		defer fault.Recover(&err)
		if c, ok := known.live(s.id); ok { // another exchange has just completed
			return c, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(traced), maxExchange)
		defer cancel()
		// Whoever begins it, a first mount can wait for the exchange too.
		ctx = awsclient.WithTenant(ctx, awsclient.Tenant{Key: s.id.Key(), Queue: s.id.Namespace + "/" + s.id.ServiceAccount, First: true})
		started := s.a.now()
		c, err := s.a.exchange(ctx, s.id, s.token, s.options)
		s.a.countExchange(s.id.issuer(), err)
		s.a.log.LogAttrs(ctx, slog.LevelDebug, "credentials", slog.String("from", s.id.issuer()), slog.Duration("duration", s.a.now().Sub(started)),
			slog.String("outcome", outcome(err)), slog.Time("expires", c.Expires))
		if err != nil {
			return nil, err
		}
		known.cache.Set(s.id, c)
		return c, nil
	})
	select {
	case r := <-exchanged:
		c, _ := r.Val.(aws.Credentials) // nil with an error
		span.Bool("shared", r.Shared)
		span.End(outcome(r.Err), r.Err)
		return c, r.Err
	case <-ctx.Done():
		span.End(fault.Transient.String(), nil)
		return aws.Credentials{}, &fault.Error{
			Kind: fault.Transient, What: ownWhat(s.id), Region: s.options.Regions[0],
			Why: "no response in time", Hint: fault.RetryHint, Cause: ctx.Err(),
		}
	}
}

// Forget drops the credentials, because AWS no longer accepts them.
func (s *Session) Forget() { s.a.sessions.cache.Invalidate(s.id) }

// exchange exchanges token for credentials of id: those of its second role or, if it has none, of its own role. With
// a second role, the credentials of the first are not cached. Errors are *fault.Error.
func (a *Authenticator) exchange(ctx context.Context, id Identity, token Token, options CredentialOptions) (aws.Credentials, error) {
	var (
		own       aws.Credentials
		responded = options.Regions[0]
		err       error
	)
	if id.Mode == PodIdentity {
		own, err = a.agent.credentials(ctx, id, token, options.AddressType)
	} else {
		own, responded, err = inEither(ctx, options.Regions, func(ctx context.Context, region string) (aws.Credentials, error) {
			return a.webIdentity(ctx, id, token, region)
		})
	}
	if err != nil || id.AssumeRoleARN == "" {
		return own, err
	}
	// The region that has just responded comes first: the other may still be unhealthy.
	regions := append([]string{responded}, slices.DeleteFunc(slices.Clone(options.Regions), func(r string) bool { return r == responded })...)
	c, _, err := inEither(ctx, regions, func(ctx context.Context, region string) (aws.Credentials, error) {
		return a.assumeRole(ctx, id, own, region)
	})
	return c, err
}

// issuer names the source of new credentials.
func (i Identity) issuer() string {
	if i.Mode == PodIdentity {
		return sourceAgent
	}
	return sourceSTS
}

// outcome names the result of a call, for the log and traces: ok, or the kind of its error.
func outcome(err error) string {
	if err == nil {
		return tracing.OK
	}
	return fault.KindOf(err).String()
}

// ownWhat names the credentials that are missing, in messages.
func ownWhat(id Identity) string {
	if id.Mode == PodIdentity {
		return agentWhat(id)
	}
	return webIdentityWhat(id)
}

// sessions caches credentials by identity, until shortly before they expire.
type sessions struct {
	cache     *otter.Cache[Identity, aws.Credentials]
	exchanges singleflight.Group
	now       func() time.Time
}

func newSessions(now func() time.Time) (*sessions, error) {
	s := &sessions{now: now}
	var err error
	s.cache, err = otter.New(&otter.Options[Identity, aws.Credentials]{
		MaximumSize: maxSessions,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[Identity, aws.Credentials]) time.Duration {
			return s.keep(e.Value)
		}),
		Clock:    clock{now},
		Executor: func(task func()) { task() },
	})
	if err != nil {
		return nil, fmt.Errorf("make the credential cache: %w", err)
	}
	return s, nil
}

func (s *sessions) live(id Identity) (aws.Credentials, bool) { return s.cache.GetIfPresent(id) }

// keep returns how long credentials are cached: until renewBefore their expiry, minus a random part of a minute so that
// a node does not renew all of them at once. Credentials that last less than 10 minutes are cached for half of that time.
func (s *sessions) keep(c aws.Credentials) time.Duration {
	left := c.Expires.Sub(s.now())
	spread := time.Duration(rand.Int64N(int64(time.Minute))) //nolint:gosec // spreads load, guards nothing
	return max(left-renewBefore-spread, left/2, 0)
}

// clock lets a test set the time of a cache.
type clock struct{ now func() time.Time }

func (c clock) NowNano() int64                        { return c.now().UnixNano() }
func (c clock) Tick(d time.Duration) <-chan time.Time { return time.Tick(d) }
