package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

func TestKubeletPauses(t *testing.T) {
	got := map[int]time.Duration{}
	for _, failures := range []int{1, 2, 3, 8, 9, 100} {
		got[failures] = kubeletPause(failures)
	}
	want := map[int]time.Duration{
		1: 500 * time.Millisecond, 2: time.Second, 3: 2 * time.Second, 8: 64 * time.Second, 9: 122 * time.Second, 100: 122 * time.Second,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFailures(t *testing.T) {
	var f failures
	if f.fault() != "" || f.finalFault() != "" || f.total() != 0 {
		t.Errorf("without a failure: %q, %q, %d", f.fault(), f.finalFault(), f.total())
	}
	f.add(status.Error(codes.Internal, "first"))
	if f.fault() == "" || f.finalFault() != "" {
		t.Errorf("a final code: %q, %q", f.fault(), f.finalFault())
	}
	f.add(status.Error(codes.Unavailable, "second"))
	f.add(errors.New("third"))
	const want = "a code that is not final: rpc error: code = Unavailable desc = second"
	if f.finalFault() != want || f.total() != 3 {
		t.Errorf("got %q and %d, want %q and 3", f.finalFault(), f.total(), want)
	}
}

// failing is a provider whose first mounts fail.
type failing struct {
	v1alpha1.CSIDriverProviderClient
	left int
}

func (f *failing) Mount(context.Context, *v1alpha1.MountRequest, ...grpc.CallOption) (*v1alpha1.MountResponse, error) {
	if f.left > 0 {
		f.left--
		return nil, status.Error(codes.Internal, "not yet")
	}
	return &v1alpha1.MountResponse{Files: []*v1alpha1.File{{Path: "a"}}}, nil
}

func TestMountAsKubelet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		var failed failures
		if err := (&provider{client: &failing{left: 3}}).mountAsKubelet(t.Context(), nil, &failed); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took != 3500*time.Millisecond || failed.total() != 3 {
			t.Errorf("mounted after %s and %d failures, want 3.5s and 3", took, failed.total())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var failed failures
		err := (&provider{client: &failing{left: 1000}}).mountAsKubelet(ctx, nil, &failed)
		if !errors.Is(err, context.DeadlineExceeded) || failed.total() != 7 { // at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s
			t.Errorf("got %v after %d failures, want the deadline after 7", err, failed.total())
		}
	})
}
