package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// The load of the scenario saturate.
const (
	saturateClients  = 16
	saturateAccounts = 10
	saturateSecrets  = 5 // per pod, not shared
)

// saturateMounts is the number of mounts after which the figures of AWS's provider were taken.
const saturateMounts = 2400

// measureSaturate mounts new pods as fast as possible.
func measureSaturate(ctx context.Context, l *lab) ([]measurement, error) {
	mounts := l.pick(saturateMounts, saturateMounts/2)
	set := secretSet{Prefix: "fresh", Count: mounts * saturateSecrets, Bytes: smallSecret}
	var all load
	err := l.inWorld(ctx, 0, func(w *world) error {
		if _, err := w.warmUpAWS(ctx, set.names(0, 1)); err != nil {
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
		for range l.pick(5, 2) {
			if err := w.withProvider(ctx, func(p *provider) error { return all.add(ctx, w, p, reqs) }); err != nil {
				return err
			}
		}
		return nil
	}, set)
	return all.measurements(mounts), err
}

// load collects the results, one entry per repetition.
type load struct {
	perSecond, peak, sockets sample
	provider, aws, client    sample // CPU per mount, in milliseconds
}

func (l *load) add(ctx context.Context, w *world, p *provider, reqs []*v1alpha1.MountRequest) error {
	runtime.GC() // collect garbage of the preparation
	pids := [...]int{p.pid, w.aws.pid, os.Getpid()}
	var before [len(pids)]time.Duration
	var err error
	for i, pid := range pids {
		if before[i], err = cpuTime(pid); err != nil {
			return err
		}
	}
	sockets := watchSockets(p.pid)
	took, err := p.mountAll(ctx, reqs, saturateClients)
	open := sockets()
	if err != nil {
		return err
	}
	for i, into := range []*sample{&l.provider, &l.aws, &l.client} {
		after, err := cpuTime(pids[i])
		if err != nil {
			return err
		}
		into.add((after - before[i]) / time.Duration(len(reqs)))
	}
	peak, err := residentMiB(p.pid, residentPeak)
	l.perSecond = append(l.perSecond, float64(len(reqs))/took.Seconds())
	l.peak = append(l.peak, peak)
	l.sockets = append(l.sockets, float64(open))
	return err
}

func (l *load) measurements(mounts int) []measurement {
	cpu := l.provider.median()
	all := []measurement{
		{
			What: "mounts", Value: l.perSecond.median(), Unit: "/s",
			Note: fmt.Sprintf("saturate: %d mounts, %d at a time; CPU of each: provider %.2f ms, simulator %.2f ms, client %.2f ms; with two cores of its own the provider could reach %.0f /s",
				mounts, saturateClients, cpu, l.aws.median(), l.client.median(), 2000/cpu),
		},
		{What: "CPU per mount", Value: cpu, Unit: "ms"},
		{What: "peak RSS", Value: l.peak.median(), Unit: "MiB"},
	}
	if open := l.sockets.median(); open > 0 { // the provider is not dumpable: root alone sees its descriptors
		all = append(all, measurement{What: "sockets", Value: open})
	}
	return all
}
