package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// kubeletTimeout is how long the kubelet waits for a mount.
const kubeletTimeout = 2 * time.Minute

// The kubelet's backoff after failed mounts: the first pause, doubled after each failure, up to the longest.
// Source: Kubernetes, pkg/util/goroutinemap/exponentialbackoff.
const (
	kubeletFirstPause   = 500 * time.Millisecond
	kubeletLongestPause = 2*time.Minute + 2*time.Second
)

// kubeletPause returns the pause after this many failures (at least 1).
func kubeletPause(failures int) time.Duration {
	pause := kubeletFirstPause
	for range failures - 1 {
		pause = min(2*pause, kubeletLongestPause)
	}
	return pause
}

// mountAsKubelet retries a mount until it succeeds, with the kubelet's backoff and timeout. It records each failure in failed. It
// returns an error only when ctx ends.
func (p *provider) mountAsKubelet(ctx context.Context, req *v1alpha1.MountRequest, failed *failures) error {
	for failures := 1; ; failures++ {
		err := p.mountOnce(ctx, req)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil: // the mount did not fail, the scenario ended
			return ctx.Err()
		}
		failed.add(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(kubeletPause(failures)):
		}
	}
}

// mountOnce mounts with the kubelet's timeout.
func (p *provider) mountOnce(ctx context.Context, req *v1alpha1.MountRequest) error {
	ctx, cancel := context.WithTimeout(ctx, kubeletTimeout)
	defer cancel()
	_, _, err := p.mount(ctx, req)
	return err
}

// failures counts failed mounts. Its methods may be called concurrently.
type failures struct {
	mu       sync.Mutex
	count    int
	first    error
	notFinal error // the first with a code that is not final
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if f.first == nil {
		f.first = err
	}
	if f.notFinal == nil && notFinal[status.Code(err)] {
		f.notFinal = err
	}
}

func (f *failures) total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// fault describes the failures for a scenario in which no mount may fail. Empty: none failed.
func (f *failures) fault() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == 0 {
		return ""
	}
	return fmt.Sprintf("%d mounts failed, the first with: %v", f.count, f.first)
}

// finalFault describes failures with a code that is not final, for a scenario in which mounts may fail. Empty: none.
func (f *failures) finalFault() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.notFinal == nil {
		return ""
	}
	return fmt.Sprintf("a code that is not final: %v", f.notFinal)
}

// notFinal holds the codes after which the kubelet treats a volume as possibly mounted.
var notFinal = map[codes.Code]bool{
	codes.Canceled: true, codes.DeadlineExceeded: true, codes.Unavailable: true, codes.ResourceExhausted: true, codes.Aborted: true,
}
