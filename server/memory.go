package server

import (
	"context"

	"google.golang.org/grpc/stats"

	"secrets-provider-aws/internal/bytebudget"
)

// memory gives each request an account in the budget of bytes, and closes it when the response has been sent, which
// is after the handler has returned. It is a stats.Handler.
type memory struct{ budget *bytebudget.Budget }

// requestMemory is the account of one request, nil until it is opened.
type requestMemory struct{ account *bytebudget.Account }

type memoryKey struct{}

// TagRPC implements stats.Handler.
func (memory) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, memoryKey{}, &requestMemory{})
}

// HandleRPC implements stats.Handler. End is the last event of a request.
func (memory) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if _, ended := event.(*stats.End); !ended {
		return
	}
	if r, ok := ctx.Value(memoryKey{}).(*requestMemory); ok && r.account != nil {
		r.account.Close()
	}
}

// TagConn implements stats.Handler.
func (memory) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (memory) HandleConn(context.Context, stats.ConnStats) {}

// open opens the account of the request that ctx belongs to. Its tenant is the pod's ServiceAccount: a pod author
// may choose among many identities, and gets no more memory for it.
func (m memory) open(ctx context.Context, v volume) *bytebudget.Account {
	account := m.budget.Open(v.tenant())
	if r, ok := ctx.Value(memoryKey{}).(*requestMemory); ok {
		r.account = account
	}
	return account
}
