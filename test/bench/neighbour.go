package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// neighbourMounts is how often the neighbour of a disruptive tenant mounts. Its pods share one ServiceAccount with its own role.
// Each pod has one secret that is new to the provider.
const neighbourMounts = 20

var neighbourSet = secretSet{Prefix: "neighbour", Count: neighbourMounts, Bytes: smallSecret}

// neighbour creates the neighbour and returns the requests of its pods.
func (w *world) neighbour(ctx context.Context) ([]*v1alpha1.MountRequest, error) {
	if err := w.ownRole(ctx, "neighbour"); err != nil {
		return nil, err
	}
	pods := make([]pod, neighbourMounts)
	for i := range pods {
		pods[i] = pod{fmt.Sprintf("neighbour-%d", i), "neighbour", neighbourSet.names(i, 1)}
	}
	return w.requests(pods...)
}

// tries collects mounts without retries.
type tries struct {
	took   sample // includes failed mounts
	failed failures
}

// tryEach starts the mounts one after another, with a fixed pause between starts, and waits for all of them. It calls lastStarted
// as soon as the last mount has started.
func (p *provider) tryEach(ctx context.Context, reqs []*v1alpha1.MountRequest, every time.Duration, into *tries, lastStarted func()) error {
	inTime, cancel := context.WithTimeout(ctx, kubeletTimeout)
	defer cancel()
	took := make([]time.Duration, len(reqs))
	var running sync.WaitGroup
	for i, req := range reqs {
		if i > 0 {
			time.Sleep(every)
		}
		running.Go(func() {
			var err error
			if _, took[i], err = p.mount(inTime, req); err != nil {
				into.failed.add(err)
			}
		})
	}
	lastStarted()
	running.Wait()
	for _, d := range took {
		into.took.add(d)
	}
	return ctx.Err()
}

// measurements compares the neighbour's mounts with those of floor. note belongs to the first measurement.
func (t *tries) measurements(floor *tries, note string) []measurement {
	return []measurement{
		{What: "neighbour's p50", Value: t.took.median(), Unit: "ms", Floor: floor.took.median(), Note: note},
		{What: "neighbour's max", Value: t.took.most(), Unit: "ms", Floor: floor.took.most()},
		{What: "failed mounts", Value: float64(t.failed.total()), Fault: t.failed.fault()},
	}
}
