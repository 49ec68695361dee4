package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// The tenant of the scenario fair. Its reads fill the provider's concurrency limit for longer than the neighbour mounts.
const (
	fairPods    = 20
	fairSecrets = 100                    // per pod, not shared
	fairDelay   = 300 * time.Millisecond // per AWS call
	fairLead    = time.Second            // before the neighbour mounts, so that the tenant's reads are queued
	fairEvery   = 150 * time.Millisecond
)

var fairSet = secretSet{Prefix: "fair", Count: fairPods * fairSecrets, Bytes: smallSecret}

// measureFair measures a neighbour's mounts while the tenant's pods start.
func measureFair(ctx context.Context, l *lab) ([]measurement, error) {
	var f fair
	for range l.pick(3, 1) {
		if err := l.inWorld(ctx, fairDelay, func(w *world) error { return f.add(ctx, w) }, fairSet, neighbourSet); err != nil {
			return nil, err
		}
	}
	out := f.neighbour.measurements(&f.floor, fmt.Sprintf(
		"of fair: %d mounts of the neighbour, one each %s, the first of which share the STS call; AWS takes %s per call; the tenant's %d pods × %d secrets took %.1f s",
		len(f.neighbour.took), fairEvery, fairDelay, fairPods, fairSecrets, f.tenantTook.median()/1000))
	return append(out, measurement{What: "tenant's failed mounts", Value: float64(f.tenant.total()), Fault: f.fault()}), nil
}

// fair collects the results of all repetitions.
type fair struct {
	floor      tries // two bare round trips
	neighbour  tries
	tenant     failures
	tenantTook sample
	tooEarly   bool // the tenant finished before the neighbour started its last mount
}

func (f *fair) add(ctx context.Context, w *world) error {
	token, err := w.warmUpAWS(ctx, neighbourSet.names(0, 1))
	if err != nil {
		return err
	}
	bare, err := w.newBare()
	if err != nil {
		return err
	}
	least, err := bare.cold(ctx, token, neighbourSet.names(0, 1))
	bare.close()
	if err != nil {
		return err
	}
	f.floor.took.add(least)
	neighbour, err := w.neighbour(ctx)
	if err != nil {
		return err
	}
	tenant, err := w.busyTenant(ctx)
	if err != nil {
		return err
	}
	return w.withProvider(ctx, func(p *provider) error { return f.mount(ctx, p, tenant, neighbour) })
}

// busyTenant creates the tenant and returns the requests of its pods.
func (w *world) busyTenant(ctx context.Context) ([]*v1alpha1.MountRequest, error) {
	if err := w.ownRole(ctx, "busy"); err != nil {
		return nil, err
	}
	pods := make([]pod, fairPods)
	for i := range pods {
		pods[i] = pod{fmt.Sprintf("busy-%d", i), "busy", fairSet.names(i*fairSecrets, fairSecrets)}
	}
	return w.requests(pods...)
}

func (f *fair) mount(ctx context.Context, p *provider, tenant, neighbour []*v1alpha1.MountRequest) error {
	var (
		running sync.WaitGroup
		pending atomic.Int64
	)
	started := time.Now()
	for _, req := range tenant {
		pending.Add(1)
		running.Go(func() {
			defer pending.Add(-1)
			if err := p.mountOnce(ctx, req); err != nil {
				f.tenant.add(err)
			}
		})
	}
	time.Sleep(fairLead)
	err := p.tryEach(ctx, neighbour, fairEvery, &f.neighbour, func() { f.tooEarly = f.tooEarly || pending.Load() == 0 })
	running.Wait()
	f.tenantTook.add(time.Since(started))
	return err
}

// fault describes a failure of the tenant, or an invalid measurement. Empty: none.
func (f *fair) fault() string {
	if f.tooEarly {
		return "the tenant finished before the neighbour's last mount: there was no contention"
	}
	return f.tenant.fault()
}
