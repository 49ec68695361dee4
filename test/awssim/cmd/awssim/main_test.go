package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"secrets-provider-aws/test/awssim"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	state, ca := filepath.Join(dir, "state.yaml"), filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(state, []byte("roles:\n  - name: app\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--state", state, "--tls", "--ca-out", ca}, in)
		_ = in.Close() // an in-memory pipe
	}()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err, <-ended)
	}
	var got ready
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if got.PodIdentityURL == "" || got.ProxyURL == "" {
		t.Errorf("the line is %s", line)
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	admin := awssim.Admin{URL: got.URL, CA: pem}
	if _, err := admin.Calls(ctx); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := admin.Calls(t.Context()); err == nil {
		t.Error("it still serves after the shutdown")
	}
}

func TestRunRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"an argument":   {"x"},
		"no such flag":  {"--nothing"},
		"no such state": {"--state", "/does/not/exist"},
		"an address":    {"--listen", "256.0.0.1:1"},
		"a CA file":     {"--ca-out", "/does/not/exist/ca.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // if it starts by mistake, it exits at once without an error
			if err := run(ctx, args, io.Discard); err == nil {
				t.Error("it is accepted")
			}
		})
	}
}
