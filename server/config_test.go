package server

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/provider"
)

func TestNewNamesTheMissingField(t *testing.T) {
	good := Config{
		Auth: &auth.Authenticator{}, Fetcher: &provider.Fetcher{}, Log: slog.New(slog.DiscardHandler), Version: "1.2.3",
	}
	tests := map[string]func(*Config){
		"no authenticator": func(c *Config) { c.Auth = nil },
		"no fetcher":       func(c *Config) { c.Fetcher = nil },
		"no logger":        func(c *Config) { c.Log = nil },
		"no version":       func(c *Config) { c.Version = "" },
		"negative limit":   func(c *Config) { c.MountTimeout = -1 },
	}
	for want, change := range tests {
		bad := good
		change(&bad)
		if _, err := New(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error that says %q", err, want)
		}
	}
	for _, change := range []func(*Config){func(c *Config) { c.DrainTimeout = -1 }, func(c *Config) { c.MaxResponse = -1 }} {
		bad := good
		change(&bad)
		if _, err := New(bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	s, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	if s.mountTimeout != 60*time.Second || s.drainTimeout != 20*time.Second || s.maxResponse != 4<<20 {
		t.Errorf("defaults are %s, %s and %d bytes", s.mountTimeout, s.drainTimeout, s.maxResponse)
	}
}

// The budget of a mount ends before the caller's deadline and is at most MountTimeout.
func TestD32_BudgetIsShorterThanTheCallersDeadline(t *testing.T) {
	now := time.Now()
	const most = time.Minute
	tests := map[string]struct{ left, want time.Duration }{
		"the kubelet's two minutes": {2 * time.Minute, most},
		"just above":                {most + time.Second, 54900 * time.Millisecond},
		"ten seconds":               {10 * time.Second, 9 * time.Second},
		"one second":                {time.Second, 900 * time.Millisecond},
		"half a second":             {500 * time.Millisecond, 400 * time.Millisecond},
		"too little for any call":   {50 * time.Millisecond, -50 * time.Millisecond},
		"passed":                    {-time.Second, -1100 * time.Millisecond},
	}
	for name, tc := range tests {
		ctx, cancel := context.WithDeadline(t.Context(), now.Add(tc.left))
		if got := budget(ctx, most, now); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
		cancel()
	}
	if got := budget(t.Context(), most, now); got != most {
		t.Errorf("no deadline: %s, want %s", got, most)
	}
}
