package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// The tenant of fair. Its reads fill the provider's slots for AWS calls for longer than the neighbour mounts.
const (
	fairPods    = 20
	fairSecrets = 100                    // of each pod, and of no other
	fairDelay   = 300 * time.Millisecond // of each AWS call
	fairLead    = time.Second            // before the neighbour mounts: the tenant's reads are queued by then
	fairEvery   = 150 * time.Millisecond
)

var fairSet = secretSet{Prefix: "fair", Count: fairPods * fairSecrets, Bytes: smallSecret}

// measureFair has a neighbour mount while the tenant's pods start.
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

// fair is what the neighbour's mounts took in all repetitions.
type fair struct {
	floor      tries // two bare round trips
	neighbour  tries
	tenant     failures
	tenantTook sample
	tooEarly   bool // the tenant had mounted everything before the neighbour had started its last mount
}

func (f *fair) add(ctx context.Context, w *world) error {
	token, err := w.rehearse(ctx, neighbourSet.names(0, 1))
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

// busyTenant makes the tenant and gives the requests of its pods.
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

// fault is what is wrong with the tenant.
func (f *fair) fault() string {
	if f.tooEarly {
		return "the tenant had mounted everything before the neighbour's last mount: nobody was in its way"
	}
	return f.tenant.fault()
}
