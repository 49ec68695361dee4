package awsclient

import (
	"context"
	"errors"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go/middleware"

	"secrets-provider-aws/internal/tracing"
)

// traceCalls makes a span of each call, from its first wait to its last attempt, and an event of each attempt that
// failed. The spans carry what logAttempts logs, and nothing that a call carries: an error of the SDK may repeat parts
// of the request, so a span has its code only.
//
// It stands for otelaws, which also starts spans for calls outside of a mount and takes OpenTelemetry into this package.
func traceCalls(stack *middleware.Stack) error {
	call := middleware.InitializeMiddlewareFunc("TraceCall", func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		if tracing.From(ctx) == nil {
			return next.HandleInitialize(ctx, in)
		}
		service, operation := awsmiddleware.GetServiceID(ctx), middleware.GetOperationName(ctx)
		ctx, span := tracing.StartCall(ctx, service+"."+operation)
		span.String("rpc.system", "aws-api")
		span.String(tracing.KeyService, service)
		span.String(tracing.KeyMethod, operation)
		span.String(tracing.KeyRegion, awsmiddleware.GetRegion(ctx))
		out, meta, err := next.HandleInitialize(ctx, in)
		if attempts, ok := retry.GetAttemptResults(meta); ok {
			span.Int("attempts", len(attempts.Results))
		}
		if id := requestID(meta, err); id != "" {
			span.String("aws.request_id", id)
		}
		span.End(resultCode(err), nil)
		return out, meta, err
	})
	attempt := middleware.FinalizeMiddlewareFunc("TraceAttempts", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		out, meta, err := next.HandleFinalize(ctx, in)
		if err != nil {
			tracing.From(ctx).Event("attempt failed", resultCode(err))
		}
		return out, meta, err
	})
	return errors.Join(stack.Initialize.Add(call, middleware.After), stack.Finalize.Insert(attempt, "Retry", middleware.After))
}

// requestID is AWS's id of the last attempt, for AWS support and CloudTrail; empty where AWS did not respond.
func requestID(meta middleware.Metadata, err error) string {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.ServiceRequestID()
	}
	id, _ := awsmiddleware.GetRequestIDMetadata(meta)
	return id
}
