package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// cancelTimeout is how long Serve waits for cancelled mounts to return. Together with the default of
// Config.DrainTimeout it is shorter than the 30 s that Kubernetes gives a pod.
const cancelTimeout = 5 * time.Second

// Serve serves on socket until ctx ends. It restores the socket file when someone removes it. At the end it stops
// accepting, gives running mounts DrainTimeout to finish, and removes the file if it still belongs to socket.
func (s *Server) Serve(ctx context.Context, socket *Socket) error {
	stopping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g := grpc.NewServer(
		grpc.Creds(newPeerCredentials(s.log)),
		grpc.UnaryInterceptor(s.intercept(stopping)),
		grpc.StreamInterceptor(endStreams(ctx)),
		grpc.StatsHandler(s.memory),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(16<<20), // above the default of 4 MiB gRPC returns ResourceExhausted, which is not final
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.MaxHeaderListSize(16<<10), // the driver's headers take less than 1 KiB
	)
	v1alpha1.RegisterCSIDriverProviderServer(g, s)
	healthy := health.NewServer()
	healthpb.RegisterHealthServer(g, healthy)
	healthy.SetServingStatus(v1alpha1.CSIDriverProvider_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)

	keeping, release := context.WithCancel(ctx)
	defer release()
	var keeper sync.WaitGroup
	keeper.Go(func() { socket.Keep(keeping, s.log) })
	served := make(chan error, 1)
	go func() { served <- g.Serve(socket) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", socket.Path(), err)
	case <-ctx.Done():
	}
	keeper.Wait() // otherwise it could restore the file that is removed below
	healthy.Shutdown()
	drained := make(chan struct{})
	go func() {
		g.GracefulStop()
		close(drained)
	}()
	// A cancelled mount returns a final code. Stop cuts off only a mount that ignores its context.
	if !within(drained, s.drainTimeout) {
		stop()
		if !within(drained, cancelTimeout) {
			g.Stop()
		}
	}
	err := <-served
	if errors.Is(err, grpc.ErrServerStopped) { // ctx ended before Serve accepted a connection
		err = nil
	}
	return errors.Join(err, socket.Remove())
}

// endStreams ends every stream when ctx ends. The only ones are the Watch calls of the health service, which otherwise
// never end, so that the provider would wait for them until its drain timeout.
func endStreams(ctx context.Context) grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		ending, cancel := context.WithCancel(stream.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		return handle(server, endingStream{stream, ending})
	}
}

// endingStream is a stream with another context.
type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s endingStream) Context() context.Context { return s.ctx }

func within(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}
