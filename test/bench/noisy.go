package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/awssim"
)

// The tenant of the scenario noisy. AWS throttles every read of its secrets.
const (
	noisyPods    = 10
	noisySecrets = 10              // per pod, not shared
	noisyLead    = 3 * time.Second // before the neighbour mounts, so that throttling takes effect
	noisyEvery   = 200 * time.Millisecond
)

var noisySet = secretSet{Prefix: "noisy", Count: noisyPods * noisySecrets, Bytes: smallSecret}

// measureNoisy measures a neighbour's mounts, first on a quiet node, then while AWS throttles the tenant.
func measureNoisy(ctx context.Context, l *lab) ([]measurement, error) {
	var n noisy
	for range l.pick(3, 1) {
		if err := l.inWorld(ctx, awsDelay, func(w *world) error { return n.add(ctx, w) }, noisySet, neighbourSet); err != nil {
			return nil, err
		}
	}
	out := n.loud.measurements(&n.quiet, fmt.Sprintf(
		"of noisy: %d mounts of the neighbour, one each %s; the floor is the same without the noise; of the tenant, %d mounts were refused and %d reads throttled",
		len(n.loud.took), noisyEvery, n.refused.total(), n.throttled))
	return append(out, measurement{What: "tenant's mounts", Value: float64(n.mounted.Load()), Fault: n.fault()}), nil
}

// noisy collects the results of all repetitions.
type noisy struct {
	quiet, loud tries
	refused     failures     // mounts of the tenant
	mounted     atomic.Int64 // of the tenant
	throttled   int          // reads while the neighbour mounted
}

func (n *noisy) add(ctx context.Context, w *world) error {
	if _, err := w.warmUpAWS(ctx, neighbourSet.names(0, 1)); err != nil {
		return err
	}
	neighbour, err := w.neighbour(ctx)
	if err != nil {
		return err
	}
	tenant, err := w.throttledTenant(ctx)
	if err != nil {
		return err
	}
	err = w.withProvider(ctx, func(p *provider) error { return p.tryEach(ctx, neighbour, noisyEvery, &n.quiet, func() {}) })
	if err != nil {
		return err
	}
	return w.withProvider(ctx, func(p *provider) error { return n.addLoud(ctx, w, p, tenant, neighbour) })
}

// throttledTenant creates the tenant and returns the requests of its pods.
func (w *world) throttledTenant(ctx context.Context) ([]*v1alpha1.MountRequest, error) {
	if err := w.ownRole(ctx, "noisy"); err != nil {
		return nil, err
	}
	for _, name := range noisySet.names(0, noisySet.Count) {
		if err := w.aws.inject(ctx, awssim.Fault{Service: "secretsmanager", Object: name, Code: "ThrottlingException", Message: "Rate exceeded"}); err != nil {
			return nil, err
		}
	}
	pods := make([]pod, noisyPods)
	for i := range pods {
		pods[i] = pod{fmt.Sprintf("noisy-%d", i), "noisy", noisySet.names(i*noisySecrets, noisySecrets)}
	}
	return w.requests(pods...)
}

func (n *noisy) addLoud(ctx context.Context, w *world, p *provider, tenant, neighbour []*v1alpha1.MountRequest) error {
	noise, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for _, req := range tenant {
		running.Go(func() {
			if p.mountAsKubelet(noise, req, &n.refused) == nil {
				n.mounted.Add(1)
			}
		})
	}
	time.Sleep(noisyLead)
	before, err := w.aws.outcomes(ctx)
	if err != nil {
		return err
	}
	if err := p.tryEach(ctx, neighbour, noisyEvery, &n.loud, func() {}); err != nil {
		return err
	}
	after, err := w.aws.outcomes(ctx)
	n.throttled += after[opRead].throttled - before[opRead].throttled
	return err
}

// fault describes why the tenant was not noisy as planned. Empty: it was.
func (n *noisy) fault() string {
	switch {
	case n.mounted.Load() > 0:
		return "volumes were mounted although AWS throttles their reads"
	case n.throttled == 0:
		return "AWS throttled nothing while the neighbour mounted"
	}
	return n.refused.finalFault()
}
