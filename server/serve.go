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

// cancelTimeout is how long Serve waits for cancelled mounts to answer. With the default of
// Config.DrainTimeout before it, it is less than the 30 s that Kubernetes gives a pod.
const cancelTimeout = 5 * time.Second

// Serve answers on socket until ctx ends, then stops accepting, lets running mounts finish for a
// bounded time, and removes the socket if it is still this one. Until then it keeps the socket there.
func (s *Server) Serve(ctx context.Context, socket *Socket) error {
	stopping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g := grpc.NewServer(
		grpc.Creds(newPeerCredentials(s.log)),
		grpc.UnaryInterceptor(s.intercept(stopping)),
		grpc.MaxRecvMsgSize(16<<20), // the default of 4 MiB would answer with ResourceExhausted
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.MaxHeaderListSize(16<<10), // the driver's headers take less than 1 KiB
	)
	v1alpha1.RegisterCSIDriverProviderServer(g, s)
	healthy := health.NewServer()
	healthpb.RegisterHealthServer(g, healthy)

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
	keeper.Wait() // or it would put back what is removed below
	healthy.Shutdown()
	drained := make(chan struct{})
	go func() {
		g.GracefulStop()
		close(drained)
	}()
	// A cancelled mount answers with a final code; only one that ignores even that is cut off.
	if !within(drained, s.drainTimeout) {
		stop()
		if !within(drained, cancelTimeout) {
			g.Stop()
		}
	}
	err := <-served
	if errors.Is(err, grpc.ErrServerStopped) { // ctx ended before the first connection could be taken
		err = nil
	}
	return errors.Join(err, socket.Remove())
}

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
