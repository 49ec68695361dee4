package awsclient

import (
	"context"
	"log/slog"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"

	"secrets-provider-aws/internal/fairqueue"
	"secrets-provider-aws/internal/tracing"
)

// limiter bounds the attempts in flight: in all, and in one region, so that a region that hangs leaves slots to
// those that respond. Tenants share the slots as package fairqueue says. With 32 slots, one tenant has up to 24
// of the 28 of a region, which is what one volume uses; a call of another finds one of the other 4 free and
// need not wait until a slow one ends.
type limiter struct {
	slots   *fairqueue.Queue
	metrics *Metrics
	log     *slog.Logger
}

// spanSlot is the span of a wait for a slot.
const spanSlot = "wait for a slot"

func newLimiter(o Options) *limiter {
	return &limiter{slots: fairqueue.New(int(o.MaxCalls), int(most(o.MaxCalls))), metrics: o.Metrics, log: o.Log}
}

// install puts the limiter behind the retry loop, so that a call that waits for its next attempt holds no slot.
func (l *limiter) install(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("Slot", l.attempt), "Retry", middleware.After)
}

func (l *limiter) attempt(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	middleware.FinalizeOutput, middleware.Metadata, error,
) {
	tenant, region := tenantOf(ctx), awsmiddleware.GetRegion(ctx)
	ticket := fairqueue.Ticket{Tenant: tenant.Queue, Group: region, Priority: fairqueue.Background}
	if tenant.First {
		ticket.Priority = fairqueue.Urgent
	}
	started := time.Now()
	slot, err := l.slots.Acquire(ctx, ticket)
	if err != nil {
		l.metrics.queued(tenant, time.Since(started))
		tracing.Waited(ctx, spanSlot, started, err)
		return middleware.FinalizeOutput{}, middleware.Metadata{}, err
	}
	defer slot.Release()
	l.metrics.queued(tenant, slot.Waited)
	if slot.Waited > 0 {
		tracing.Waited(ctx, spanSlot, started, nil)
		l.log.DebugContext(ctx, "waited for a slot to call AWS",
			"service", awsmiddleware.GetServiceID(ctx), "operation", middleware.GetOperationName(ctx), "region", region,
			"first_mount", tenant.First, "waited", slot.Waited)
	}
	return next.HandleFinalize(ctx, in)
}
