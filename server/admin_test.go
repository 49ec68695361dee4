package server_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"secrets-provider-aws/server"
	"secrets-provider-aws/test/rig"
)

// The probes fail once no new connection reaches the socket, although connections from before still work.
func TestD35_ProbesConnectAnew(t *testing.T) {
	r := rig.New(t, rig.Options{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- server.ServeAdmin(ctx, listener, r.Socket(), make(chan struct{}), prometheus.NewRegistry())
	}()
	want := func(status int) {
		t.Helper()
		for _, path := range []string{"/healthz", "/readyz"} {
			resp, err := http.Get("http://" + listener.Addr().String() + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != status {
				t.Errorf("%s gives %d, want %d", path, resp.StatusCode, status)
			}
		}
	}
	want(http.StatusOK)
	// A file in place of the directory keeps the provider from restoring its socket.
	away := r.Dir + "-away"
	if err := os.Rename(r.Dir, away); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if dial(r.Socket()) == nil {
		t.Error("a new connection reaches the socket, the test shows nothing")
	}
	want(http.StatusServiceUnavailable)
	if err := os.Remove(r.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, r.Dir); err != nil && !os.IsExist(err) { // the provider may have made it again
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(away) })
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
