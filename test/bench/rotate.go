package main

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// rotateInterval is the provider's --refresh-interval in the scenario rotate.
const rotateInterval = 2 * time.Second

// measureRotate changes two values. A pod that is republished all the time mounts one. A second pod of the other ServiceAccount
// mounts the other after the change.
func measureRotate(ctx context.Context, l *lab) ([]measurement, error) {
	set := secretSet{Prefix: "rotate", Count: 2, Bytes: smallSecret}
	var seen, first, floor sample
	note := ""
	err := l.inWorld(ctx, awsDelay, func(w *world) error {
		token, err := w.warmUpAWS(ctx, set.names(0, 1))
		if err != nil {
			return err
		}
		return w.withProvider(ctx, func(p *provider) error {
			for i := range l.pick(5, 2) {
				reqs, err := w.requests(
					pod{"running", "a", set.names(0, 1)},
					pod{fmt.Sprintf("old-%d", i), "b", set.names(1, 1)}, pod{fmt.Sprintf("new-%d", i), "b", set.names(1, 1)},
				)
				if err != nil {
					return err
				}
				least, err := w.leastWarm(ctx, token, set.names(0, 1), set.names(1, 1))
				if err != nil {
					return err
				}
				floor.add(least)
				atFirst, later, err := rotateOnce(ctx, w, p, set, reqs, fmt.Sprintf("rotated-%d", i))
				if err != nil {
					return err
				}
				first.add(atFirst)
				seen.add(later)
			}
			note = fmt.Sprintf("rotate: --refresh-interval %s, spread by ± 10 %%; republished every 50 ms", rotateInterval)
			return nil
		}, "--refresh-interval="+rotateInterval.String())
	}, set)
	return []measurement{
		{What: "republish sees it after", Value: seen.median(), Unit: "ms", Note: note},
		{What: "first mount sees it after", Value: first.median(), Unit: "ms", Floor: floor.median()},
	}, err
}

// rotateOnce changes both values. It returns how long the first mount after the change took, and when the republished pod had the
// new value. The first mount must return the new value at once.
func rotateOnce(ctx context.Context, w *world, p *provider, set secretSet, reqs []*v1alpha1.MountRequest, value string) (first, seen time.Duration, err error) {
	running, old, fresh := reqs[0], reqs[1], reqs[2]
	for _, req := range []*v1alpha1.MountRequest{running, old} {
		if _, _, err := p.mount(ctx, req); err != nil {
			return 0, 0, err
		}
	}
	time.Sleep(1100 * time.Millisecond) // pods within one second may share a read
	for i := range set.Count {
		if err := w.aws.putSecret(ctx, set.name(i), value); err != nil {
			return 0, 0, err
		}
	}
	changed := time.Now()
	resp, first, err := p.mount(ctx, fresh)
	if err != nil {
		return 0, 0, err
	}
	if got := content(resp); got != value {
		return 0, 0, fmt.Errorf("a first mount after the change gave %q, not %q", got, value)
	}
	for time.Since(changed) < 3*rotateInterval {
		resp, _, err := p.mount(ctx, running)
		if err != nil {
			return 0, 0, err
		}
		if content(resp) == value {
			return first, time.Since(changed), nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return 0, 0, fmt.Errorf("the republished pod has not seen the change after %s", 3*rotateInterval)
}

// content returns the content of the first file.
func content(resp *v1alpha1.MountResponse) string { return string(resp.GetFiles()[0].GetContents()) }
