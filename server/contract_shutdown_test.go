package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/server"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// outcome is the result of a mount.
type outcome struct {
	resp *v1alpha1.MountResponse
	err  error
}

// startMount mounts dbSecret in the background.
func startMount(t *testing.T, r *rig.Rig) <-chan outcome {
	t.Helper()
	req := r.Request(rig.Mount{Parameters: inRegion(), Objects: dbSecret})
	done := make(chan outcome, 1)
	go func() {
		// The driver's client waits for a server without a limit.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		resp, err := r.Client.Mount(ctx, req)
		done <- outcome{resp, err}
	}()
	return done
}

// awaitClosedSocket waits until the server refuses new connections.
func awaitClosedSocket(t *testing.T, r *rig.Rig) {
	t.Helper()
	for dial(r.Socket()) == nil {
		runtime.Gosched()
	}
}

// gate is a Kubernetes API server that blocks its first request until release is closed.
type gate struct {
	url              string
	arrived, release chan struct{}
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{arrived: make(chan struct{}), release: make(chan struct{})}
	var requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			close(g.arrived)
			select {
			case <-g.release:
			case <-r.Context().Done():
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"annotations":{%q:%q}}}`, rig.RoleAnnotation, rig.RoleARN)
	}))
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

func TestD9_ShutdownLetsARunningMountFinish(t *testing.T) {
	g := newGate(t)
	r := rig.New(t, rig.Options{State: dbWorld, APIServer: g.url})
	done := startMount(t, r)
	<-g.arrived
	r.Running().Terminate()
	awaitClosedSocket(t, r)
	close(g.release)
	got := <-done
	if got.err != nil || len(got.resp.GetFiles()) != 1 {
		t.Errorf("the running mount did not finish: %v", got.err)
	}
	if err := r.Running().Wait(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]int{"sts:AssumeRoleWithWebIdentity": 1, "secretsmanager:GetSecretValue": 1}, r.AWS.Calls()); diff != "" {
		t.Errorf("AWS calls, all of them after SIGTERM (-want +got):\n%s", diff)
	}
}

// The server cancels a hanging mount after the drain timeout and returns a final code. The message tells the
// pod's owner that the provider shut down.
func TestD9_ShutdownEndsAHangingMountWithAFinalCode(t *testing.T) {
	for _, operation := range []string{"sts:AssumeRoleWithWebIdentity", "secretsmanager:GetSecretValue"} {
		t.Run(operation, func(t *testing.T) {
			r := rig.New(t, rig.Options{State: dbWorld, DrainTimeout: time.Millisecond, AWS: awsclient.Options{AttemptTimeout: time.Hour}})
			service, _, _ := strings.Cut(operation, ":")
			r.AWS.Inject(awssim.Fault{Service: service, Hang: true})
			done := startMount(t, r)
			awaitCalls(t, r, operation)
			r.Running().Terminate()
			wantStatus(t, (<-done).err, codes.Internal, "the provider is shutting down", "the kubelet retries automatically")
			if err := r.Running().Wait(); err != nil {
				t.Error(err)
			}
			if got := r.AWS.Calls()[operation]; got != 1 {
				t.Errorf("%d calls of %s, want 1", got, operation)
			}
		})
	}
}

// A SIGTERM before the first connection is a normal shutdown.
func TestD9_ShutdownBeforeTheFirstConnection(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	s, err := server.New(server.Config{
		Auth: &auth.Authenticator{}, Fetcher: &provider.Fetcher{}, Log: slog.New(slog.DiscardHandler), Version: rig.Version,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if err := s.Serve(ended, listen(t, shortDir(t))); err != nil {
			t.Fatal(err)
		}
	}
}
