package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// probeTimeout is shorter than one second, the default timeout of a kubelet probe.
const probeTimeout = 800 * time.Millisecond

// ServeAdmin serves /healthz, /readyz and /metrics on l until ctx ends. Both probes call Version on the socket,
// as the driver does. No response contains data of pods or secrets.
//
// The probes also succeed when another instance has taken over the socket, because the node is served. Once draining
// is closed, this instance is not ready any more. It is alive until its mounts are done, so that nothing kills it.
func ServeAdmin(ctx context.Context, l net.Listener, socketPath string, draining <-chan struct{}, gatherer prometheus.Gatherer) error {
	health := probe("unix:" + socketPath)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", unlessDraining(draining, health, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "ok, draining") // the kubelet may be gone
	}))
	mux.HandleFunc("GET /readyz", unlessDraining(draining, health, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "draining: the provider finishes its mounts and stops", http.StatusServiceUnavailable)
	}))
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	h := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { _ = h.Close() })()
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the admin port: %w", err)
	}
	return nil
}

// unlessDraining serves with one of two handlers.
func unlessDraining(draining <-chan struct{}, serving, stopping http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-draining:
			stopping(w, r)
		default:
			serving(w, r)
		}
	}
}

// probe connects anew for each request: an open connection would still work after the socket is lost.
func probe(target string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
		defer cancel()
		v, err := versionOf(ctx, target)
		if err != nil {
			http.Error(w, "the socket does not respond: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok", v.GetRuntimeName(), v.GetRuntimeVersion()) // the kubelet may be gone
	}
}

// versionOf calls Version on a socket, over a new connection.
func versionOf(ctx context.Context, target string) (*v1alpha1.VersionResponse, error) {
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // nothing was written that could be lost
	return v1alpha1.NewCSIDriverProviderClient(conn).Version(ctx, &v1alpha1.VersionRequest{Version: apiVersion})
}
