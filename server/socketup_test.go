package server_test

import (
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"secrets-provider-aws/server"
	"secrets-provider-aws/test/rig"
)

// The metric calls the socket anew at each scrape.
func TestI13_SocketShowsInMetrics(t *testing.T) {
	r := rig.New(t, rig.Options{})
	registry := prometheus.NewRegistry()
	registry.MustRegister(server.SocketUp(r.Socket()))
	want := func(value float64) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if got := families[0].GetMetric()[0].GetGauge().GetValue(); got != value {
			t.Errorf("%s is %v, want %v", families[0].GetName(), got, value)
		}
	}
	want(1)
	r.Running().Terminate()
	if err := r.Running().Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.Socket()); err == nil {
		t.Error("the socket is still there, the test shows nothing")
	}
	want(0)
}
