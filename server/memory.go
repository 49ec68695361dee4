package server

import (
	"context"

	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/internal/bytebudget"
)

// memory gives each request an account in the budget of bytes. The account is closed when the request has ended and
// its response is sent, whichever is later: gRPC queues a response and ends the request. It is a stats.Handler.
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

// outgoing is a response with the account that pays for it.
type outgoing struct {
	*v1alpha1.MountResponse
	account *bytebudget.Account
}

// withAccount has the account of ctx's request pay for resp until it is sent.
func withAccount(ctx context.Context, resp any) any {
	mounted, isMount := resp.(*v1alpha1.MountResponse)
	if r, ok := ctx.Value(memoryKey{}).(*requestMemory); ok && isMount && r.account != nil {
		return outgoing{mounted, r.account}
	}
	return resp
}

// codec is gRPC's own for protocol buffers. It learns from gRPC when an outgoing message is no longer needed.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(grpcproto.Name)} }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	out, ok := v.(outgoing)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	data, err := proto.Marshal(out.MountResponse)
	if err != nil {
		return nil, err
	}
	if mem.IsBelowBufferPoolingThreshold(cap(data)) { // gRPC does not tell of those
		return mem.BufferSlice{mem.SliceBuffer(data)}, nil
	}
	out.account.Hold()
	return mem.BufferSlice{mem.NewBuffer(&data, sent{out.account})}, nil
}

// sent is a mem.BufferPool that takes one message back, once it is sent or its connection is gone.
type sent struct{ account *bytebudget.Account }

// Get implements mem.BufferPool. gRPC does not call it for messages of Marshal.
func (sent) Get(length int) *[]byte {
	data := make([]byte, length)
	return &data
}

// Put implements mem.BufferPool.
func (s sent) Put(*[]byte) { s.account.Close() }
