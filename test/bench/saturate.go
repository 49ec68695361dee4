package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// The load of saturate.
const (
	saturateClients  = 16
	saturateAccounts = 10
	saturateSecrets  = 5 // of each pod, and of no other
)

// measureSaturate mounts one new pod after another, as fast as it goes.
func measureSaturate(ctx context.Context, l *lab) ([]measurement, error) {
	mounts := l.pick(6000, 1500)
	set := secretSet{Prefix: "fresh", Count: mounts * saturateSecrets, Bytes: smallSecret}
	var out []measurement
	err := l.inWorld(ctx, 0, func(w *world) error {
		if _, err := w.rehearse(ctx, set.names(0, 1)); err != nil {
			return err
		}
		pods := make([]pod, mounts)
		for i := range pods {
			pods[i] = pod{fmt.Sprintf("pod-%d", i), fmt.Sprintf("account-%d", i%saturateAccounts), set.names(i*saturateSecrets, saturateSecrets)}
		}
		reqs, err := w.requests(pods...)
		if err != nil {
			return err
		}
		return w.withProvider(ctx, func(p *provider) (err error) {
			out, err = saturate(ctx, w, p, reqs)
			return err
		})
	}, set)
	return out, err
}

func saturate(ctx context.Context, w *world, p *provider, reqs []*v1alpha1.MountRequest) ([]measurement, error) {
	runtime.GC() // of what preparing has left
	pids := [...]int{p.pid, w.aws.pid, os.Getpid()}
	var before, used [len(pids)]time.Duration
	var err error
	for i, pid := range pids {
		if before[i], err = cpuTime(pid); err != nil {
			return nil, err
		}
	}
	sockets := watchSockets(p.pid)
	took, err := p.mountAll(ctx, reqs, saturateClients)
	open := sockets()
	if err != nil {
		return nil, err
	}
	for i, pid := range pids {
		after, err := cpuTime(pid)
		if err != nil {
			return nil, err
		}
		used[i] = after - before[i]
	}
	peak, err := residentMiB(p.pid, residentPeak)
	count := float64(len(reqs))
	cpu := millis(used[0])
	return []measurement{
		{
			What: "mounts", Value: count / took.Seconds(), Unit: "/s",
			Note: fmt.Sprintf("of saturate: %d mounts in %.1f s; CPU for each: provider %.2f ms, simulator %.2f ms, client %.2f ms; of the provider's own, 2 cores would do %.0f mounts/s",
				len(reqs), took.Seconds(), cpu/count, millis(used[1])/count, millis(used[2])/count, 2000*count/cpu),
		},
		{What: "CPU per mount", Value: cpu / count, Unit: "ms"},
		{What: "peak RSS", Value: peak, Unit: "MiB"},
		{What: "sockets", Value: float64(open)},
	}, err
}
