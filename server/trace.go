package server

import (
	"context"

	"google.golang.org/grpc/status"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/internal/tracing"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/provider/class"
)

// endSpan ends the span of a part of a mount.
func endSpan(span *tracing.Span, err error) {
	switch {
	case span == nil: // KindOf allocates
	case err == nil:
		span.End(tracing.OK, nil)
	default:
		span.End(fault.KindOf(err).String(), err)
	}
}

// endSpan ends the span of the mount. err is that of the mount, before it becomes a status.
func (l *mountLine) endSpan(err error) {
	if l.span == nil {
		return
	}
	l.span.String("k8s.namespace.name", l.volume.pod.Namespace)
	l.span.String("k8s.pod.name", l.volume.pod.Name)
	l.span.String("k8s.serviceaccount.name", l.volume.pod.ServiceAccount)
	l.span.String("secretproviderclass.name", l.volume.className)
	l.span.String(tracing.KeyRegion, l.class.Region)
	l.span.Int("objects", len(l.class.Objects))
	l.span.String("rpc.response.status_code", status.Code(toStatus(err, "")).String())
	endSpan(l.span, err)
}

// identify is auth's Identify with a span.
func (s *Server) identify(ctx context.Context, v volume, spc class.Class) (_ auth.Identity, _ auth.Token, err error) {
	ctx, span := tracing.Start(ctx, "identify")
	defer func() { endSpan(span, err) }()
	return s.auth.Identify(ctx, v.pod, v.tokens, auth.IdentityOptions{
		PodIdentity: spc.PodIdentity, RoleARN: spc.RoleARN, AssumeRoleARN: spc.AssumeRoleARN, ExternalID: spc.ExternalID,
	})
}

// fetch is provider's Fetch with a span.
func (s *Server) fetch(ctx context.Context, req provider.Request) (got provider.Result, err error) {
	ctx, span := tracing.Start(ctx, "fetch")
	defer func() {
		span.Int("read", got.Read)
		span.Int("cached", got.Cached)
		span.Int("stale", got.Stale)
		span.Int("failover", got.Failover)
		endSpan(span, err)
	}()
	return s.fetcher.Fetch(ctx, req)
}
