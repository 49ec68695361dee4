package awsclient

import (
	"context"
	"log/slog"
	"strings"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// logAttempts logs each attempt of a call at debug. It names the operation and never what the call carries.
func logAttempts(log *slog.Logger) func(*middleware.Stack) error {
	attempts := middleware.FinalizeMiddlewareFunc("LogAttempts", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		if !log.Enabled(ctx, slog.LevelDebug) {
			return next.HandleFinalize(ctx, in)
		}
		started := time.Now()
		out, meta, err := next.HandleFinalize(ctx, in)
		attempt := ""
		if r, ok := in.Request.(*smithyhttp.Request); ok { // the SDK sets "attempt=1; max=4" after this middleware
			attempt, _, _ = strings.Cut(strings.TrimPrefix(r.Header.Get("Amz-Sdk-Request"), "attempt="), ";")
		}
		log.LogAttrs(ctx, slog.LevelDebug, "AWS call", slog.String("service", awsmiddleware.GetServiceID(ctx)),
			slog.String("operation", middleware.GetOperationName(ctx)), slog.String("region", awsmiddleware.GetRegion(ctx)),
			slog.String("attempt", attempt), slog.Duration("duration", time.Since(started).Round(time.Microsecond)),
			slog.String("request_id", requestID(meta, err)), slog.String("outcome", resultCode(err)))
		return out, meta, err
	})
	return func(stack *middleware.Stack) error {
		return stack.Finalize.Insert(attempts, "Retry", middleware.After)
	}
}
