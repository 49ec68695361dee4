package server

import (
	"context"
	"math"
	"testing"

	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/provider/class"
)

// fewestAllocations is the least of several measurements of f: whatever else runs in the process counts too, and with the race
// detector a sync.Pool drops some of what it gets.
func fewestAllocations(f func()) float64 {
	fewest := math.Inf(1)
	for range 20 {
		fewest = min(fewest, testing.AllocsPerRun(20, f))
	}
	return fewest
}

// Without a tracer the parts of a mount allocate as much with their spans as without.
func TestTracesOff_AllocateNothing(t *testing.T) {
	kubernetes, err := metadata.NewForConfig(&rest.Config{Host: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	authenticator, err := auth.New(auth.Config{Kubernetes: kubernetes})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{auth: authenticator, maxResponse: 4 << 20}
	files := []provider.File{{Path: "a", Content: make([]byte, 64), Version: "1"}}
	account := bytebudget.New(1 << 40).Open("tenant")
	ctx := context.WithValue(t.Context(), lineKey{}, &mountLine{})
	var resp *v1alpha1.MountResponse
	for _, tt := range []struct {
		name         string
		plain, spans func()
	}{
		{
			"encode",
			func() {
				resp, _ = encode(files, 0o644, s.maxResponse)
				_ = account.Grow(ctx, 1)
			},
			func() { resp, _ = s.encode(ctx, files, 0o644, account) },
		},
		{
			"the mount itself",
			func() {},
			func() {
				ctx, span := s.tracer.Mount(ctx)
				(&mountLine{span: span}).endSpan(ctx.Err())
				endSpan(span, nil)
			},
		},
		{
			"identify",
			func() { _, _, err = s.auth.Identify(ctx, auth.Pod{}, nil, auth.IdentityOptions{}) },
			func() { _, _, err = s.identify(ctx, volume{}, class.Class{}) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if plain, spans := fewestAllocations(tt.plain), fewestAllocations(tt.spans); spans != plain {
				t.Errorf("%v allocations with spans, %v without", spans, plain)
			}
		})
	}
	if resp == nil || err == nil {
		t.Error("nothing was measured")
	}
}
