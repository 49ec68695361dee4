package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/internal/mountlog"
	"secrets-provider-aws/internal/tracing"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/provider/class"
)

// intercept wraps every request. A panic fails only its own request, an error gets a final code, and each mount
// logs one line. The end of stopping cancels every running request.
func (s *Server) intercept(stopping context.Context) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		started, arrived, caller := time.Now(), s.now(), ctx
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(stopping, cancel)()

		ctx = mountlog.With(ctx, s.requests.Add(1))
		line := &mountLine{}
		isMount := info.FullMethod == v1alpha1.CSIDriverProvider_Mount_FullMethodName
		if isMount {
			ctx, line.span = s.tracer.Mount(ctx)
		}
		resp, err := s.protect(context.WithValue(ctx, lineKey{}, line), req, handle)
		if isMount {
			took := time.Since(started)
			if stopping.Err() != nil && errors.Is(err, context.Canceled) {
				err = shuttingDown()
			}
			err = explainContextError(err)
			gone := stopping.Err() != nil || errors.Is(caller.Err(), context.Canceled)
			phase, changes := s.volumes.record(request{key: line.key, arrived: arrived, result: line.fetched, err: err, gone: err != nil && gone})
			s.metrics.observe(phase, err, took)
			reason := fault.KindOf(err)
			line.endSpan(err)
			err = toStatus(err, line.volume.classRef())
			s.report(line, changes, reason, err)
			s.log.LogAttrs(ctx, level(err), "mount", line.attrs(err, took)...)
			for _, warning := range line.class.Warnings {
				s.log.LogAttrs(ctx, slog.LevelWarn, "SecretProviderClass", slog.String("class", line.volume.classRef()), slog.String("warning", warning.String()))
			}
		}
		if err != nil {
			return nil, err
		}
		return withAccount(ctx, resp), nil
	}
}

// protect calls the handler and turns a panic, here or in a goroutine of the request, into an error.
func (s *Server) protect(ctx context.Context, req any, handle grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if p := (*fault.Panic)(nil); errors.As(err, &p) {
			s.log.LogAttrs(ctx, slog.LevelError, "panic", slog.String("reason", p.Reason), slog.String("stack", string(p.Stack)))
		}
	}()
	defer fault.Recover(&err)
	return handle(ctx, req)
}

// explainContextError replaces a bare context error by a message that helps the user.
func explainContextError(err error) error {
	explained := (*fault.Error)(nil)
	if err != nil && !errors.As(err, &explained) && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return tooLong()
	}
	return err
}

// Log keys, all in one place.
const (
	keyPod            = "pod"
	keyNamespace      = "namespace"
	keyServiceAccount = "service_account"
	keyClass          = "class"
	keyIdentity       = "identity"
	keyRole           = "role"
	keyAssumedRole    = "assumed_role"
	keyRegion         = "region"
	keyObjects        = "objects"
	keyRead           = "read"
	keyCached         = "cached"
	keyStale          = "stale"
	keyFailover       = "failover"
	keyDuration       = "duration"
	keyCode           = "code"
	keyError          = "error"
	keyReason         = "reason"
	keyTraceID        = "trace_id"
)

// mountLine collects the fields of one mount's log line.
type mountLine struct {
	volume   volume
	class    class.Class
	identity auth.Identity // zero until the pod is identified
	key      string        // volume.key, or volume.id until the pod is identified

	fetched provider.Result
	span    *tracing.Span // nil unless the mount is traced
}

type lineKey struct{}

// lineOf returns the log line of the request that ctx belongs to.
func lineOf(ctx context.Context) *mountLine {
	if line, ok := ctx.Value(lineKey{}).(*mountLine); ok {
		return line
	}
	return &mountLine{}
}

func (l *mountLine) attrs(err error, took time.Duration) []slog.Attr {
	attrs := []slog.Attr{
		slog.String(keyNamespace, l.volume.pod.Namespace),
		slog.String(keyPod, l.volume.pod.Name),
		slog.String(keyServiceAccount, l.volume.pod.ServiceAccount),
		slog.String(keyClass, l.volume.className),
		slog.String(keyRole, l.identity.RoleARN),
		slog.String(keyRegion, l.class.Region),
		slog.Int(keyObjects, len(l.class.Objects)),
		slog.Int(keyRead, l.fetched.Read),
		slog.Int(keyCached, l.fetched.Cached),
		slog.Int(keyStale, l.fetched.Stale),
		slog.Int(keyFailover, l.fetched.Failover),
		slog.Duration(keyDuration, took.Round(time.Microsecond)),
		slog.String(keyCode, status.Code(err).String()),
	}
	if l.class.PodIdentity {
		attrs = append(attrs, slog.String(keyIdentity, auth.PodIdentity.String()))
	}
	if l.identity.AssumeRoleARN != "" {
		attrs = append(attrs, slog.String(keyAssumedRole, l.identity.AssumeRoleARN))
	}
	if id := l.span.TraceID(); id != "" {
		attrs = append(attrs, slog.String(keyTraceID, id))
	}
	if err != nil {
		attrs = append(attrs, slog.String(keyError, status.Convert(err).Message()))
	}
	return attrs
}

// level is error for defects and outages, which the operator fixes, and warning for what the pod's owner fixes.
func level(err error) slog.Level {
	switch status.Code(err) {
	case codes.OK:
		return slog.LevelInfo
	case codes.Internal:
		return slog.LevelError
	default:
		return slog.LevelWarn
	}
}

// classRef names the SecretProviderClass in messages.
func (v volume) classRef() string {
	if v.className == "" || v.pod.Namespace == "" {
		return v.className
	}
	return v.pod.Namespace + "/" + v.className
}
