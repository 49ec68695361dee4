package awsclient_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"secrets-provider-aws/internal/awsclient"
)

// A program that answers in place of AWS cannot make the metrics grow, nor have them show what it was sent.
func TestT56_CodesOfOthersAreBounded(t *testing.T) {
	metrics := awsclient.NewMetrics()
	var n atomic.Int64
	a := &account{delay: oneCall, respond: func(request) response {
		code := fmt.Sprint("Code", n.Add(1))
		if n.Load()%2 == 0 {
			code = "token eyJhbGciOi " + code
		}
		return response{status: http.StatusBadRequest, code: code}
	}}
	cfg := a.config(t, awsclient.Options{MaxAttempts: 1, Metrics: metrics})
	synctest.Test(t, func(t *testing.T) {
		for range 400 {
			if err := readSecret(as(t.Context(), "tenant"), signedAs(cfg, "tenant")); err == nil {
				t.Fatal("the read succeeded")
			}
		}
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if strings.Contains(label.GetValue(), "eyJhbGciOi") {
					t.Errorf("label %s has what the response said: %q", label.GetName(), label.GetValue())
				}
				if label.GetName() == "code" {
					codes++
				}
			}
		}
	}
	if codes < 60 || codes > 65 {
		t.Errorf("%d codes, want at most 64 and one for the others", codes)
	}
}
