package server_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/server"
	"secrets-provider-aws/test/csidriver"
	"secrets-provider-aws/test/rig"
)

// The socket serves the gRPC health service, for the whole server and for the provider's service.
func TestHealth_ServiceOnTheSocket(t *testing.T) {
	r := rig.New(t, rig.Options{})
	conn, err := csidriver.Dial(r.Socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	for _, service := range []string{"", v1alpha1.CSIDriverProvider_ServiceDesc.ServiceName} {
		got, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("service %q is %s, %v", service, got.GetStatus(), err)
		}
	}
}

// A client that watches the health of the provider does not keep it from stopping.
func TestHealth_WatchEndsWithTheServer(t *testing.T) {
	r := rig.New(t, rig.Options{DrainTimeout: time.Hour})
	conn, err := csidriver.Dial(r.Socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("%s, %v", got.GetStatus(), err)
	}
	r.Running().Terminate()
	if err := r.Running().Wait(); err != nil { // without the end of the stream it waits for an hour
		t.Error(err)
	}
	for err == nil { // it may get the status NOT_SERVING first
		_, err = watch.Recv()
	}
}

// A provider that stops is not ready, but alive until its mounts are done, and its metrics can be read.
func TestD35_DrainingIsNotReady(t *testing.T) {
	g := newGate(t)
	r := rig.New(t, rig.Options{APIServer: g.url, State: dbWorld})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	draining := make(chan struct{})
	served := make(chan error, 1)
	go func() { served <- server.ServeAdmin(ctx, listener, r.Socket(), draining, prometheus.NewRegistry()) }()
	statuses := func() map[string]int {
		got := map[string]int{}
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			resp, err := http.Get("http://" + listener.Addr().String() + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			got[path] = resp.StatusCode
		}
		return got
	}
	mount := startMount(t, r)
	<-g.arrived
	if diff := cmp.Diff(map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200}, statuses()); diff != "" {
		t.Errorf("serving (-want +got):\n%s", diff)
	}
	r.Running().Terminate()
	close(draining)
	awaitClosedSocket(t, r)
	if diff := cmp.Diff(map[string]int{"/healthz": 200, "/readyz": 503, "/metrics": 200}, statuses()); diff != "" {
		t.Errorf("draining (-want +got):\n%s", diff)
	}
	close(g.release)
	if got := <-mount; got.err != nil {
		t.Errorf("the mount in progress failed: %v", got.err)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
